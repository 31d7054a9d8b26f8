"""The timeline is a pure function of the log: whoever folds it, however, has the same bytes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest_asyncio

from carenet.bus.publishing import Producer, Publisher
from carenet.bus.topics import provision, topics_of
from carenet.node.config import WorkerConfig
from carenet.statements.records import RecordValue
from carenet.store.store import Store
from tests.support.actors import actor
from tests.support.chronicle import Chronicle
from tests.support.refolding import assert_same_rows, compute_roots, dump_replicated, fresh_database, read_topic
from tests.support.working import found, publish_fast, running, wait_for_offsets

PATIENTS, EVENTS = 12, 1200


@pytest_asyncio.fixture(loop_scope="session")
async def second_store(store: Store, unique_name: Callable[[str], str]) -> AsyncIterator[Store]:
    """Another node's."""
    async with fresh_database(store.dsn, unique_name("again")) as dsn, Store(dsn) as opened:
        yield opened


def _story(chronicle: Chronicle) -> list[RecordValue]:
    """All that a fold meets: openings, grants, withdrawals, care data, repeats, and much that is refused."""
    nurse = actor("nurse")
    patients = [chronicle.patient(f"patient {number}", number % 3) for number in range(PATIENTS)]
    story = [chronicle.open(patient) for patient in patients]
    for number in range(EVENTS):
        patient = patients[number * 5 % PATIENTS]
        value = chronicle.care(patient, type_="care.condition" if number % 7 == 0 else "care.observation")
        story.append(value)
        if number % 40 == 3:
            story.append(value)
        if number % 50 == 4:
            story.append(replace(chronicle.care(patient), body=b"another"))
            story.append(replace(value, statement=value.statement[:-1] + bytes([value.statement[-1] ^ 1])))
        if number % 60 == 5:
            story.append(chronicle.give(patient, nurse if number % 120 == 5 else chronicle.clinician))
    story += [chronicle.withdraw(patient, chronicle.clinician) for patient in patients[:5]]
    story += [chronicle.care(patient) for patient in patients]  # sealed to an epoch that is stale for five of them
    return story


async def test_other_batches_and_other_numbers_of_workers_give_the_same_bytes(  # noqa: PLR0917
    config: WorkerConfig,
    store: Store,
    second_store: Store,
    publisher: Publisher,
    producer: Producer,
    chronicle: Chronicle,
) -> None:
    genesis = config.genesis
    founding = [*chronicle.founding(), chronicle.admit(actor("nurse"), ("clinician",), chronicle.hospital)]
    async with AsyncExitStack() as several:
        for _ in range(3):
            await several.enter_async_context(running(replace(config, max_batch_records=17)))
        await found(publisher, store, genesis, founding)
        await publish_fast(producer, genesis, _story(chronicle))
        log = await read_topic(config.kafka, genesis.topic, genesis.partitions)
        ends = {partition: len(records) for partition, records in log.items()}
        await wait_for_offsets(store, ends)
    other = replace(config, node="again", postgres=second_store.dsn, max_batch_records=1000)
    await provision(config.kafka, topics_of(genesis, "again"))
    await second_store.create_schema(genesis)
    await second_store.seed(genesis)
    async with running(other):
        await wait_for_offsets(second_store, ends)
    one, two = await dump_replicated(store), await dump_replicated(second_store)
    assert_same_rows(one, two)
    assert await compute_roots(store, genesis) == await compute_roots(second_store, genesis)
    _assert_met_everything(one, sum(ends.values()))


def _assert_met_everything(dump: dict[str, list[tuple[object, ...]]], records: int) -> None:
    """The story was not idle: every table but the reactions has rows, tiles too, and refusals are of several kinds."""
    assert {name for name, rows in dump.items() if not rows} == {"reactions"}
    assert len(dump["entries"]) + len(dump["rejections"]) == records
    reasons = {row[2] for row in dump["rejections"]}
    assert reasons >= {"duplicate", "body_mismatch", "bad_signature", "stale_epoch"}
