"""Looking into a topic without joining a group: where its partitions end, and single records in them.

For a worker that is given a partition (is the last folded record still there, and the same?), for `doctor` and for a
supervisor that asks whether a worker stands still while the topic grows.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import OffsetOutOfRangeError

from carenet.bus.faults import finish_connecting, limit_repeated_logs, translated
from carenet.bus.reading import raw_record, stop_consumer
from carenet.bus.security import KafkaAt, client_options, open_client
from carenet.bus.topics import open_admin
from carenet.errors import SetupError
from carenet.rules.prepare import RawRecord

_TIMEOUT_S = 10.0


async def fetch_end_offsets(at: KafkaAt, topic: str, timeout_s: float = _TIMEOUT_S) -> dict[int, int]:
    """The offset after the last record of each partition, in the partitions' order.

    Raises:
        SetupError: there is no such topic.
        TransportError: Kafka does not answer.
    """
    async with _look(at, topic, timeout_s) as (consumer, partitions):
        ends = await consumer.end_offsets(partitions)
        return {each.partition: ends[each] for each in partitions}


async def fetch_committed(at: KafkaAt, group: str, topic: str, timeout_s: float = _TIMEOUT_S) -> dict[int, int]:
    """How far a consumer group says that it is, by partition; those of which it has said nothing are left out.

    Raises:
        SetupError: Kafka does not take the login, or does not allow it.
        TransportError: Kafka does not answer.
    """
    async with open_admin(at, timeout_s, f"the group {group}") as admin:
        committed = await admin.list_consumer_group_offsets(group)
    return {at.partition: each.offset for at, each in committed.items() if at.topic == topic and each.offset >= 0}


async def fetch_records(
    at: KafkaAt, topic: str, places: Mapping[int, int], timeout_s: float = _TIMEOUT_S
) -> dict[int, RawRecord | None]:
    """The record at one offset of each of several partitions; None where the log has none at exactly that offset.

    Args:
        at: where Kafka is, and how to log in.
        topic: a topic that exists.
        places: offsets by partition.
        timeout_s: seconds for all of them.

    Raises:
        SetupError: there is no such topic.
        TransportError: Kafka does not answer.
    """
    found: dict[int, RawRecord | None] = {}
    async with _look(at, topic, timeout_s) as (consumer, partitions):
        ends = await consumer.end_offsets(partitions)
        for partition, offset in places.items():
            place = TopicPartition(topic, partition)
            found[partition] = await _fetch_one(consumer, place, offset) if 0 <= offset < ends.get(place, 0) else None
    return found


async def _fetch_one(consumer: AIOKafkaConsumer, place: TopicPartition, offset: int) -> RawRecord | None:
    consumer.assign([place])
    consumer.seek(place, offset)
    try:
        record = raw_record(await consumer.getone(place))
    except OffsetOutOfRangeError:
        return None
    return record if record.offset == offset else None


@asynccontextmanager
async def _look(
    at: KafkaAt, topic: str, timeout_s: float
) -> AsyncIterator[tuple[AIOKafkaConsumer, list[TopicPartition]]]:
    limit_repeated_logs()
    with translated(f"looking into {topic} at {at}"):
        consumer = AIOKafkaConsumer(
            **client_options(at),
            auto_offset_reset="none",
            enable_auto_commit=False,
            fetch_max_wait_ms=100,
            request_timeout_ms=int(timeout_s * 1000),
        )
        try:
            async with asyncio.timeout(timeout_s):
                await finish_connecting(open_client(at, consumer.start()))
                cluster = await consumer._client.fetch_all_metadata()  # noqa: SLF001 - `topics` hides the partitions
                partitions = cluster.partitions_for_topic(topic)
                if not partitions:
                    raise SetupError(f"topic {topic} does not exist")
                yield consumer, [TopicPartition(topic, each) for each in sorted(partitions)]
        finally:
            await stop_consumer(consumer)
