"""Folding records into a real store without Kafka, as the worker would, batch by batch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from carenet.encoding.ids import encode_id
from carenet.rules.effects import Effects
from carenet.rules.fold import fold, needs
from carenet.rules.prepare import RawRecord, Scope, prepare, scope_of
from carenet.rules.rows import Key, Row
from carenet.rules.view import View
from carenet.statements.genesis import Genesis
from carenet.statements.records import RecordValue, encode_record
from carenet.statements.statement import parse_statement
from carenet.store.store import Store
from tests.support.actors import NOW_S


def raw_records(values: Iterable[RecordValue | bytes], from_offset: int = 0) -> list[RawRecord]:
    """The values as Kafka would hand them out, one offset and one millisecond after another."""
    records = []
    for offset, value in enumerate(values, from_offset):
        key, data = b"key", value
        if isinstance(value, RecordValue):
            key = encode_id(parse_statement(value.statement).header.subject).encode()
            data = encode_record(value)
        assert isinstance(data, bytes)
        records.append(RawRecord(offset, key, data, NOW_S * 1000 + offset, True))
    return records


async def decide(store: Store, scope: Scope, records: Sequence[RawRecord]) -> Effects:
    """What a batch does; nothing is written."""
    state = await store.load_state(scope.partition)
    prepared = [prepare(record, scope) for record in records]
    loaded: dict[Key, Row | None] = {}
    view = View(loaded)
    while missing := needs(prepared, view, scope):
        loaded.update(await store.load_rows(scope.partition, missing))
    return fold(prepared, view, state, scope, records[-1].offset + 1)


async def fold_into(
    store: Store, genesis: Genesis, records: Sequence[RawRecord], batch: int, partition: int = 0
) -> None:
    """Decide and commit all records, `batch` at a time."""
    scope = scope_of(genesis, partition)
    for at in range(0, len(records), batch):
        await store.commit(await decide(store, scope, records[at : at + batch]))


async def dump(store: Store, *tables: str) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of some tables in the order of their columns, for comparing databases."""
    found = {}
    for table in tables:
        rows = await store._fetch(f"SELECT * FROM {table}")
        found[table] = sorted((tuple(row) for row in rows), key=repr)
    return found


REPLICATED = ("entries", "tiles", "participants", "subjects", "epochs", "grants", "idempotency", "reactions")
