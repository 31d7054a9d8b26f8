"""Subjects and their current epochs, proven: nobody seals to a key that a gateway made up.

An epoch is believed when the statement that began it stands in the subject's log (`trust`), carries this public key for
this compartment, and the epoch's id is that key's hash. A compartment never goes back to an epoch that began earlier
than one that this publisher knew (`EpochMemory`): a gateway that holds a rotation back is found out.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Protocol

from carenet.client import wire
from carenet.client.backoff import Backoff
from carenet.client.session import DeclinedError, Session, expect_reply
from carenet.client.trust import Trust
from carenet.encoding.ids import encode_id
from carenet.errors import ProofError
from carenet.rules.reasons import Reason
from carenet.statements.keys import compute_epoch_id

_LAG_S = 5.0  # gateways of one node are apart by less
BEGINNERS = frozenset({"subject.open", "grant.give", "grant.withdraw", "epoch.begin"})


@dataclass(frozen=True, slots=True)
class Epoch:
    """A compartment's current epoch.

    Attributes:
        compartment: a name.
        id: 16 bytes.
        public: HPKE public key, 1,216 bytes.
        seq: place in the subject's chain of the statement that began it.
    """

    compartment: str
    id: bytes
    public: bytes = field(repr=False)
    seq: int


@dataclass(frozen=True, slots=True)
class Subject:
    """What a gateway tells about a subject; the epochs are proven, the rest is its word.

    Attributes:
        subject: 32 bytes.
        kind: `patient` or `network`.
        custodians: participants that hold all epoch keys, the deciding one first.
        write: roles that may write unasked.
        emergency: whether emergency access is allowed.
        next_seq: how many entries its chain has.
        epochs: the current ones by compartment.
    """

    subject: bytes
    kind: str
    custodians: tuple[bytes, ...]
    write: tuple[str, ...]
    emergency: bool
    next_seq: int
    epochs: dict[str, Epoch]


class EpochMemory(Protocol):
    """Where the newest known epochs are kept, best beyond the process."""

    def newest_epoch(self, subject: bytes, compartment: str) -> tuple[int, bytes] | None:
        """Chain place and id of the newest epoch known."""

    def remember_epoch(self, subject: bytes, compartment: str, seq: int, epoch: bytes) -> None:
        """Note a newer one."""


class OlderEpochError(ProofError):
    """A gateway shows an epoch that is older than a known one: it lags behind, or holds a rotation back."""


class Subjects:
    """Current epochs of subjects, kept until a newer one is shown.

    Args:
        session: to ask the gateway.
        trust: to check its answers.
        memory: what was known before.
    """

    def __init__(self, session: Session, trust: Trust, memory: EpochMemory) -> None:
        self._session = session
        self._trust = trust
        self._memory = memory
        self._epochs: dict[tuple[bytes, str], Epoch] = {}
        self._locks: dict[bytes, asyncio.Lock] = {}  # held while one subject is asked for, so it is asked for once

    async def fetch_epoch(self, subject: bytes, compartment: str) -> Epoch:
        """A compartment's current epoch, as far as we know.

        Raises:
            DeclinedError: no such subject or compartment.
            ProofError, StatementError, EncodingError: the gateway's answer does not hold.
            TransportError: the gateway is away.
        """
        known = self._epochs.get((subject, compartment))
        return known if known is not None else await self.refresh_epoch(subject, compartment, None)

    async def refresh_epoch(self, subject: bytes, compartment: str, stale: Epoch | None) -> Epoch:
        """A compartment's epoch after `stale` was refused; asks the gateway unless somebody else just has."""
        async with self._locks.setdefault(subject, asyncio.Lock()):
            known = self._epochs.get((subject, compartment))
            if known is None or known == stale:
                await self.describe(subject)
                known = self._epochs.get((subject, compartment))
        if known is None:
            raise DeclinedError(Reason.UNKNOWN_COMPARTMENT, "the subject has no such compartment")
        return known

    async def describe(self, subject: bytes) -> Subject:
        """What a gateway says of a subject now; its epochs are taken in.

        A gateway may lag behind another one that showed a newer epoch, so an older one is asked about again for a
        while before it counts as held back.

        Raises:
            As `fetch_epoch`.
        """
        backoff = Backoff()
        deadline = time.monotonic() + _LAG_S
        while True:
            answer = expect_reply(await self._session.ask("describe", subject=encode_id(subject)))
            described = check_subject(answer, subject, self._trust)
            try:
                for epoch in described.epochs.values():
                    self.learn(subject, epoch)
            except OlderEpochError:
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(backoff.next_s())
            else:
                return described

    def learn(self, subject: bytes, epoch: Epoch) -> None:
        """Take in a proven epoch.

        Raises:
            OlderEpochError: it is older than one that is known.
            ProofError: it is another one in the place of a known one.
        """
        newest = self._memory.newest_epoch(subject, epoch.compartment)
        if newest is not None:
            seq, known = newest
            if epoch.seq < seq:
                raise OlderEpochError(
                    f"the gateway shows an epoch of {epoch.compartment} that is older than a known one"
                )
            if epoch.seq == seq and epoch.id != known:
                raise ProofError(f"the gateway shows two epochs of {epoch.compartment} in one place")
        if newest is None or newest[0] < epoch.seq:
            self._memory.remember_epoch(subject, epoch.compartment, epoch.seq, epoch.id)
        self._epochs[subject, epoch.compartment] = epoch

    async def take_shown(self, subject: bytes, compartment: str, fields: wire.Message) -> Epoch:
        """Take in the epoch that a `stale_epoch` refusal carries; if a newer one is known by now, that one.

        Raises:
            As `fetch_epoch`.
        """
        epoch = check_epoch(fields, subject, compartment, self._trust)
        try:
            self.learn(subject, epoch)
        except OlderEpochError:
            return await self.refresh_epoch(subject, compartment, epoch)
        return epoch


