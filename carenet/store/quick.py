"""A small batch of care events in one statement, hence one round trip and one transaction.

While events trickle in, a batch is one or two of them, and the eight round trips of a general commit
(`carenet.store.commit`) are most of the time until the push. What is written is the same; anything but entries, heads
and used ids, or more than a few of them, goes the general way, where COPY is faster.
"""

from __future__ import annotations

from typing import Any

from carenet.rules.effects import Effects
from carenet.rules.rows import IdempotencyRow, SubjectRow
from carenet.store.commit import (
    CHANNEL,
    ENTRY_COLUMNS,
    SET_SUBJECT,
    entry_record,
    idempotency_columns,
    lost_partition,
    subject_columns,
)

MOST_ENTRIES = 64

_COLUMNS = ", ".join(f'"{name}"' for name in ENTRY_COLUMNS)
# Each part inserts from `moved`, which is empty when another worker moved the partition: then nothing is written.
_COMMIT = f"""
WITH moved AS (
    UPDATE partition_state SET next_offset = $3, size = $4, log_time_ms = $5, frontier = $6
    WHERE partition = $1 AND next_offset = $2 RETURNING partition),
new_entries AS (
    INSERT INTO entries ({_COLUMNS})
    SELECT moved.partition, e.* FROM moved CROSS JOIN unnest($7::bigint[], $8::bytea[], $9::bigint[], $10::bytea[],
        $11::bytea[], $12::bytea[], $13::bytea[], $14::bytea[], $15::text[], $16::text[], $17::bigint[], $18::bigint[])
        AS e),
new_subjects AS (
    INSERT INTO subjects (partition, subject, kind, next_seq, head, custodians, write, emergency)
    SELECT moved.partition, s.subject, s.kind, s.next_seq, s.head, s.custodians::bytea[], s.write::text[], s.emergency
    FROM moved CROSS JOIN
        unnest($19::bytea[], $20::text[], $21::bigint[], $22::bytea[], $23::text[], $24::text[], $25::boolean[])
        AS s(subject, kind, next_seq, head, custodians, write, emergency)
    {SET_SUBJECT}),
new_ids AS (
    INSERT INTO idempotency (partition, subject, iss_cti, digest, tag)
    SELECT moved.partition, i.* FROM moved CROSS JOIN
        unnest($26::bytea[], $27::bytea[], $28::bytea[], $29::bytea[]) AS i)
SELECT pg_notify('{CHANNEL}', $1::int || ':' || $4::bigint || ':' || $3::bigint) FROM moved
"""  # noqa: S608 - constants of ours


def is_quick(effects: Effects) -> bool:
    """Whether a batch is a few care events and nothing else."""
    return (
        0 < len(effects.accepted) <= MOST_ENTRIES
        and not effects.rejected
        and not effects.tiles
        and all(isinstance(row, SubjectRow | IdempotencyRow) for row in effects.writes.values())
    )


async def commit_quickly(connection: Any, effects: Effects) -> None:
    """Carry out what `is_quick` allowed, in a transaction of its own.

    Raises:
        LostPartition: `next_offset` is no longer `effects.before`; nothing was written.
    """
    state = effects.state
    entries = list(zip(*(entry_record(state.partition, each)[1:] for each in effects.accepted), strict=True))
    moved = await connection.fetch(
        _COMMIT,
        state.partition,
        effects.before,
        state.next_offset,
        state.tree.size,
        state.log_time_ms,
        state.tree.encode(),
        *entries,
        *subject_columns([row for row in effects.writes.values() if isinstance(row, SubjectRow)]),
        *idempotency_columns([(key, row) for key, row in effects.writes.items() if isinstance(row, IdempotencyRow)]),
    )
    if not moved:
        raise lost_partition(effects)
