from __future__ import annotations

import asyncio
import gc
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from carenet.bus.faults import LostHistoryError
from carenet.bus.looking import fetch_committed, fetch_end_offsets, fetch_records
from carenet.bus.publishing import Producer, Record
from carenet.bus.reading import Batch, BatchReader
from carenet.bus.topics import TopicSpec, check_topics, provision
from carenet.errors import CorruptionError, SetupError, TransportError
from carenet.local.kafka import EmbeddedKafka
from carenet.local.ports import free_port
from carenet.rules.prepare import RawRecord

PARTITIONS = 4


class Places:
    """Stands for the store: where each partition is read on, and what was asked."""

    def __init__(self) -> None:
        self.next_offsets = dict.fromkeys(range(PARTITIONS), 0)
        self.asked: list[frozenset[int]] = []

    async def __call__(self, partitions: frozenset[int]) -> dict[int, int]:
        self.asked.append(partitions)
        await asyncio.sleep(0)
        return {each: self.next_offsets[each] for each in partitions if each in self.next_offsets}


async def _fill(bootstrap: str, topic: str, count: int, *partitions: int) -> None:
    async with Producer(bootstrap) as producer:
        for partition in partitions or range(PARTITIONS):
            await producer.send_all(topic, partition, [Record(b"k", b"%d/%d" % (partition, n)) for n in range(count)])


async def _read(reader: BatchReader, until: Callable[[dict[int, list[RawRecord]]], bool]) -> dict[int, list[RawRecord]]:
    got: dict[int, list[RawRecord]] = {}
    async with asyncio.timeout(20):
        while not until(got):
            for batch in await reader.read(0.1):
                got.setdefault(batch.partition, []).extend(batch.records)
    return got


def _has(count: int) -> Callable[[dict[int, list[RawRecord]]], bool]:
    return lambda got: sum(map(len, got.values())) >= count


async def _until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not holds():  # noqa: ASYNC110 - no event tells what Kafka does to a group
            await asyncio.sleep(0.02)


@pytest.fixture
async def topic(kafka: EmbeddedKafka, topic_name: str) -> str:
    await provision(kafka.bootstrap, [TopicSpec(topic_name, PARTITIONS)])
    return topic_name


async def test_records_come_in_whole_batches_in_order_with_the_brokers_time(kafka: EmbeddedKafka, topic: str) -> None:
    before_ms = int(time.time() * 1000) - 1
    await _fill(kafka.bootstrap, topic, 500)
    batches: list[Batch] = []
    async with BatchReader(kafka.bootstrap, topic, topic, Places()) as reader:
        async with asyncio.timeout(20):
            while sum(len(batch.records) for batch in batches) < PARTITIONS * 500:
                batches += await reader.read(0.5)
        assert reader.assigned == frozenset(range(PARTITIONS))
        assert reader.lag() == dict.fromkeys(range(PARTITIONS), 0)
    assert len(batches) <= 4 * PARTITIONS, "whole batches, not records"
    for partition in range(PARTITIONS):
        records = [record for batch in batches if batch.partition == partition for record in batch.records]
        assert [record.offset for record in records] == list(range(500))
        assert [record.value for record in records] == [b"%d/%d" % (partition, n) for n in range(500)]
        assert {record.key for record in records} == {b"k"}
        assert all(record.is_log_append_time for record in records)
        assert all(before_ms <= record.timestamp_ms <= int(time.time() * 1000) + 1 for record in records)
    assert all(batch.next_offset == batch.records[-1].offset + 1 for batch in batches)


async def test_one_read_hands_out_at_most_max_records_and_the_next_one_goes_on(
    kafka: EmbeddedKafka, topic: str
) -> None:
    await _fill(kafka.bootstrap, topic, 100, 2)
    async with BatchReader(kafka.bootstrap, topic, topic, Places(), max_records=30) as reader:
        sizes, offsets = [], []
        async with asyncio.timeout(20):
            while len(offsets) < 100:
                for batch in await reader.read(0.5):
                    sizes.append(len(batch.records))
                    offsets += [record.offset for record in batch.records]
    assert sizes == [30, 30, 30, 10]
    assert offsets == list(range(100))


