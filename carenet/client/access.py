"""Who may read a patient's timeline and who holds which keys, folded from its own control entries.

Whoever rotates keys or wraps them works from this rather than from a gateway's list: the entries are signed, in the
order of the chain, and the same that the fold decided by. Care entries leave it as it is and may be missing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from carenet.rules.access import READ, active
from carenet.rules.changes import begun, ended, granted
from carenet.rules.rows import EpochRow, GrantRow
from carenet.statements.payloads import PAYLOADS, EpochBegin, Give, KeyShare, Open, Withdraw
from carenet.statements.shape import Shape
from carenet.statements.statement import Statement

CONTROL_TYPES = ("subject.*", "grant.*", "epoch.*", "key.*")


@dataclass(slots=True)
class Access:
    """The access state of one subject after the entries that were applied.

    Attributes:
        subject: 32 bytes.
        next_seq: one past the last entry that was applied.
        custodians: participants that hold every key.
        grants: all that were given, ended ones too.
        epochs: compartments' epochs, every id in order.
        held: which epochs' keys were wrapped to whom.
        at: the heads of the network's logs when the entries were last read, to read on from.
    """

    subject: bytes
    next_seq: int = 0
    custodians: tuple[bytes, ...] = ()
    grants: tuple[GrantRow, ...] = ()
    epochs: dict[str, EpochRow] = field(default_factory=dict)
    held: dict[bytes, set[bytes]] = field(default_factory=dict)
    at: dict[int, int] = field(default_factory=dict)

    def apply(self, statement: Statement, seq: int) -> None:
        """Take in the subject's next control entry; what was taken in before, and care data, change nothing."""
        model = PAYLOADS.get(statement.header.type)
        self.apply_payload(model.parse(statement.control) if model else None, statement.digest, seq)

    def apply_payload(self, payload: Shape | None, digest: bytes, seq: int) -> None:
        """The same, for an entry whose payload and digest are at hand."""
        if seq < self.next_seq:
            return
        self.next_seq = seq + 1
        if isinstance(payload, Open):
            self.custodians = payload.custodians
            self._begin(payload.epochs, seq, digest)
        elif isinstance(payload, Give):
            self.grants = (*self.grants, granted(payload, seq=seq, digest=digest))
            self._begin(payload.epochs or {}, seq, digest)
        elif isinstance(payload, Withdraw):
            self.grants = ended(self.grants, payload.grantee, seq)
            self._begin(payload.epochs or {}, seq, digest)
        elif isinstance(payload, EpochBegin):
            self._begin(payload.epochs, seq, digest)
        self._note_wraps(payload)

    def readable_by(self, grantee: bytes) -> tuple[str, ...]:
        """The compartments whose keys a grantee has by grants that nothing has ended, expired ones too."""
        grants = [grant for grant in self.grants if grant.grantee == grantee and grant.to_seq is None]
        return tuple(sorted({name for grant in grants if READ in grant.actions for name in grant.compartments}))

    def entitled(self, reader: bytes, now_ms: int) -> set[bytes]:
        """The epochs whose keys a reader may hold now."""
        if reader in self.custodians:
            return {each for epoch in self.epochs.values() for each in epoch.ids}
        entitled: set[bytes] = set()
        for grant in active(self.grants, now_ms):
            if grant.grantee == reader and READ in grant.actions:
                for name in grant.compartments:
                    entitled |= _epochs_since(self.epochs.get(name), 0 if grant.history else grant.from_seq)
        return entitled

    def readers(self, now_ms: int) -> set[bytes]:
        """Custodians, and grantees of an active grant to read."""
        granted = {grant.grantee for grant in active(self.grants, now_ms) if READ in grant.actions}
        return granted | set(self.custodians)

    def readers_of_all(self, compartments: Iterable[str], now_ms: int) -> set[bytes]:
        """Those who read every one of these compartments from now on, so that one wrap may bring all their keys."""
        wanted = set(compartments)
        reading: dict[bytes, set[str]] = {}
        for grant in active(self.grants, now_ms):
            if READ in grant.actions:
                reading.setdefault(grant.grantee, set()).update(grant.compartments)
        return {reader for reader, names in reading.items() if wanted <= names} | set(self.custodians)

    def missing(self, now_ms: int) -> dict[bytes, set[bytes]]:
        """By reader, the epochs that it may open and whose keys were never wrapped to it; complete readers left out."""
        gaps = {reader: self.entitled(reader, now_ms) - self.held.get(reader, set()) for reader in self.readers(now_ms)}
        return {reader: gap for reader, gap in gaps.items() if gap}

    def in_order(self, epochs: Iterable[bytes]) -> tuple[bytes, ...]:
        """Epoch ids by compartment name and then by age, as payloads bring them."""
        wanted = set(epochs)
        return tuple(each for name in sorted(self.epochs) for each in self.epochs[name].ids if each in wanted)

    def _begin(self, epochs: dict[str, bytes], seq: int, digest: bytes) -> None:
        for name, public in epochs.items():
            self.epochs[name] = begun(self.epochs.get(name), name, public, seq=seq, digest=digest)

    def _note_wraps(self, payload: Shape | None) -> None:
        if isinstance(payload, Open | Give | Withdraw | EpochBegin | KeyShare):
            for reader in payload.to or ():
                self.held.setdefault(reader, set()).update(payload.brings or ())


def _epochs_since(epoch: EpochRow | None, seq: int) -> set[bytes]:
    """The epochs of a compartment that began at or after a place in the chain."""
    if epoch is None:
        return set()
    return {each for each, begun in zip(epoch.ids, epoch.begun, strict=True) if begun >= seq}
