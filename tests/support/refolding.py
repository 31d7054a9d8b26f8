"""Folding a real topic once more, undisturbed, into another database, and comparing two databases to the byte."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition

from carenet.bus.reading import raw_record, stop_consumer
from carenet.bus.security import KafkaAt, client_options
from carenet.rules.prepare import RawRecord
from carenet.statements.genesis import Genesis
from carenet.store.store import Store
from tests.support.folding import fold_into

# Everything that all who fold the same records must agree on, and the order in which rows are compared. Refusals are
# no part of the replicated state, but follow from the same records; when they were written differs.
REPLICATED = {
    "entries": "SELECT * FROM entries ORDER BY partition, index",
    "tiles": "SELECT * FROM tiles ORDER BY partition, level, index",
    "heads": """SELECT partition, next_offset, size, log_time_ms, frontier FROM partition_state
        ORDER BY partition""",
    "participants": "SELECT * FROM participants ORDER BY partition, id",
    "subjects": "SELECT * FROM subjects ORDER BY partition, subject",
    "epochs": "SELECT * FROM epochs ORDER BY partition, subject, compartment",
    "grants": "SELECT * FROM grants ORDER BY partition, subject, id",
    "idempotency": "SELECT * FROM idempotency ORDER BY partition, subject, iss_cti",
    "reactions": "SELECT * FROM reactions ORDER BY partition, type, trigger, more",
    "rejections": """SELECT partition, "offset", reason, detail, head, issuer, is_proven, digest, winner
        FROM rejections ORDER BY partition, "offset\"""",
}


async def dump_replicated(store: Store) -> dict[str, list[tuple[Any, ...]]]:
    """All rows that two replicas must share, by table."""
    return {name: [tuple(row) for row in await store._fetch(sql)] for name, sql in REPLICATED.items()}


async def compute_roots(store: Store, genesis: Genesis) -> list[tuple[int, bytes]]:
    """Size and root of each partition's log, from the stored frontier."""
    states = [await store.load_state(partition) for partition in range(genesis.partitions)]
    return [(state.tree.size, state.tree.root()) for state in states]


async def read_topic(kafka: KafkaAt, topic: str, partitions: int) -> dict[int, list[RawRecord]]:
    """All records that a topic has now, by partition, without joining a group."""
    consumer = AIOKafkaConsumer(**client_options(kafka), auto_offset_reset="earliest", enable_auto_commit=False)
    await consumer.start()
    try:
        places = [TopicPartition(topic, each) for each in range(partitions)]
        consumer.assign(places)
        ends = await consumer.end_offsets(places)
        found: dict[int, list[RawRecord]] = {place.partition: [] for place in places}
        while any([await consumer.position(place) < ends[place] for place in places]):
            for place, records in (await consumer.getmany(timeout_ms=500)).items():
                found[place.partition] += map(raw_record, records)
        return found
    finally:
        await stop_consumer(consumer)


@asynccontextmanager
async def fresh_database(dsn: str, name: str) -> AsyncIterator[str]:
    """DSN of another database of the same server, dropped afterwards."""
    await _execute(dsn, f"CREATE DATABASE {name}")
    yield urlsplit(dsn)._replace(path=f"/{name}").geturl()
    await _execute(dsn, f"DROP DATABASE {name} WITH (FORCE)")


async def assert_same_as_undisturbed(store: Store, genesis: Genesis, kafka: KafkaAt, batch: int) -> None:
    """Fold the topic from its beginning into a database of its own, and compare heads, roots and every row.

    Args:
        store: the node's, at rest.
        genesis: the network's.
        kafka: where the topic is.
        batch: records of one transaction of the undisturbed fold.
    """
    records = await read_topic(kafka, genesis.topic, genesis.partitions)
    async with fresh_database(store.dsn, "undisturbed") as dsn, Store(dsn) as other:
        await other.create_schema(genesis)
        await other.seed(genesis)
        for partition, log in records.items():
            await fold_into(other, genesis, log, batch, partition)
        assert await compute_roots(store, genesis) == await compute_roots(other, genesis)
        assert_same_rows(await dump_replicated(store), await dump_replicated(other))


def assert_same_rows(one: dict[str, list[tuple[Any, ...]]], two: dict[str, list[tuple[Any, ...]]]) -> None:
    """Two dumps are the same; says in which table and row they first differ, and never prints megabytes."""
    assert {name: len(rows) for name, rows in one.items()} == {name: len(rows) for name, rows in two.items()}
    for name, rows in one.items():
        different = [place for place, row in enumerate(rows) if row != two[name][place]]
        assert not different, f"{len(different)} rows of {name} differ, the first at place {different[0]}"


async def _execute(dsn: str, statement: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