async def test_records_without_the_brokers_time_say_so(kafka: EmbeddedKafka, topic_name: str) -> None:
    own_time = {"message.timestamp.type": "CreateTime"}
    await provision(kafka.bootstrap, [TopicSpec(topic_name, PARTITIONS, settings=own_time)])
    await _fill(kafka.bootstrap, topic_name, 1, 0)
    async with BatchReader(kafka.bootstrap, topic_name, topic_name, Places()) as reader:
        got = await _read(reader, _has(1))
    assert not got[0][0].is_log_append_time


async def test_reading_starts_where_the_store_says_whatever_kafka_was_told(kafka: EmbeddedKafka, topic: str) -> None:
    await _fill(kafka.bootstrap, topic, 10)
    places = Places()
    async with BatchReader(kafka.bootstrap, topic, topic, places) as reader:
        await _read(reader, _has(40))
        await reader.report({0: 10, 1: 3, 2: 10})
    places.next_offsets |= {0: 4, 1: 9, 2: 10}
    async with BatchReader(kafka.bootstrap, topic, topic, places) as reader:
        got = await _read(reader, _has(6 + 1 + 10))
        assert await reader.read(0.2) == []
    assert {partition: records[0].offset for partition, records in got.items()} == {0: 4, 1: 9, 3: 0}
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    await admin.start()
    try:
        committed = await admin.list_consumer_group_offsets(topic)
    finally:
        await admin.close()
    assert {at.partition: each.offset for at, each in committed.items()} == {0: 10, 1: 3, 2: 10}


async def test_a_rewound_partition_is_asked_for_again_and_the_others_are_not(kafka: EmbeddedKafka, topic: str) -> None:
    await _fill(kafka.bootstrap, topic, 10)
    places = Places()
    async with BatchReader(kafka.bootstrap, topic, topic, places) as reader:
        await _read(reader, _has(40))
        places.next_offsets[1] = 7
        reader.rewind([1])
        got = await _read(reader, _has(3))
        assert await reader.read(0.2) == []
    assert {partition: [r.offset for r in records] for partition, records in got.items()} == {1: [7, 8, 9]}
    assert places.asked == [frozenset(range(PARTITIONS)), frozenset({1})]


async def test_a_partition_that_the_store_leaves_out_is_not_read(kafka: EmbeddedKafka, topic: str) -> None:
    await _fill(kafka.bootstrap, topic, 10)
    places = Places()
    del places.next_offsets[3]
    async with BatchReader(kafka.bootstrap, topic, topic, places) as reader:
        got = await _read(reader, _has(30))
        started = time.monotonic()
        assert await reader.read(0.5) == []
        assert time.monotonic() - started > 0.4, "waiting for the others is no busy loop"
    assert set(got) == {0, 1, 2}
    assert len(places.asked) == 1


async def test_what_locating_raises_reading_raises_and_the_next_read_asks_again(
    kafka: EmbeddedKafka, topic: str
) -> None:
    await _fill(kafka.bootstrap, topic, 1)
    places, failures = Places(), [TransportError("the store is away")]

    async def locate(partitions: frozenset[int]) -> dict[int, int]:
        if failures:
            raise failures.pop()
        return await places(partitions)

    async with BatchReader(kafka.bootstrap, topic, topic, locate) as reader:
        with pytest.raises(TransportError, match="the store is away"):
            await _read(reader, _has(4))
        await _read(reader, _has(4))


async def test_a_log_that_ends_before_the_stores_offset_is_lost_history_and_others_are_read_on(
    kafka: EmbeddedKafka, topic: str
) -> None:
    await _fill(kafka.bootstrap, topic, 10)
    places = Places()
    places.next_offsets |= {1: 11, 2: 10}
    async with BatchReader(kafka.bootstrap, topic, topic, places) as reader:
        with pytest.raises(LostHistoryError, match="partition 1 does not reach to offset 11") as caught:
            await _read(reader, lambda _: False)
        assert isinstance(caught.value, CorruptionError)
        assert (caught.value.partition, caught.value.offset) == (1, 11)
        reader.abandon(1)
        await _fill(kafka.bootstrap, topic, 5)
        got = await _read(reader, lambda got: {0, 2, 3} <= {each for each in got if got[each][-1].offset == 14})
    assert set(got) == {0, 2, 3}


