"""The least that any such pipeline takes: records as they come from aiokafka into a bare table, by COPY.

One child of a crew; each has half of the partitions. It fetches the next records while the ones before are written,
as the fold does; it reads nothing in them. The table has offset, key and value for each partition, and no index.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition

from carenet.bench.crew import Task, Work, work_shift

TABLE = 'CREATE TABLE bare (partition integer, "offset" bigint, key bytea, value bytea)'
_COLUMNS = ("partition", "offset", "key", "value")
_BATCH_RECORDS = 4096  # as many as the fold takes at once
_PARTITION_BYTES = 4 << 20
_WAIT_MS = 200


async def prepare(stack: AsyncExitStack, task: Task) -> Work:
    """Connect and seek.

    Args:
        stack: closes the connections.
        task: `kafka`, `postgres`, `topic`, and `ranges`: first and end offset by partition.
    """
    ranges = {int(partition): bounds for partition, bounds in task["ranges"].items()}
    connection = await asyncpg.connect(task["postgres"])
    stack.push_async_callback(connection.close)
    consumer = AIOKafkaConsumer(
        bootstrap_servers=task["kafka"],
        auto_offset_reset="none",
        enable_auto_commit=False,
        fetch_max_wait_ms=10,
        max_partition_fetch_bytes=_PARTITION_BYTES,
    )
    await consumer.start()
    stack.push_async_callback(consumer.stop)

    async def work() -> int:
        places = [TopicPartition(task["topic"], partition) for partition in ranges]
        consumer.assign(places)
        for place in places:
            consumer.seek(place, ranges[place.partition][0])
        return await _copy_all(consumer, connection, sum(end - first for first, end in ranges.values()))

    return work


async def _copy_all(consumer: AIOKafkaConsumer, connection: asyncpg.Connection, wanted: int) -> int:
    count = 0
    writing: asyncio.Task[None] | None = None
    while count < wanted:
        fetched = await consumer.getmany(timeout_ms=_WAIT_MS, max_records=_BATCH_RECORDS)
        if writing is not None:
            await writing
        count += sum(map(len, fetched.values()))
        writing = asyncio.create_task(_copy(connection, fetched))
    if writing is not None:
        await writing
    return count


async def _copy(connection: asyncpg.Connection, fetched: dict[TopicPartition, list[Any]]) -> None:
    for place, records in fetched.items():  # one transaction each, as a partition of the fold has its own
        rows = [(place.partition, record.offset, record.key, record.value) for record in records]
        await connection.copy_records_to_table("bare", records=rows, columns=_COLUMNS)


if __name__ == "__main__":
    work_shift(prepare)
