"""What a batch of records does: entries, refusals and row writes, for the store to carry out in one transaction."""

from __future__ import annotations

from dataclasses import dataclass

from carenet.ledger.entry import Entry
from carenet.ledger.tree import Tile
from carenet.rules.reasons import Reason
from carenet.rules.rows import Key, PartitionState, Row
from carenet.statements.statement import Statement

KEPT_BYTES = 1024  # of a refused record's value


@dataclass(slots=True)  # not frozen: one is made of every record, and that costs a microsecond more
class Accepted:
    """A statement that became an entry.

    Attributes:
        offset: the Kafka offset of its record.
        index: its place in the partition's log.
        entry: its entry.
        leaf: the entry's bytes, which are the Merkle leaf.
        statement: the statement.
        body: the sealed content or wraps beside it, or None.
        log_append_time_ms: the broker's time of the record (`entry.log_time_ms` is the decided one).
    """

    offset: int
    index: int
    entry: Entry
    leaf: bytes
    statement: Statement
    body: bytes | None
    log_append_time_ms: int


@dataclass(frozen=True, slots=True)
class Rejected:
    """A record that changed nothing.

    Attributes:
        offset: the Kafka offset of the record.
        reason: why.
        detail: which field or rule, without patient data.
        head: the first 1,024 bytes of the record's value.
        issuer: who it says it is from, if that could be read (32 bytes).
        is_proven: whether its signature holds under the issuer's current key, so the issuer may be told everything.
        digest: the statement's digest, if that could be read.
        winner: the digest of the statement that holds the place of this one (duplicate, conflicting_id, already_done).
    """

    offset: int
    reason: Reason
    detail: str
    head: bytes
    issuer: bytes | None
    is_proven: bool
    digest: bytes | None
    winner: bytes | None


@dataclass(frozen=True, slots=True)
class Effects:
    """All that a batch does.

    Attributes:
        before: next_offset that the store must still hold (the compare in its compare-and-set).
        state: the partition's state after the batch; its `next_offset` is the set.
        accepted: new entries in log order.
        rejected: refused records in offset order.
        writes: rows to write. A grant in a `GrantsRow` is inserted, or closed by its `to_seq`. `AcceptedKey`s do not
            occur: entries carry them.
        tiles: tiles of the tree that became full.
        is_urgent: whether a network statement was accepted or an epoch began, so a checkpoint is due at once.
    """

    before: int
    state: PartitionState
    accepted: tuple[Accepted, ...]
    rejected: tuple[Rejected, ...]
    writes: dict[Key, Row]
    tiles: tuple[Tile, ...]
    is_urgent: bool
