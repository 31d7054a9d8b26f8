"""From a pushed entry to an update: verified, its wraps taken in, its content opened.

Verification, in order, each step with what it stops:
1. the statement's digest is the entry's, and the entry's subject the statement's: an entry cannot be shown with other
   content;
2. the entry's `prev` is the leaf hash of the subject's previous entry, where that was seen: nothing is slipped in or
   left out between two neighbours;
3. the issuer's signature holds under a key that the log gave it (`directory`): a gateway cannot speak for anyone.
That the entry is in the network's log is proven by its receipt, which is fetched for those who ask.
"""

from __future__ import annotations

import time

from carenet.client import wire
from carenet.client.directory import Directory
from carenet.client.keys import Keys
from carenet.client.updates import Update
from carenet.errors import CorruptionError, SealError
from carenet.ledger.entry import Entry, decode_entry
from carenet.ledger.hashes import hash_leaf
from carenet.sealing.bodies import open_body
from carenet.statements.statement import Statement, parse_statement


class Opener:
    """Makes updates of pushed entries.

    Args:
        network: the network's id, 32 bytes.
        directory: issuers' proven keys.
        keys: the reader's keys.
    """

    def __init__(self, network: bytes, directory: Directory, keys: Keys) -> None:
        self._network = network
        self._directory = directory
        self._keys = keys
        self._heads: dict[bytes, tuple[int, bytes]] = {}

    async def open(self, push: wire.Message) -> Update:
        """Verify and open one push.

        Raises:
            CorruptionError: a step of the plan fails: this gateway shows what was not signed or not folded.
            EncodingError, StatementError: malformed.
            TransportError: keys had to be fetched and the gateway is away; nothing was changed.
        """
        statement = parse_statement(wire.read_bytes(push, "statement"))
        encoded_entry = wire.read_bytes(push, "entry")
        entry = decode_entry(encoded_entry)
        self._check_place(statement, entry)
        await self._check_signature(statement)
        body = wire.read_bytes_or_none(push, "body")
        content, fault = await self._open_body(statement, body)
        self._heads[entry.subject] = (entry.seq, hash_leaf(encoded_entry))
        return Update(
            statement=statement,
            entry=entry,
            partition=wire.read_int(push, "partition"),
            index=wire.read_int(push, "index"),
            body=body,
            content=content,
            fault=fault,
            is_backlog=push.get("backlog") is True,
            received_ms=time.time_ns() // 1_000_000,
        )

    def _check_place(self, statement: Statement, entry: Entry) -> None:
        # 1.
        if entry.digest != statement.digest or entry.subject != statement.header.subject:
            raise CorruptionError("the gateway shows an entry with another statement")
        if statement.header.network != self._network:
            raise CorruptionError("the gateway shows a statement of another network")
        # 2. Filters and grants leave gaps, across which nothing can be said without a receipt.
        head = self._heads.get(entry.subject)
        if head is not None and head[0] + 1 == entry.seq and head[1] != entry.prev:
            raise CorruptionError("an entry does not follow the one before it in its subject's chain")

    async def _check_signature(self, statement: Statement) -> None:
        # 3.
        header = statement.header
        public = await self._directory.fetch_signing_key(header.issuer, header.kid)
        if public is None or not statement.is_signed_by(public):
            raise CorruptionError("the gateway shows a statement whose issuer did not sign it")

    async def _open_body(self, statement: Statement, body: bytes | None) -> tuple[bytes | None, str | None]:
        if statement.is_control:
            self._keys.take_wraps(statement, body)
            return None, None
        if body is None:
            return None, "the gateway sent no body"
        private = await self._keys.fetch(statement.header.subject, statement.header.epoch or b"")
        if private is None:
            return None, "no key of this epoch"
        try:
            return open_body(statement, body, private), None
        except SealError as exc:
            return None, str(exc)  # whoever seals to a public key may seal nonsense: told, not fatal
