"""One timed round: a network's care events from the topic into a fresh database, by the fold or by the bare pipeline.

A round of the fold:
1. the database is a copy of the prepared one, so that the control statements are folded and no care event is;
2. two workers, the processes that `carenet up` runs, start and share out the partitions. Before its first fetch each
   clears old halts of its partitions: a lock on that table is the starting gate, and when both wait there, both have
   their partitions (`ground` says why these are their final ones) and have fetched nothing;
3. the gate opens, which is when the clock starts; the commit after which no partition has anything left stops it.
   Commits are heard by their notifications, so nothing is polled meanwhile.

CPU is that of workers, PostgreSQL and Kafka between the same two moments. A round counts only if every event became an
entry; all rounds of a network must come to the same roots.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from itertools import chain

import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition

from carenet.bench import bare
from carenet.bench.cpu import read_cpu_s
from carenet.bench.crew import crew
from carenet.bench.ground import BenchNetwork, Ground, Published
from carenet.bus.topics import topics_of
from carenet.errors import CorruptionError, SetupError
from carenet.local.own import STREAMS
from carenet.local.process import ChildProcess, Command
from carenet.node.feed import decode_feed_record
from carenet.store.listening import Listener, listen

WORKERS = 2  # one a core

_DATABASE = "round"
_GATE_S = 60.0
_STALLED_S = 30.0
_POLL_S = 0.01
_CLOSE_GATE = "LOCK TABLE halts IN SHARE MODE"
_WAITING = "SELECT count(*) FROM pg_locks WHERE relation = 'halts'::regclass AND NOT granted"
_SIZE = "SELECT sum(size)::bigint FROM partition_state"
_REFUSED = "SELECT reason, count(*) FROM rejections GROUP BY reason"
_RESULT = "SELECT partition, next_offset, size, encode(frontier, 'hex') AS frontier FROM partition_state"


@dataclass(frozen=True, slots=True)
class Round:
    """What one round took.

    Attributes:
        events: care events.
        seconds: from the first fetch to the last commit.
        cpu_s: of workers, PostgreSQL and Kafka.
        state: what the log came to, to be compared between rounds; empty for the bare pipeline.
    """

    events: int
    seconds: float
    cpu_s: float
    state: tuple[tuple[int, int, str], ...] = ()

    @property
    def per_s(self) -> float:
        """Events a second."""
        return self.events / self.seconds

    @property
    def cpu_us(self) -> float:
        """Microseconds of CPU an event."""
        return self.cpu_s / self.events * 1e6


async def run_bare(on: Ground, network: BenchNetwork, published: Published) -> Round:
    """The bare pipeline over a network's care events.

    Raises:
        SetupError: a process failed.
    """
    dsn = await on.recreate(_DATABASE)
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(bare.TABLE)
    finally:
        await connection.close()
    partitions = sorted(published.ends)
    shares = [partitions[number::WORKERS] for number in range(WORKERS)]
    common = {"kafka": on.kafka.bootstrap, "postgres": dsn, "topic": network.genesis.topic}
    tasks = [
        {**common, "ranges": {each: [published.starts[each], published.ends[each]] for each in share}}
        for share in shares
    ]
    async with crew(on.directory / "crew", bare.__name__, tasks) as children:
        roots = [*on.pids, *children.pids]
        before_s = read_cpu_s(roots)
        children.go()
        shifts = await children.finished()
        cpu_s = read_cpu_s(roots) - before_s
    took_s = max(each.ended_s for each in shifts) - min(each.began_s for each in shifts)
    return Round(published.events, took_s, cpu_s)


async def run_fold(on: Ground, network: BenchNetwork, published: Published, *, entries_topic: bool = False) -> Round:
    """The fold over a network's care events.

    Args:
        on: the servers.
        network: prepared.
        published: what its topic holds.
        entries_topic: whether the workers hand their entries on; then the clock stops when the last one is handed on.

    Raises:
        SetupError: a worker ended, or stands still.
        CorruptionError: an event did not become an entry.
    """
    dsn = await on.recreate(_DATABASE, network.prepared)
    async with AsyncExitStack() as stack:
        gate = await stack.enter_async_context(_gate(dsn))
        listener = await stack.enter_async_context(listen(dsn))
        handed = await stack.enter_async_context(_Handed.on(on, network)) if entries_topic else None
        workers = await stack.enter_async_context(_workers(on, network, dsn, entries_topic=entries_topic))
        roots = [*on.pids, *(worker.pid for worker in workers)]
        await gate.wait_for(workers)
        before_s, began_s = read_cpu_s(roots), time.time()
        await gate.open()
        await _wait_for_commits(listener, published, workers)
        ended_s, cpu_s = time.time(), read_cpu_s(roots) - before_s
        if handed is not None:
            ended_s = max(ended_s, await handed.wait_for(published.events))
        took_s = ended_s - began_s
        return Round(published.events, took_s, cpu_s, await gate.read_state(published))


class _Gate:
    """Keeps workers from their first fetch; a connection in a transaction."""

    def __init__(self, lock: asyncpg.Connection, eye: asyncpg.Connection, size: int) -> None:
        self._lock, self._eye, self._size = lock, eye, size

    async def wait_for(self, workers: Sequence[ChildProcess]) -> None:
        """Until each worker waits; the last one's partitions were taken from the others' by then."""
        deadline = time.monotonic() + _GATE_S
        while await self._eye.fetchval(_WAITING) < len(workers):
            _check_alive(workers)
            if time.monotonic() > deadline:
                raise SetupError("the fold workers did not come to the start")
            await asyncio.sleep(_POLL_S)

    async def open(self) -> None:
        await self._lock.execute("ROLLBACK")

    async def read_state(self, published: Published) -> tuple[tuple[int, int, str], ...]:
        """What the log came to; every care event must be an entry."""
        rows = await self._eye.fetch(_RESULT)
        if sum(row["size"] for row in rows) - self._size != published.events:
            refused = await self._eye.fetch(_REFUSED)
            reasons = ", ".join(f"{row['count']} {row['reason']}" for row in refused) or "some are missing"
            raise CorruptionError(f"not every event of the bench became an entry: {reasons}")
        return tuple(sorted((row["partition"], row["size"], row["frontier"]) for row in rows))


@asynccontextmanager
async def _gate(dsn: str) -> AsyncIterator[_Gate]:
    lock = await asyncpg.connect(dsn)
    eye = await asyncpg.connect(dsn)
    try:
        await lock.execute("BEGIN")
        await lock.execute(_CLOSE_GATE)
        yield _Gate(lock, eye, await eye.fetchval(_SIZE))
    finally:
        lock.terminate()
        eye.terminate()


@asynccontextmanager
async def _workers(
    on: Ground, network: BenchNetwork, dsn: str, *, entries_topic: bool
) -> AsyncIterator[list[ChildProcess]]:
    environment = os.environ | {
        "CARENET_DIR": str(network.directory),
        "CARENET_KAFKA": on.kafka.bootstrap,
        "CARENET_POSTGRES": dsn,
        "CARENET_NODE": network.genesis.nodes[0].name,
        "CARENET_ROLES": "timeline",
        "CARENET_ENTRIES_TOPIC": "1" if entries_topic else "0",
    }
    commands = [
        Command((sys.executable, *STREAMS), on.directory / f"fold-{number}.log", env=environment, grace_s=5.0)
        for number in range(WORKERS)
    ]
    workers = [ChildProcess(command) for command in commands]
    try:
        for worker in workers:
            await worker.start()
        yield workers
        await asyncio.gather(*(worker.stop() for worker in workers))  # so that their group is empty for the next
    finally:
        for worker in workers:
            await worker.kill()


def _check_alive(workers: Sequence[ChildProcess]) -> None:
    for worker in workers:
        if not worker.is_running:
            raise SetupError(f"a fold worker ended with exit code {worker.exit_code}; its log is {worker.command.log}")


async def _wait_for_commits(listener: Listener, published: Published, workers: Sequence[ChildProcess]) -> None:
    left = {partition for partition, end in published.ends.items() if end > published.starts[partition]}
    moved_s = time.monotonic()
    while left:
        for news in await listener.wait(1.0):
            moved_s = time.monotonic()
            if news.next_offset >= published.ends[news.partition]:
                left.discard(news.partition)
        _check_alive(workers)
        if time.monotonic() - moved_s > _STALLED_S:
            raise SetupError(f"the fold stands still; the workers' logs are beside {workers[0].command.log}")


class _Handed:
    """Reads how many entries came to the node's entries topic since the round began."""

    def __init__(self, consumer: AIOKafkaConsumer) -> None:
        self._consumer = consumer

    @classmethod
    @asynccontextmanager
    async def on(cls, on: Ground, network: BenchNetwork) -> AsyncIterator[_Handed]:
        topic = topics_of(network.genesis, network.genesis.nodes[0].name).entries.name
        consumer = AIOKafkaConsumer(bootstrap_servers=on.kafka.bootstrap, enable_auto_commit=False)
        await consumer.start()
        try:
            places = [TopicPartition(topic, each) for each in range(network.genesis.partitions)]
            consumer.assign(places)
            consumer.pause(*places)  # nothing is read before the fold is over
            for place, end in (await consumer.end_offsets(places)).items():
                consumer.seek(place, end)
            yield cls(consumer)
        finally:
            await consumer.stop()

    async def wait_for(self, events: int) -> float:
        """Read until there were so many; the time of the last record, seconds since 1970."""
        self._consumer.resume(*self._consumer.assignment())
        left, last_ms = events, 0
        while left > 0:
            found = await self._consumer.getmany(timeout_ms=int(_STALLED_S * 1000))
            if not found:
                raise SetupError("the entries topic did not get every entry")
            for record in chain.from_iterable(found.values()):
                left -= len(decode_feed_record(record.value).entries)
                last_ms = max(last_ms, record.timestamp)
        return last_ms / 1000
