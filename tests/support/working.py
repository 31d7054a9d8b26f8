"""Running fold workers in tests, in this process or in one that can be killed, and publishing a story to them."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

from carenet.bus.publishing import Producer, Publisher, Record
from carenet.encoding.ids import encode_id
from carenet.node.config import WorkerConfig
from carenet.node.identity import save_node_keys
from carenet.node.worker import FoldWorker
from carenet.statements.genesis import Genesis
from carenet.statements.records import RecordValue, RelayProof, encode_record, partition_of
from carenet.statements.statement import parse_statement
from carenet.store.proofs import fetch_inclusion
from carenet.store.store import Store
from tests.support.waiting import STRETCH

_PROGRAM = """
import asyncio, sys
from pathlib import Path
from carenet.node.config import WorkerConfig
from carenet.node.identity import load_node_keys
from carenet.node.worker import FoldWorker
from carenet.statements.genesis import parse_genesis
folder, kafka, postgres, node, records = sys.argv[1:]
genesis = parse_genesis((Path(folder) / "network.cbor").read_bytes())
keys = load_node_keys(Path(folder) / "node.key")
asyncio.run(FoldWorker(WorkerConfig(kafka, postgres, genesis, node, keys, int(records))).run())
"""


@asynccontextmanager
async def running(config: WorkerConfig) -> AsyncIterator[FoldWorker]:
    """A worker in this process, stopped at the end; what it raises, this raises."""
    worker = FoldWorker(config)
    task = asyncio.create_task(worker.run())
    try:
        yield worker
        worker.stop()
        async with asyncio.timeout(15 * STRETCH):
            await task
    finally:
        task.cancel()
        await asyncio.wait({task})


async def spawn_worker(config: WorkerConfig, folder: Path) -> asyncio.subprocess.Process:
    """A worker in a process of its own, whose output goes to `worker.log` in the folder."""
    if not (folder / "node.key").exists():
        (folder / "network.cbor").write_bytes(config.genesis.encode())
        save_node_keys(config.keys, folder / "node.key")
    arguments = (str(folder), str(config.kafka), config.postgres, config.node, str(config.max_batch_records))
    with (folder / "worker.log").open("ab") as log:
        return await asyncio.create_subprocess_exec(sys.executable, "-c", _PROGRAM, *arguments, stdout=log, stderr=log)


async def wait_for_size(store: Store, sizes: dict[int, int], timeout_s: float = 20.0) -> None:
    """Return when each of these partitions has at least so many entries."""
    async with asyncio.timeout(timeout_s * STRETCH):
        while True:
            heads = await store.heads()
            if all(heads[partition].size >= size for partition, size in sizes.items()):
                return
            await asyncio.sleep(0.02)


async def wait_for_offsets(store: Store, offsets: dict[int, int], timeout_s: float = 30.0) -> None:
    """Return when each of these partitions is decided up to its offset."""
    async with asyncio.timeout(timeout_s * STRETCH):
        while True:
            decided = await store.next_offsets()
            if all(decided[partition] >= offset for partition, offset in offsets.items()):
                return
            await asyncio.sleep(0.02)


async def publish(publisher: Publisher, values: Iterable[RecordValue]) -> None:
    """Publish statements one after the other."""
    for value in values:
        await publisher.publish(parse_statement(value.statement).header.subject, value)


async def publish_fast(producer: Producer, genesis: Genesis, values: Iterable[RecordValue]) -> dict[int, int]:
    """Publish statements in large batches; the number of records by partition."""
    network_key = encode_id(genesis.network_id)
    by_partition: dict[int, list[Record]] = {}
    for value in values:
        key = encode_id(parse_statement(value.statement).header.subject)
        partition = partition_of(key, network_key, genesis.partitions)
        by_partition.setdefault(partition, []).append(Record(key.encode(), encode_record(value)))
    for partition, records in by_partition.items():
        await producer.send_all(genesis.topic, partition, records)
    return {partition: len(records) for partition, records in by_partition.items()}


async def found(publisher: Publisher, store: Store, genesis: Genesis, values: list[RecordValue]) -> None:
    """Publish network statements to partition 0 and relay them to the others, as a node's relay does."""
    await publish(publisher, values)
    await wait_for_size(store, {0: len(values)})
    async with asyncio.timeout(10 * STRETCH):
        while (checkpoint := await store.checkpoint_covering(0, len(values) - 1)) is None:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    for entry in await store.read_entries(0, 0, len(values)):
        path = await fetch_inclusion(store, 0, entry.index, checkpoint.size)
        proof = RelayProof(entry.entry, entry.index, tuple(path), checkpoint.note)
        for partition in range(1, genesis.partitions):
            await publisher.relay(partition, RecordValue(entry.statement, entry.body, proof))
    await wait_for_size(store, dict.fromkeys(range(genesis.partitions), len(values)))
