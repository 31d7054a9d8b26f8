from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from carenet.bus.publishing import Producer, Publisher
from carenet.bus.topics import provision, topics_of
from carenet.local.kafka import EmbeddedKafka
from carenet.local.postgres import EmbeddedPostgres
from carenet.node.config import WorkerConfig
from carenet.statements.genesis import Genesis
from carenet.statements.records import RecordValue
from carenet.store.store import Store
from tests.support.chronicle import Chronicle
from tests.support.folding import REPLICATED, dump
from tests.support.waiting import STRETCH, until
from tests.support.working import (
    found,
    publish_fast,
    running,
    spawn_worker,
    wait_for_offsets,
    wait_for_size,
)

EVENTS = 3000
PATIENTS = 30


@pytest_asyncio.fixture(loop_scope="session")
async def second_database(postgres: EmbeddedPostgres, unique_name: Callable[[str], str]) -> AsyncIterator[str]:
    """A database for a node that is disturbed by nothing."""
    name = unique_name("undisturbed")
    async with Store(postgres.dsn()) as store:
        await store._fetch(f"CREATE DATABASE {name}")
        yield postgres.dsn(name)
        await store._fetch(f"DROP DATABASE {name} WITH (FORCE)")


def _story(chronicle: Chronicle, events: int = EVENTS) -> list[RecordValue]:
    patients = [chronicle.patient(f"patient {number}", number % 3) for number in range(PATIENTS)]
    story = [chronicle.open(patient) for patient in patients]
    for number in range(events):
        story.append(chronicle.care(patients[number * 7 % PATIENTS]))
        if number % 50 == 0:
            story.append(story[-1])  # a repeat is refused, and changes nothing
    return story


async def _fold_undisturbed(config: WorkerConfig, dsn: str, offsets: dict[int, int]) -> dict[str, list]:
    """The same topic in another database, by one worker in batches of another size."""
    other = replace(config, postgres=dsn, node="second", max_batch_records=1000)
    await provision(config.kafka, topics_of(config.genesis, "second"))
    async with running(other), Store(dsn) as store:
        await store.create_schema(config.genesis)
        await store.seed(config.genesis)
        await wait_for_offsets(store, offsets)
        return await dump(store, *REPLICATED)


async def _roots(store: Store) -> list[tuple[int, bytes]]:
    states = [await store.load_state(partition) for partition in range(3)]
    return [(state.tree.size, state.tree.root()) for state in states]


def _offsets(genesis: Genesis, founding: int, sent: dict[int, int]) -> dict[int, int]:
    return {partition: founding + sent.get(partition, 0) for partition in range(genesis.partitions)}


async def test_a_killed_worker_loses_nothing_and_others_take_over_within_ten_seconds(  # noqa: PLR0917
    config: WorkerConfig,
    store: Store,
    publisher: Publisher,
    producer: Producer,
    chronicle: Chronicle,
    second_database: str,
    tmp_path: Path,
) -> None:
    config = replace(config, max_batch_records=40)
    workers = [await spawn_worker(config, tmp_path) for _ in range(2)]
    try:
        founding = chronicle.founding()
        await found(publisher, store, config.genesis, founding)
        story = _story(chronicle)
        sent = await publish_fast(producer, config.genesis, story)
        offsets = _offsets(config.genesis, len(founding), sent)
        await wait_for_size(store, {0: 200})
        workers[0].kill()
        killed_s = time.monotonic()
        await workers[0].wait()
        await wait_for_offsets(store, offsets, timeout_s=20)
        assert time.monotonic() - killed_s < 15 * STRETCH
        workers[0] = await spawn_worker(config, tmp_path)
        more = await publish_fast(producer, config.genesis, _story(replace(chronicle, _count=10**6), 300)[PATIENTS:])
        offsets = {partition: offset + more.get(partition, 0) for partition, offset in offsets.items()}
        await asyncio.sleep(0.5)
        for worker in workers:
            worker.kill()
        workers += [await spawn_worker(config, tmp_path)]
        await wait_for_offsets(store, offsets, timeout_s=30)
    finally:
        for worker in workers:
            if worker.returncode is None:
                worker.kill()
            await worker.wait()
    disturbed = await dump(store, *REPLICATED)
    assert await _fold_undisturbed(config, second_database, offsets) == disturbed
    async with Store(second_database) as second:
        assert await _roots(second) == await _roots(store)
    assert sum(size for size, _ in await _roots(store)) == 3 * len(founding) + PATIENTS + EVENTS + 300


@pytest.mark.parametrize("victim", ["kafka", "postgres"])
async def test_a_server_that_is_killed_and_comes_back_loses_nothing(
    victim: str, genesis: Genesis, chronicle: Chronicle, config: WorkerConfig, tmp_path: Path
) -> None:
    async with EmbeddedKafka(tmp_path) as kafka, EmbeddedPostgres(tmp_path) as postgres:
        servers: dict[str, EmbeddedKafka | EmbeddedPostgres] = {"kafka": kafka, "postgres": postgres}
        config = replace(config, kafka=kafka.bootstrap, postgres=postgres.dsn(), max_batch_records=50)
        await provision(config.kafka, topics_of(genesis, "node"))
        async with running(config) as worker:
            founding = chronicle.founding()
            async with Publisher(config.kafka, genesis) as publisher:
                await _with_store(config, lambda store: found(publisher, store, genesis, founding))
            async with Producer(config.kafka) as producer:
                sent = await publish_fast(producer, genesis, _story(chronicle))
            await _with_store(config, lambda store: wait_for_size(store, {0: 100}))
            await servers[victim].kill()
            await asyncio.sleep(1)
            if victim == "kafka":  # an idle worker does not notice that PostgreSQL is away
                await until(lambda: bool(worker.health().away), 30)
            await servers[victim].start()
            offsets = _offsets(genesis, len(founding), sent)
            await _with_store(config, lambda store: wait_for_offsets(store, offsets, timeout_s=60))
            await _with_store(config, _wait_for_followers)
            await until(lambda: not worker.health().away, 30)
        async with Store(config.postgres) as store:
            sizes = sum(size for size, _ in await _roots(store))
            assert sizes == 3 * len(founding) + PATIENTS + EVENTS
            assert await store.halts() == []


async def _with_store(config: WorkerConfig, work: Callable[[Store], Awaitable[object]]) -> None:
    async with Store(config.postgres) as store:
        await store.create_schema(config.genesis)
        await store.seed(config.genesis)
        await work(store)


async def _wait_for_followers(store: Store) -> None:
    """Until checkpoints and entries topic have caught up with the commits."""
    async with asyncio.timeout(60 * STRETCH):
        for partition, head in (await store.heads()).items():
            while True:
                latest = await store.latest_checkpoint(partition)
                published = (await store.heads())[partition].published_index
                if latest is not None and (latest.size, published) == (head.size, head.size):
                    break
                await asyncio.sleep(0.05)
