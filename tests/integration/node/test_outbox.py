from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from aiokafka import AIOKafkaConsumer

from carenet.bus.looking import fetch_end_offsets
from carenet.bus.publishing import Producer, Record
from carenet.bus.topics import topics_of
from carenet.encoding.ids import encode_id
from carenet.errors import TransportError
from carenet.node.config import WorkerConfig
from carenet.node.feed import FeedEntry, decode_feed_record
from carenet.node.outbox import EntriesOutbox
from carenet.store.store import Store
from tests.support.chronicle import Chronicle
from tests.support.waiting import until
from tests.support.working import publish_fast, running, wait_for_size


async def _read(config: WorkerConfig, count: int) -> list[tuple[int, bytes, FeedEntry]]:
    """The first entries of the topic, with their partition and key."""
    topic = topics_of(config.genesis, config.node).entries.name
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=config.kafka, auto_offset_reset="earliest")
    await consumer.start()
    try:
        found = []
        async with asyncio.timeout(10):
            while len(found) < count:
                record = await consumer.getone()
                read = decode_feed_record(record.value)
                assert read.partition == record.partition
                found += [(record.partition, record.key, each) for each in read.entries]
        return found
    finally:
        await consumer.stop()


async def _fold(config: WorkerConfig, producer: Producer, store: Store, chronicle: Chronicle, events: int) -> None:
    anna = chronicle.patient("anna", 0)
    story = [*chronicle.founding(), chronicle.open(anna), *(chronicle.care(anna) for _ in range(events))]
    async with running(config):
        await publish_fast(producer, config.genesis, story)
        await wait_for_size(store, {0: len(story)})
        async with asyncio.timeout(10):
            while (await store.heads())[0].published_index < len(story):  # noqa: ASYNC110
                await asyncio.sleep(0.02)


async def test_committed_entries_are_published_in_order(
    config: WorkerConfig, store: Store, producer: Producer, chronicle: Chronicle
) -> None:
    await _fold(config, producer, store, chronicle, 700)
    entries = await store.read_entries(0, 0, 1000)
    wanted = [
        (0, encode_id(each.subject).encode(), FeedEntry(each.index, each.entry, each.statement)) for each in entries
    ]
    found = await _read(config, 703)
    for key in {key for _, key, _ in wanted}:
        assert [each for each in found if each[1] == key] == [each for each in wanted if each[1] == key]


async def test_what_was_not_marked_is_published_again(
    config: WorkerConfig, store: Store, producer: Producer, chronicle: Chronicle
) -> None:
    await _fold(config, producer, store, chronicle, 0)
    await store._fetch("UPDATE partition_state SET published_index = 1 WHERE partition = 0")
    topic = topics_of(config.genesis, config.node).entries.name
    task = asyncio.create_task(EntriesOutbox(store, producer, topic, 0).run())
    assert [each.index for _, _, each in await _read(config, 5)] == [0, 1, 2, 1, 2]
    task.cancel()
    await asyncio.wait({task})


class CutProducer(Producer):
    """A producer whose line is cut right before each send, until it is mended."""

    is_cut = True
    tries = 0

    async def send_all(self, topic: str, partition: int, records: Sequence[Record]) -> None:
        self.tries += 1
        if self.is_cut:
            raise TransportError("the line is cut")
        await super().send_all(topic, partition, records)


async def test_nothing_is_marked_before_it_was_sent(
    config: WorkerConfig, store: Store, producer: Producer, chronicle: Chronicle
) -> None:
    await _fold(config, producer, store, chronicle, 0)
    await store._fetch("UPDATE partition_state SET published_index = 1 WHERE partition = 0")
    topic = topics_of(config.genesis, config.node).entries.name
    async with CutProducer(config.kafka) as cut:
        task = asyncio.create_task(EntriesOutbox(store, cut, topic, 0).run())
        await until(lambda: cut.tries > 1)
        assert (await store.heads())[0].published_index == 1
        cut.is_cut = False
        assert [each.index for _, _, each in await _read(config, 5)] == [0, 1, 2, 1, 2]
        task.cancel()
        await asyncio.wait({task})


async def test_a_node_without_processors_publishes_no_entries(
    config: WorkerConfig, store: Store, producer: Producer, chronicle: Chronicle
) -> None:
    anna = chronicle.patient("anna", 0)
    story = [*chronicle.founding(), chronicle.open(anna), chronicle.care(anna)]
    async with running(replace(config, entries_topic=False)):
        await publish_fast(producer, config.genesis, story)
        await wait_for_size(store, {0: len(story)})
        await asyncio.sleep(0.5)  # an outbox that listens would have sent them by now
    topic = topics_of(config.genesis, config.node).entries.name
    assert sum((await fetch_end_offsets(config.kafka, topic)).values()) == 0
