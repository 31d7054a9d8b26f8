"""What the store's queries answer with: rows of the tables as frozen values, bytes as they were stored."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from carenet.ledger.entry import decode_entry
from carenet.rules.rows import GrantRow, SubjectRow


@dataclass(frozen=True, slots=True)
class StoredEntry:
    """An accepted statement as it is kept.

    Attributes:
        partition, index: its place in the log.
        subject, seq: its place in its subject's chain.
        entry: the entry's bytes, the Merkle leaf.
        statement: the statement's bytes.
        digest: SHA-256 of them.
        body: what travelled beside it, or None.
        issuer: 32 bytes.
        type: event type.
        compartment: or None.
        offset: the Kafka offset of its record.
        log_append_time_ms: the broker's time of the record.
    """

    partition: int
    index: int
    subject: bytes
    seq: int
    entry: bytes
    statement: bytes
    digest: bytes
    body: bytes | None
    issuer: bytes
    type: str
    compartment: str | None
    offset: int
    log_append_time_ms: int


class LeanEntry(NamedTuple):  # a dataclass takes four times as long to make, and most entries that are fed are these
    """An accepted statement without what only its readers need; fields as in `StoredEntry`."""

    partition: int
    index: int  # type: ignore[assignment] # nobody asks a row where a value stands in it
    subject: bytes
    seq: int
    entry: bytes
    issuer: bytes
    type: str
    offset: int

    @property
    def digest(self) -> bytes:
        """SHA-256 of the statement, which its entry has too."""
        return decode_entry(self.entry).digest


@dataclass(frozen=True, slots=True)
class OutgoingEntry:
    """What the entries topic says of an entry; fields as in `StoredEntry`, without the body."""

    index: int
    subject: bytes
    entry: bytes
    statement: bytes


@dataclass(frozen=True, slots=True)
class StoredControl:
    """A control statement's entry; fields as in `StoredEntry`, without the body."""

    seq: int
    entry: bytes
    statement: bytes


@dataclass(frozen=True, slots=True)
class StoredRejection:
    """A refused record as it is kept; fields as in `carenet.rules.effects.Rejected`.

    Attributes:
        partition, offset: where its record lies in Kafka.
        reason: a code of `carenet.rules.reasons`.
        detail, head, issuer, is_proven, digest, winner: see there.
        at: when this node decided it (its own clock, UTC).
    """

    partition: int
    offset: int
    reason: str
    detail: str
    head: bytes
    issuer: bytes | None
    is_proven: bool
    digest: bytes | None
    winner: bytes | None
    at: datetime


@dataclass(frozen=True, slots=True)
class StoredSubject:
    """A subject and the partition that it lives in."""

    partition: int
    row: SubjectRow


@dataclass(frozen=True, slots=True)
class StoredGrant:
    """A grant, ended or not, and what it is on."""

    partition: int
    subject: bytes
    row: GrantRow


@dataclass(frozen=True, slots=True)
class StoredCheckpoint:
    """A checkpoint that this node signed.

    Attributes:
        partition: the log.
        size: its leaves.
        note: the signed note.
        receipt: the receipt of entry `size` - 1, whose header and signature serve every entry before it.
    """

    partition: int
    size: int
    note: str
    receipt: bytes


@dataclass(frozen=True, slots=True)
class Head:
    """How far a partition is.

    Attributes:
        partition: its number.
        next_offset: the first Kafka offset that has not been decided.
        size: entries in its log.
        log_time_ms: the last accepted record's time.
        published_index: entries before it are in the entries topic.
    """

    partition: int
    next_offset: int
    size: int
    log_time_ms: int
    published_index: int


@dataclass(frozen=True, slots=True)
class Halt:
    """A partition that this node stopped serving, and why.

    Attributes:
        partition: its number.
        reason: for the person on call; ids and counts only.
        at: when (the node's clock, UTC).
    """

    partition: int
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True)
class ActivityRow:
    """What the agent `activity` counted: events of one type about one subject in one minute of log time.

    Attributes:
        partition, subject, type: of the events.
        minute_ms: when the minute begins.
        events: how many.
        late: how many were claimed (iat) to be signed long before they were logged.
        out_of_order: how many were claimed to be signed before one that was logged earlier.
        last_index: index of the last entry that was counted.
    """

    partition: int
    subject: bytes
    minute_ms: int
    type: str
    events: int
    late: int
    out_of_order: int
    last_index: int
