from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

from carenet.bus.publishing import Producer
from carenet.bus.topics import TopicSpec, provision
from carenet.node.config import WorkerConfig
from carenet.node.continuity import find_breaks
from carenet.statements.records import encode_record
from carenet.store.store import Store
from tests.support.chronicle import Chronicle
from tests.support.waiting import STRETCH
from tests.support.working import publish_fast, running, wait_for_offsets, wait_for_size


async def _halted(store: Store, partition: int) -> str:
    async with asyncio.timeout(15 * STRETCH):
        while True:
            for halt in await store.halts():
                if halt.partition == partition:
                    return halt.reason
            await asyncio.sleep(0.05)


async def _fold_rejections(config: WorkerConfig, store: Store, producer: Producer, count: int) -> None:
    """Decide some records in each partition, without needing a story."""
    async with running(config):
        for partition in range(3):
            for number in range(count):
                await producer.send(config.genesis.topic, partition, b"key", f"nothing {number}".encode())
        await wait_for_offsets(store, dict.fromkeys(range(3), count))


async def _continue_on(topic: str, config: WorkerConfig, store: Store) -> dict[int, str]:
    states = [await store.load_state(partition) for partition in range(3)]
    return await find_breaks(store, config.kafka, topic, states)


async def test_the_topic_that_was_folded_continues(config: WorkerConfig, store: Store, producer: Producer) -> None:
    topic = config.genesis.topic
    assert await _continue_on(topic, config, store) == {}
    await _fold_rejections(config, store, producer, 2)
    assert await _continue_on(topic, config, store) == {}


async def test_a_topic_that_ends_before_what_was_decided_is_found_out(
    config: WorkerConfig, store: Store, producer: Producer, unique_name: Callable[[str], str]
) -> None:
    await _fold_rejections(config, store, producer, 2)
    shorter = unique_name("shorter")
    await provision(config.kafka, [TopicSpec(shorter, 3)])
    for partition in (0, 1):
        for number in range(partition + 1):
            await producer.send(shorter, partition, b"key", f"nothing {number}".encode())
    breaks = await _continue_on(shorter, config, store)
    assert sorted(breaks) == [0, 2]
    assert breaks[2] == "at offset 1 the topic has no record any more"


async def test_another_record_at_the_last_offset_is_found_out(
    config: WorkerConfig, store: Store, producer: Producer, chronicle: Chronicle, unique_name: Callable[[str], str]
) -> None:
    founding = chronicle.founding()
    async with running(config):
        await publish_fast(producer, config.genesis, founding)
        await producer.send(config.genesis.topic, 1, b"key", b"nothing")
        await wait_for_offsets(store, {0: 2, 1: 1})
    other = unique_name("other")
    await provision(config.kafka, [TopicSpec(other, 3)])
    for value in reversed(founding):  # by hand: a genesis with another topic is another network
        await producer.send(other, 0, b"key", encode_record(value))
    await producer.send(other, 1, b"key", b"something")
    breaks = await _continue_on(other, config, store)
    assert sorted(breaks) == [0, 1]
    assert breaks[0] == "at offset 1 the topic has another record"


async def test_a_partition_whose_topic_differs_is_halted_and_the_others_go_on(
    config: WorkerConfig, store: Store, producer: Producer, chronicle: Chronicle
) -> None:
    founding = chronicle.founding()
    await _fold_rejections(config, store, producer, 2)
    await store._fetch("UPDATE rejections SET head = 'other' WHERE partition = 2 AND \"offset\" = 1")
    async with running(config) as worker:
        assert "another record" in await _halted(store, 2)
        await publish_fast(producer, config.genesis, founding)
        await producer.send(config.genesis.topic, 2, b"key", b"nothing more")
        await wait_for_size(store, {0: 2})
        assert worker.metrics.registry.get_sample_value("carenet_fold_halted", {"partition": "2"}) == 1
    assert (await store.next_offsets())[2] == 2
    await store._fetch("UPDATE rejections SET head = 'nothing 1' WHERE partition = 2 AND \"offset\" = 1")
    async with running(config):
        await wait_for_offsets(store, {2: 3})
        assert await store.halts() == []


async def test_a_worker_that_runs_notices_that_the_topic_is_another(
    config: WorkerConfig, store: Store, producer: Producer
) -> None:
    await _fold_rejections(config, store, producer, 1)
    async with running(replace(config, check_every_s=0.3)):
        await producer.send(config.genesis.topic, 1, b"key", b"nothing 1")
        await wait_for_offsets(store, {1: 2})
        await store._fetch("UPDATE rejections SET head = 'other' WHERE partition = 1")
        assert "another record" in await _halted(store, 1)


async def test_a_topic_that_ends_before_the_stores_offset_halts_the_partition(
    config: WorkerConfig, store: Store, producer: Producer
) -> None:
    await _fold_rejections(config, store, producer, 2)
    await store._fetch("UPDATE partition_state SET next_offset = 5 WHERE partition = 1")
    async with running(config):
        assert await _halted(store, 1)
    assert (await store.next_offsets())[1] == 5
