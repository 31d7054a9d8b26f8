"""Loading the decision state: all rows that a batch wants, of every table, in one round trip.

The statement is one array a table. Each array looks its keys up one by one along the primary key
(`LATERAL (… OFFSET 0)`): as a plain join, a plan made while a table was small scans a whole partition for every batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from carenet.rules.rows import (
    AcceptedKey,
    AcceptedRow,
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

# Indexes relied on: each table's primary key; of `entries`, entries_digest.
_LOAD = """
SELECT
    ARRAY(SELECT found.r FROM unnest($2::bytea[]) AS k(id) CROSS JOIN LATERAL (
        SELECT t AS r FROM participants t WHERE t.partition = $1 AND t.id = k.id OFFSET 0) AS found),
    ARRAY(SELECT found.r FROM unnest($3::bytea[]) AS k(subject) CROSS JOIN LATERAL (
        SELECT t AS r FROM subjects t WHERE t.partition = $1 AND t.subject = k.subject OFFSET 0) AS found),
    ARRAY(SELECT found.r FROM unnest($4::bytea[]) AS k(subject) CROSS JOIN LATERAL (
        SELECT t AS r FROM epochs t WHERE t.partition = $1 AND t.subject = k.subject OFFSET 0) AS found),
    ARRAY(SELECT found.r FROM unnest($5::bytea[]) AS k(subject) CROSS JOIN LATERAL (
        SELECT t AS r FROM grants t
        WHERE t.partition = $1 AND t.subject = k.subject AND t.to_seq IS NULL OFFSET 0) AS found),
    ARRAY(SELECT found.r FROM unnest($6::bytea[], $7::bytea[]) AS k(subject, iss_cti) CROSS JOIN LATERAL (
        SELECT t AS r FROM idempotency t
        WHERE t.partition = $1 AND t.subject = k.subject AND t.iss_cti = k.iss_cti OFFSET 0) AS found),
    ARRAY(SELECT found.r FROM unnest($8::bytea[], $9::bytea[]) AS k(subject, digest) CROSS JOIN LATERAL (
        SELECT ROW(t.subject, t.digest, t.seq, t.issuer, t.type, t.compartment) AS r FROM entries t
        WHERE t.partition = $1 AND t.digest = k.digest AND t.subject = k.subject OFFSET 0) AS found),
    ARRAY(SELECT found.r FROM unnest($10::text[], $11::bytea[], $12::bytea[]) AS k(type, trigger, more)
        CROSS JOIN LATERAL (SELECT t AS r FROM reactions t
        WHERE t.partition = $1 AND t.type = k.type AND t.trigger = k.trigger AND t.more = k.more OFFSET 0) AS found)
"""


async def load_rows(connection: Any, partition: int, keys: Iterable[Key]) -> dict[Key, Row | None]:
    """The rows of the keys; None for those that have none.

    Args:
        connection: asyncpg's, or anything with its `fetchrow`.
        partition: from 0.
        keys: of any kinds.
    """
    rows: dict[Key, Row | None] = dict.fromkeys(keys)
    by_kind: dict[type[Any], list[Any]] = {kind: [] for kind in _KINDS}
    for key in rows:
        by_kind[type(key)].append(key)
    columns = [[getattr(key, name) for key in by_kind[kind]] for kind in _KINDS for name in kind._fields[:-1]]
    found = await connection.fetchrow(_LOAD, partition, *columns)
    for read, records in zip(_KINDS.values(), found, strict=True):
        rows.update(read(records))
    return rows


def read_participant(record: Mapping[str, Any]) -> ParticipantRow:
    """A record of the table `participants` as a row."""
    return ParticipantRow(
        id=record["id"],
        name=record["name"],
        organisation=record["organisation"],
        roles=tuple(record["roles"]),
        may_give=tuple(record["may_give"]),
        sign=record["sign"],
        hpke=record["hpke"],
        retired=tuple(record["retired"]),
        statements=tuple(record["statements"]),
        suspended=record["suspended"],
    )


def read_subject(record: Mapping[str, Any]) -> SubjectRow:
    """A record of the table `subjects` as a row."""
    return SubjectRow(
        subject=record["subject"],
        kind=record["kind"],
        next_seq=record["next_seq"],
        head=record["head"],
        custodians=tuple(record["custodians"]),
        write=tuple(record["write"]),
        emergency=record["emergency"],
    )


def read_epochs(records: Iterable[Mapping[str, Any]]) -> EpochsRow:
    """One subject's records of the table `epochs` as a row, ordered by compartment."""
    rows = [
        EpochRow(each["compartment"], tuple(each["ids"]), tuple(each["begun"]), each["public"], each["begun_by"])
        for each in records
    ]
    return EpochsRow(tuple(sorted(rows, key=lambda row: row.compartment)))


def read_grant(record: Mapping[str, Any]) -> GrantRow:
    """A record of the table `grants` as a row."""
    return GrantRow(
        id=record["id"],
        grantee=record["grantee"],
        actions=tuple(record["actions"]),
        compartments=tuple(record["compartments"]),
        history=record["history"],
        from_seq=record["from_seq"],
        until_ms=record["until_ms"],
        purpose=record["purpose"],
        to_seq=record["to_seq"],
    )


def _participants(records: Iterable[Mapping[str, Any]]) -> dict[Key, Row]:
    return {ParticipantKey(each["id"]): read_participant(each) for each in records}


def _subjects(records: Iterable[Mapping[str, Any]]) -> dict[Key, Row]:
    return {SubjectKey(each["subject"]): read_subject(each) for each in records}


def _epochs(records: Iterable[Mapping[str, Any]]) -> dict[Key, Row]:
    return {EpochsKey(subject): read_epochs(group) for subject, group in _by_subject(records).items()}


def _grants(records: Iterable[Mapping[str, Any]]) -> dict[Key, Row]:
    return {
        GrantsKey(subject): GrantsRow(tuple(sorted(map(read_grant, group), key=lambda row: row.from_seq)))
        for subject, group in _by_subject(records).items()
    }


def _idempotency(records: Iterable[Mapping[str, Any]]) -> dict[Key, Row]:
    return {
        IdempotencyKey(each["subject"], each["iss_cti"]): IdempotencyRow(each["digest"], each["tag"])
        for each in records
    }


def _accepted(records: Iterable[Sequence[Any]]) -> dict[Key, Row]:
    return {
        AcceptedKey(subject, digest): AcceptedRow(seq, issuer, type_, compartment)
        for subject, digest, seq, issuer, type_, compartment in records
    }


def _reactions(records: Iterable[Mapping[str, Any]]) -> dict[Key, Row]:
    return {ReactionKey(each["type"], each["trigger"], each["more"]): ReactionRow(each["digest"]) for each in records}


def _by_subject(records: Iterable[Mapping[str, Any]]) -> dict[bytes, list[Mapping[str, Any]]]:
    groups: dict[bytes, list[Mapping[str, Any]]] = {}
    for record in records:
        groups.setdefault(record["subject"], []).append(record)
    return groups


# In the order of the arrays and parameters of `_LOAD`.
_KINDS: dict[type[Any], Callable[[Any], dict[Key, Row]]] = {
    ParticipantKey: _participants,
    SubjectKey: _subjects,
    EpochsKey: _epochs,
    GrantsKey: _grants,
    IdempotencyKey: _idempotency,
    AcceptedKey: _accepted,
    ReactionKey: _reactions,
}
