"""Two workers share a node's partitions; one is killed, and the other has its partitions within ten seconds."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment
from aiokafka.errors import GroupCoordinatorNotAvailableError

from carenet.bus.publishing import Producer
from carenet.bus.topics import fold_group_of
from carenet.node.config import WorkerConfig
from carenet.store.store import Store
from tests.support.waiting import STRETCH, until_answered
from tests.support.working import spawn_worker

TAKE_OVER_S = 10.0
PARTITIONS = range(3)


async def _fetch_shares(config: WorkerConfig) -> dict[str, set[int]]:
    """Which partitions each member of the fold's group has, as Kafka says."""
    admin = AIOKafkaAdminClient(bootstrap_servers=config.kafka)
    await admin.start()
    try:
        (answer,) = await admin.describe_consumer_groups([fold_group_of(config.genesis, config.node)])
        ((_, _, state, _, _, members, *_),) = answer.groups
    except GroupCoordinatorNotAvailableError:  # nobody has joined a group on this Kafka yet
        return {}
    finally:
        await admin.close()
    if state != "Stable":
        return {}
    shares = {}
    for member, _, _, _, encoded in members:
        assigned = ConsumerProtocolMemberAssignment.decode(encoded).assignment
        shares[member] = {partition for _, partitions in assigned for partition in partitions}
    return shares


async def _wait_for_shares(config: WorkerConfig, members: int) -> dict[str, set[int]]:
    shares: dict[str, set[int]] = {}

    async def is_shared_out() -> bool:
        nonlocal shares
        shares = await _fetch_shares(config)
        return len(shares) == members and all(shares.values())

    await until_answered(is_shared_out, 30)
    return shares


@asynccontextmanager
async def _sending(config: WorkerConfig, producer: Producer) -> AsyncIterator[None]:
    """Ten records a second in every partition meanwhile."""

    async def send() -> None:
        for number in range(10**6):
            for partition in PARTITIONS:
                await producer.send(config.genesis.topic, partition, b"key", f"nothing {number}".encode())
            await asyncio.sleep(0.1)

    task = asyncio.create_task(send())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


async def test_a_killed_workers_partitions_go_on_within_ten_seconds(
    config: WorkerConfig, store: Store, producer: Producer, tmp_path: Path
) -> None:
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
    workers = [await spawn_worker(config, folders[0])]
    try:
        (first,) = await _wait_for_shares(config, 1)
        workers.append(await spawn_worker(config, folders[1]))
        async with _sending(config, producer):
            orphans = (await _wait_for_shares(config, 2))[first]
            workers[0].kill()
            killed_s = time.monotonic()
            await workers[0].wait()
            behind = await store.next_offsets()

            async def have_moved() -> bool:
                decided = await store.next_offsets()
                return all(decided[each] > behind[each] for each in orphans)

            await until_answered(have_moved, 3 * TAKE_OVER_S)
            assert time.monotonic() - killed_s < TAKE_OVER_S * STRETCH
    finally:
        for worker in workers:
            if worker.returncode is None:
                worker.kill()
            await worker.wait()
    # Each record was decided once, by one or the other.
    for partition, next_offset in (await store.next_offsets()).items():
        assert [each.offset for each in await store.read_rejections(partition, 0, 10**6)] == list(range(next_offset))
