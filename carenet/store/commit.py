"""Writing what a batch does: one transaction, and the partition's place in it is compared and set first.

Order of writes (README.md says why):
1. `partition_state`: the compare-and-set, which also locks the partition's row; the notification goes with it;
2. entries, tiles and refusals by COPY;
3. the decision state: subjects set by set, used ids by COPY, the rarer rows one by one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from carenet.rules.effects import Accepted, Effects, Rejected
from carenet.rules.rows import (
    EpochRow,
    EpochsKey,
    EpochsRow,
    GrantRow,
    GrantsKey,
    GrantsRow,
    IdempotencyKey,
    IdempotencyRow,
    Key,
    ParticipantKey,
    ParticipantRow,
    ReactionKey,
    ReactionRow,
    Row,
    SubjectKey,
    SubjectRow,
)
from carenet.store.faults import LostPartition

CHANNEL = "carenet_entries"  # payload: <partition>:<size>:<next_offset>

_MOVE = f"""
WITH moved AS (
    UPDATE partition_state SET next_offset = $3, size = $4, log_time_ms = $5, frontier = $6
    WHERE partition = $1 AND next_offset = $2 RETURNING 1)
SELECT pg_notify('{CHANNEL}', $1::int || ':' || $4::bigint || ':' || $3::bigint) FROM moved
"""  # noqa: S608 - a constant of ours
ENTRY_COLUMNS = (
    "partition",
    "index",
    "subject",
    "seq",
    "entry",
    "statement",
    "digest",
    "body",
    "issuer",
    "type",
    "compartment",
    "offset",
    "log_append_time_ms",
)
TILE_COLUMNS = ("partition", "level", "index", "hashes")
_REJECTION_COLUMNS = (
    "partition",
    "offset",
    "reason",
    "detail",
    "head",
    "issuer",
    "is_proven",
    "digest",
    "winner",
)
# Arrays of arrays have one length in PostgreSQL, so a subject's lists travel as array literals.
SET_SUBJECT = """ON CONFLICT (partition, subject) DO UPDATE SET kind = EXCLUDED.kind, next_seq = EXCLUDED.next_seq,
    head = EXCLUDED.head, custodians = EXCLUDED.custodians, write = EXCLUDED.write, emergency = EXCLUDED.emergency"""
_PUT_SUBJECTS = f"""
INSERT INTO subjects (partition, subject, kind, next_seq, head, custodians, write, emergency)
SELECT $1, subject, kind, next_seq, head, custodians::bytea[], write::text[], emergency
FROM unnest($2::bytea[], $3::text[], $4::bigint[], $5::bytea[], $6::text[], $7::text[], $8::boolean[])
    AS new(subject, kind, next_seq, head, custodians, write, emergency)
{SET_SUBJECT}
"""  # noqa: S608 - constants of ours
IDEMPOTENCY_COLUMNS = ("partition", "subject", "iss_cti", "digest", "tag")
_PUT_PARTICIPANT = """
INSERT INTO participants (partition, id, name, organisation, roles, may_give, sign, hpke, retired, statements,
    suspended)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
ON CONFLICT (partition, id) DO UPDATE SET name = EXCLUDED.name, organisation = EXCLUDED.organisation,
    roles = EXCLUDED.roles, may_give = EXCLUDED.may_give, sign = EXCLUDED.sign, hpke = EXCLUDED.hpke,
    retired = EXCLUDED.retired, statements = EXCLUDED.statements, suspended = EXCLUDED.suspended
"""
_PUT_EPOCH = """
INSERT INTO epochs (partition, subject, compartment, ids, begun, public, begun_by)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (partition, subject, compartment) DO UPDATE SET ids = EXCLUDED.ids, begun = EXCLUDED.begun,
    public = EXCLUDED.public, begun_by = EXCLUDED.begun_by
"""
_PUT_GRANT = """
INSERT INTO grants (partition, subject, id, grantee, actions, compartments, history, from_seq, until_ms, purpose,
    to_seq)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
