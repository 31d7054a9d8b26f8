"""A reader's epoch keys: from wraps that arrive in pushes, and fetched from the gateway when an epoch is unknown.

A key gets in only when its public half hashes to an epoch id of an accepted statement (`Identity.open_wrap`), and it is
used only for statements that name that epoch.
"""

from __future__ import annotations

import asyncio
import time

from carenet.client import wire
from carenet.client.session import Session, expect_reply
from carenet.encoding.ids import encode_id, sha256
from carenet.errors import BadInputError, RefusedError, SealError
from carenet.sealing.epochs import Keyring
from carenet.sealing.identity import Identity
from carenet.sealing.wraps import decode_wraps
from carenet.statements.statement import Statement, parse_statement

# A key that was not there is asked for again after this; a `key.share` that arrives meanwhile is taken at once.
_MISSING_S = 2.0


class Keys:
    """One reader's keyring, and how it is filled.

    Args:
        identity: to open wraps.
        session: to ask the gateway.
    """

    def __init__(self, identity: Identity, session: Session) -> None:
        self.identity = identity
        self.keyring = Keyring()
        self._session = session
        self._missing: dict[bytes, float] = {}  # epoch to when it may be asked for again
        self._lock = asyncio.Lock()  # held while wraps are fetched, so that one question serves all who wait

    def take_wraps(self, statement: Statement, body: bytes | None) -> None:
        """Take in the keys that a pushed control statement wraps for this reader, if any.

        A wrap that does not open is left alone: its sender may have wrapped nonsense, and `key.share` mends it.
        """
        to, brings = statement.control.get("to"), statement.control.get("brings")
        if body is None or not isinstance(to, list) or not isinstance(brings, list) or self.identity.id not in to:
            return
        if sha256(body) != statement.body_hash:
            return
        try:
            wrapped = decode_wraps(body)[to.index(self.identity.id)]
        except (BadInputError, IndexError):
            return
        self._take(statement.header.subject, wrapped, brings)

    async def fetch(self, subject: bytes, epoch: bytes) -> bytes | None:
        """The private key of an epoch, or None where this reader was not given it (yet).

        Raises:
            TransportError: the gateway is away.
        """
        if epoch not in self.keyring and time.monotonic() >= self._missing.get(epoch, 0.0):
            async with self._lock:
                if epoch not in self.keyring:
                    await self.refresh(subject)
                    if epoch not in self.keyring:
                        self._missing[epoch] = time.monotonic() + _MISSING_S
        return self.keyring.private(epoch) if epoch in self.keyring else None

    async def refresh(self, subject: bytes) -> None:
        """Fetch all wraps that were made for this reader on a subject."""
        try:
            answer = expect_reply(await self._session.ask("keys", subject=encode_id(subject)))
        except RefusedError:
            return  # no longer a reader: what it holds it keeps, more it does not get
        for fields in wire.read_maps(answer, "wraps"):
            statement = parse_statement(wire.read_bytes(fields, "statement"))
            brings = statement.control.get("brings")
            self._take(subject, wire.read_bytes(fields, "wrap"), brings if isinstance(brings, list) else [])

    def _take(self, subject: bytes, wrapped: bytes, brings: list[bytes]) -> None:
        if not all(isinstance(epoch, bytes) for epoch in brings):
            return  # no statement that the log holds is so: the gateway made it up
        if all(epoch in self.keyring for epoch in brings):
            return
        try:
            self.keyring.add(self.identity.open_wrap(subject, wrapped, tuple(brings)))
        except SealError:
            return
        for epoch in brings:
            self._missing.pop(epoch, None)