async def test_a_log_whose_beginning_was_deleted_is_lost_history(kafka: EmbeddedKafka, topic: str) -> None:
    await _fill(kafka.bootstrap, topic, 10, 0)
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    await admin.start()
    try:
        await admin.delete_records({TopicPartition(topic, 0): RecordsToDelete(before_offset=5)})
    finally:
        await admin.close()
    async with BatchReader(kafka.bootstrap, topic, topic, Places()) as reader:
        with pytest.raises(LostHistoryError, match="partition 0"):
            await _read(reader, lambda _: False)


async def test_two_readers_share_the_partitions_and_one_takes_over_from_the_other(
    kafka: EmbeddedKafka, topic: str
) -> None:
    """Each reader notes what it has handled before it reads on, as a worker commits to the store."""
    places = Places()
    handled: dict[int, list[int]] = {each: [] for each in range(PARTITIONS)}
    joined = {"first": False, "second": False}

    async def work(name: str, reader: BatchReader) -> None:
        while True:
            for batch in await reader.read(0.1):
                if places.next_offsets[batch.partition] == batch.records[0].offset:  # the compare-and-set
                    handled[batch.partition] += [record.offset for record in batch.records]
                    places.next_offsets[batch.partition] = batch.next_offset
            joined[name] = bool(reader.assigned)

    async def total(count: int) -> None:
        await _until(lambda: sum(map(len, handled.values())) >= count)

    async with BatchReader(kafka.bootstrap, topic, topic, places) as first:
        one = asyncio.create_task(work("first", first))
        await _fill(kafka.bootstrap, topic, 50)
        await total(200)
        async with BatchReader(kafka.bootstrap, topic, topic, places) as second:
            two = asyncio.create_task(work("second", second))
            await _until(lambda: len(first.assigned) == len(second.assigned) == PARTITIONS // 2)
            assert not first.assigned & second.assigned
            await _fill(kafka.bootstrap, topic, 50)
            await total(400)
            two.cancel()
            await asyncio.wait([two])
        await _fill(kafka.bootstrap, topic, 50)
        await total(600)
        assert first.assigned == frozenset(range(PARTITIONS))
        one.cancel()
        await asyncio.wait([one])
    assert all(joined.values())
    assert handled == {each: list(range(150)) for each in range(PARTITIONS)}


async def test_an_assignment_that_changes_while_locating_waits_is_located_again(
    kafka: EmbeddedKafka, topic: str
) -> None:
    await _fill(kafka.bootstrap, topic, 5)
    places, hold = Places(), asyncio.Event()

    async def locate(partitions: frozenset[int]) -> dict[int, int]:
        answer = await places(partitions)
        await hold.wait()
        return answer

    async with BatchReader(kafka.bootstrap, topic, topic, locate) as slow:
        reading = asyncio.create_task(_read(slow, _has(10)))
        await _until(lambda: bool(places.asked))
        async with BatchReader(kafka.bootstrap, topic, topic, Places()) as other:
            await _read(other, _has(10))
            hold.set()
            got = await reading
            assert set(got) == slow.assigned
            assert len(slow.assigned) == 2
    assert len(places.asked) >= 2


async def test_a_record_written_is_read_at_once(kafka: EmbeddedKafka, topic: str) -> None:
    waits = []
    async with BatchReader(kafka.bootstrap, topic, topic, Places()) as reader, Producer(kafka.bootstrap) as producer:
        while not reader.assigned:
            await reader.read(0.1)
        await reader.read(0.5)
        for n in range(10):
            reading = asyncio.create_task(reader.read(5))
            await asyncio.sleep(0.02)
            await producer.send(topic, n % PARTITIONS, b"k", b"v")
            sent = time.monotonic()
            assert (await reading)[0].partition == n % PARTITIONS
            waits.append(time.monotonic() - sent)
    assert sorted(waits)[5] < 0.1


async def test_a_reader_goes_on_by_itself_after_its_broker_was_killed(server_folder: Path, topic_name: str) -> None:
    own = EmbeddedKafka(server_folder / topic_name)
    await own.start()
    try:
        await provision(own.bootstrap, [TopicSpec(topic_name, PARTITIONS)])
        await _fill(own.bootstrap, topic_name, 5)
        async with BatchReader(own.bootstrap, topic_name, topic_name, Places()) as reader:
            await _read(reader, _has(20))
            await own.kill()
            assert await reader.read(0.5) == []
            await own.start()
            await _fill(own.bootstrap, topic_name, 5)
            got = await _read(reader, _has(20))
            assert all([record.offset for record in records] == [5, 6, 7, 8, 9] for records in got.values())
            await own.kill()
            started = time.monotonic()
        assert time.monotonic() - started < 7, "leaving does not wait for a broker that is away"
    finally:
        await own.stop()


async def test_joining_at_a_dead_broker_is_a_transport_error() -> None:
    async with asyncio.timeout(5):
        with pytest.raises(TransportError, match="joining"):
            async with BatchReader(f"127.0.0.1:{free_port()}", "topic", "group", Places()):
                pass


async def test_single_records_and_ends_can_be_looked_up(kafka: EmbeddedKafka, topic: str) -> None:
    await _fill(kafka.bootstrap, topic, 3, 0, 1)
    assert await fetch_end_offsets(kafka.bootstrap, topic) == {0: 3, 1: 3, 2: 0, 3: 0}
    found = await fetch_records(kafka.bootstrap, topic, {0: 2, 1: 3, 2: 0, 3: -1})
    assert found[0] is not None
    assert (found[0].offset, found[0].value) == (2, b"0/2")
    assert {found[1], found[2], found[3]} == {None}
    with pytest.raises(SetupError, match="does not exist"):
        await fetch_end_offsets(kafka.bootstrap, f"{topic}.missing")


async def test_how_far_a_group_says_it_is_can_be_looked_up(kafka: EmbeddedKafka, topic: str) -> None:
    await _fill(kafka.bootstrap, topic, 3)
    async with BatchReader(kafka.bootstrap, topic, f"{topic}.group", Places()) as reader:
        await _read(reader, _has(12))
        await reader.report({0: 3, 2: 1})
    assert await fetch_committed(kafka.bootstrap, f"{topic}.group", topic) == {0: 3, 2: 1}
    assert await fetch_committed(kafka.bootstrap, f"{topic}.group", "another") == {}
    assert await fetch_committed(kafka.bootstrap, f"{topic}.silent", topic) == {}
    with pytest.raises(TransportError):
        await fetch_committed(f"127.0.0.1:{free_port()}", "group", topic, timeout_s=2)


@pytest.mark.parametrize("look", ["ends", "committed", "ready", "topics"])
async def test_a_look_that_is_cancelled_leaves_no_connection_open(kafka: EmbeddedKafka, topic: str, look: str) -> None:
    looks = {
        "ends": lambda: fetch_end_offsets(kafka.bootstrap, topic),
        "committed": lambda: fetch_committed(kafka.bootstrap, topic, topic),
        "ready": kafka.is_ready,
        "topics": lambda: check_topics(kafka.bootstrap, [TopicSpec(topic, PARTITIONS)]),
    }
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for passes in range(0, 400, 4):
            looking: asyncio.Task[object] = asyncio.ensure_future(looks[look]())
            for _ in range(passes):  # turns of the loop, so that each await is met
                await asyncio.sleep(0)
            looking.cancel()
            await asyncio.wait({looking})
        gc.collect()
    assert [str(each.message) for each in caught if each.category is ResourceWarning] == []


def test_a_reader_tells_the_person_on_call_its_state_and_no_more() -> None:
    assert repr(BatchReader("host:1", "topic", "group", Places())) == "<BatchReader group of topic: 0 partitions>"