ON CONFLICT (partition, subject, id) DO UPDATE SET to_seq = EXCLUDED.to_seq
"""
_PUT_REACTION = "INSERT INTO reactions (partition, type, trigger, more, digest) VALUES ($1, $2, $3, $4, $5)"


async def write_effects(connection: Any, effects: Effects) -> None:
    """Carry out a batch's effects; the caller holds the transaction.

    Raises:
        LostPartition: `next_offset` is no longer `effects.before`; nothing was written.
    """
    state = effects.state
    moved = await connection.fetch(
        _MOVE,
        state.partition,
        effects.before,
        state.next_offset,
        state.tree.size,
        state.log_time_ms,
        state.tree.encode(),
    )
    if not moved:
        raise lost_partition(effects)
    partition = state.partition
    await _copy(connection, "entries", ENTRY_COLUMNS, [entry_record(partition, each) for each in effects.accepted])
    await _copy(connection, "tiles", TILE_COLUMNS, tile_records(effects))
    refused = [_rejection_record(partition, each) for each in effects.rejected]
    await _copy(connection, "rejections", _REJECTION_COLUMNS, refused)
    await write_rows(connection, partition, effects.writes)


def lost_partition(effects: Effects) -> LostPartition:
    """What a failed compare-and-set means."""
    return LostPartition(f"partition {effects.state.partition} was moved on from offset {effects.before} by another")


async def write_rows(connection: Any, partition: int, rows: Mapping[Key, Row]) -> None:
    """Write rows of the decision state: subjects, used ids, participants, epochs, grants and reactions.

    Args:
        connection: in a transaction.
        partition: from 0.
        rows: as `Effects.writes`, or the genesis's rows.
    """
    subjects = [row for row in rows.values() if isinstance(row, SubjectRow)]
    if subjects:
        await connection.execute(_PUT_SUBJECTS, partition, *subject_columns(subjects))
    await _copy(connection, "idempotency", IDEMPOTENCY_COLUMNS, idempotency_records(partition, rows))
    for statement, records in _rare_records(partition, rows).items():
        await connection.executemany(statement, records)


async def _copy(connection: Any, table: str, columns: tuple[str, ...], records: list[tuple[Any, ...]]) -> None:
    if records:
        await connection.copy_records_to_table(table, records=records, columns=columns)


def entry_record(partition: int, accepted: Accepted) -> tuple[Any, ...]:
    """An entry's row, in the order of `ENTRY_COLUMNS`."""
    entry, statement = accepted.entry, accepted.statement
    return (
        partition,
        accepted.index,
        entry.subject,
        entry.seq,
        accepted.leaf,
        statement.encoded,
        entry.digest,
        accepted.body,
        statement.header.issuer,
        statement.header.type,
        statement.header.compartment,
        accepted.offset,
        accepted.log_append_time_ms,
    )


def tile_records(effects: Effects) -> list[tuple[Any, ...]]:
    """The rows of a batch's full tiles, in the order of `TILE_COLUMNS`."""
    return [(effects.state.partition, tile.level, tile.index, tile.hashes) for tile in effects.tiles]


def idempotency_records(partition: int, rows: Mapping[Key, Row]) -> list[tuple[Any, ...]]:
    """The used ids among rows of the decision state, in the order of `IDEMPOTENCY_COLUMNS`."""
    return [
        (partition, key.in_subject, key.iss_cti, row.digest, row.tag)
        for key, row in rows.items()
        if isinstance(key, IdempotencyKey) and isinstance(row, IdempotencyRow)
    ]


def _rejection_record(partition: int, rejected: Rejected) -> tuple[Any, ...]:
    return (
        partition,
        rejected.offset,
        str(rejected.reason),
        rejected.detail.replace("\0", "\ufffd"),  # the one character that PostgreSQL's text cannot hold
        rejected.head,
        rejected.issuer,
        rejected.is_proven,
        rejected.digest,
        rejected.winner,
    )


def subject_columns(rows: list[SubjectRow]) -> tuple[list[Any], ...]:
    """Subjects as one array a column."""
    return (
        [row.subject for row in rows],
        [row.kind for row in rows],
        [row.next_seq for row in rows],
        [row.head for row in rows],
        [_bytes_literal(row.custodians) for row in rows],
        # Names, [a-z0-9._-], and yet quoted: `null` without quotes would be no text but NULL.
        ["{" + ",".join(f'"{name}"' for name in row.write) + "}" for row in rows],
        [row.emergency for row in rows],
    )


def _bytes_literal(items: Iterable[bytes]) -> str:
    return "{" + ",".join(f'"\\\\x{item.hex()}"' for item in items) + "}"


def _rare_records(partition: int, rows: Mapping[Key, Row]) -> dict[str, list[tuple[Any, ...]]]:
    """Parameters by statement, for the kinds of rows that a batch seldom has many of."""
    records: dict[str, list[tuple[Any, ...]]] = {}
    for key, row in rows.items():
        match key, row:
            case ParticipantKey(), ParticipantRow():
                found = [(_PUT_PARTICIPANT, _participant_values(row))]
            case EpochsKey(), EpochsRow(epochs):
                found = [(_PUT_EPOCH, _epoch_values(key.of_subject, each)) for each in epochs]
            case GrantsKey(), GrantsRow(grants):
                found = [(_PUT_GRANT, _grant_values(key.on_subject, each)) for each in grants]
            case ReactionKey(), ReactionRow():
                found = [(_PUT_REACTION, (key.type, key.trigger, key.more, row.digest))]
            case (SubjectKey(), SubjectRow()) | (IdempotencyKey(), IdempotencyRow()):
                continue  # written set by set
            case _:
                raise ValueError(f"a {type(row).__name__} under a {type(key).__name__} is no row that is written")
        for statement, values in found:
            records.setdefault(statement, []).append((partition, *values))
    return records


def _participant_values(row: ParticipantRow) -> tuple[Any, ...]:
    return (
        row.id,
        row.name,
        row.organisation,
        row.roles,
        row.may_give,
        row.sign,
        row.hpke,
        row.retired,
        row.statements,
        row.suspended,
    )


def _epoch_values(subject: bytes, row: EpochRow) -> tuple[Any, ...]:
    return (subject, row.compartment, row.ids, row.begun, row.public, row.begun_by)


def _grant_values(subject: bytes, row: GrantRow) -> tuple[Any, ...]:
    return (
        subject,
        row.id,
        row.grantee,
        row.actions,
        row.compartments,
        row.history,
        row.from_seq,
        row.until_ms,
        row.purpose,
        row.to_seq,
    )