def check_subject(answer: wire.Message, subject: bytes, trust: Trust) -> Subject:
    """Read and check the answer to `describe {subject}`.

    Raises:
        ProofError, StatementError, EncodingError: it does not hold.
    """
    if wire.read_id(answer, "subject") != subject:
        raise ProofError("the gateway describes another subject")
    shown = wire.read_map(answer, "epochs")
    epochs = {name: check_epoch(wire.read_map(shown, name), subject, name, trust) for name in shown}
    return Subject(
        subject=subject,
        kind=wire.read_text(answer, "kind"),
        custodians=tuple(wire.id_of(each) for each in wire.read_texts(answer, "custodians")),
        write=wire.read_texts(answer, "write"),
        emergency=answer.get("emergency") is True,
        next_seq=wire.read_int(answer, "next_seq"),
        epochs=epochs,
    )


def check_epoch(fields: wire.Message, subject: bytes, compartment: str, trust: Trust) -> Epoch:
    """Read and check an epoch as `describe` and `stale_epoch` carry it.

    Raises:
        ProofError: the log does not say that this key is an epoch of this subject and compartment.
        StatementError, EncodingError: malformed.
    """
    recorded = trust.verify_recorded(fields)
    header = recorded.statement.header
    if header.subject != subject or header.type not in BEGINNERS:
        raise ProofError("the epoch's statement is another subject's, or begins no epoch")
    public, epoch = wire.read_bytes(fields, "public"), wire.read_bytes(fields, "epoch")
    begun = recorded.statement.control.get("epochs")
    if not isinstance(begun, dict) or begun.get(compartment) != public:
        raise ProofError("the epoch's statement carries another key for this compartment")
    if compute_epoch_id(public) != epoch:
        raise ProofError("the epoch's id is not its key's hash")
    return Epoch(compartment, epoch, public, recorded.entry.seq)
