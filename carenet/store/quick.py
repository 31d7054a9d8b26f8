"""Small batches of care events of several partitions in one statement, hence one round trip and one transaction.

While events trickle in, a batch is a few of them, and the eight round trips of a general commit
(`carenet.store.commit`) are most of the time until the push. What is written is the same; whatever else a batch does,
or more than a few events, goes the general way, where COPY is faster.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from carenet.rules.effects import Effects
from carenet.rules.rows import IdempotencyRow, SubjectRow
from carenet.store.commit import (
    CHANNEL,
    ENTRY_COLUMNS,
    IDEMPOTENCY_COLUMNS,
    SET_SUBJECT,
    TILE_COLUMNS,
    entry_record,
    idempotency_records,
    subject_columns,
    tile_records,
)

MOST_ENTRIES = 64

_COLUMNS = ", ".join(f'"{name}"' for name in ENTRY_COLUMNS)
# Each part inserts what belongs to `moved`, where a partition is missing that another worker moved: of that one nothing
# is written.
_COMMIT = f"""
WITH moved AS (
    UPDATE partition_state AS old SET next_offset = new.next_offset, size = new.size, log_time_ms = new.log_time_ms,
        frontier = new.frontier
    FROM unnest($1::int[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bytea[])
        AS new(partition, before, next_offset, size, log_time_ms, frontier)
    WHERE old.partition = new.partition AND old.next_offset = new.before
    RETURNING old.partition, old.size, old.next_offset),
new_entries AS (
    INSERT INTO entries ({_COLUMNS})
    SELECT e.* FROM unnest($7::int[], $8::bigint[], $9::bytea[], $10::bigint[], $11::bytea[], $12::bytea[],
        $13::bytea[], $14::bytea[], $15::bytea[], $16::text[], $17::text[], $18::bigint[], $19::bigint[])
        AS e({_COLUMNS}) JOIN moved ON moved.partition = e.partition),
new_tiles AS (
    INSERT INTO tiles (partition, level, index, hashes)
    SELECT t.* FROM unnest($20::int[], $21::int[], $22::bigint[], $23::bytea[]) AS t(partition, level, index, hashes)
        JOIN moved ON moved.partition = t.partition),
new_subjects AS (
    INSERT INTO subjects (partition, subject, kind, next_seq, head, custodians, write, emergency)
    SELECT s.partition, s.subject, s.kind, s.next_seq, s.head, s.custodians::bytea[], s.write::text[], s.emergency
    FROM unnest($24::int[], $25::bytea[], $26::text[], $27::bigint[], $28::bytea[], $29::text[], $30::text[],
        $31::boolean[]) AS s(partition, subject, kind, next_seq, head, custodians, write, emergency)
        JOIN moved ON moved.partition = s.partition
    {SET_SUBJECT}),
new_ids AS (
    INSERT INTO idempotency (partition, subject, iss_cti, digest, tag)
    SELECT i.* FROM unnest($32::int[], $33::bytea[], $34::bytea[], $35::bytea[], $36::bytea[])
        AS i(partition, subject, iss_cti, digest, tag) JOIN moved ON moved.partition = i.partition)
SELECT partition, pg_notify('{CHANNEL}', partition || ':' || size || ':' || next_offset) FROM moved
"""  # noqa: S608 - constants of ours


def is_quick(effects: Effects) -> bool:
    """Whether a batch is a few care events and nothing else."""
    return (
        0 < len(effects.accepted) <= MOST_ENTRIES
        and not effects.rejected
        and all(isinstance(row, SubjectRow | IdempotencyRow) for row in effects.writes.values())
    )


async def commit_quickly(connection: Any, batches: Sequence[Effects]) -> frozenset[int]:
    """Carry out what `is_quick` allowed, in a transaction of its own.

    Args:
        connection: in no transaction.
        batches: of one partition each.

    Returns:
        The partitions that were moved on; of the others, whose `next_offset` is no longer `before`, nothing was
        written.
    """
    states = [_state_record(each) for each in batches]
    entries = [entry_record(each.state.partition, accepted) for each in batches for accepted in each.accepted]
    tiles = [record for each in batches for record in tile_records(each)]
    subjects = [
        (each.state.partition, row) for each in batches for row in each.writes.values() if isinstance(row, SubjectRow)
    ]
    ids = [record for each in batches for record in idempotency_records(each.state.partition, each.writes)]
    moved = await connection.fetch(
        _COMMIT,
        *zip(*states, strict=True),
        *zip(*entries, strict=True),
        *_columns(tiles, TILE_COLUMNS),
        [partition for partition, _ in subjects],
        *subject_columns([row for _, row in subjects]),
        *_columns(ids, IDEMPOTENCY_COLUMNS),
    )
    return frozenset(partition for partition, _ in moved)


def _state_record(effects: Effects) -> tuple[Any, ...]:
    state = effects.state
    return state.partition, effects.before, state.next_offset, state.tree.size, state.log_time_ms, state.tree.encode()


def _columns(rows: Sequence[tuple[Any, ...]], names: Sequence[str]) -> Sequence[Sequence[Any]]:
    """One sequence a column, of no rows too."""
    return list(zip(*rows, strict=True)) or [()] * len(names)
