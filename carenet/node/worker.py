"""The fold worker: a service that shares a node's partitions with its like and folds those that it is given.

    worker = FoldWorker(config)
    await worker.run()          # until `worker.stop()`; PostgreSQL and Kafka may go away and come back

What it does, in order:
1. judges crafted signatures, checks the topics' settings, makes and seeds the schema;
2. joins the node's consumer group, and opens a lane for each partition that it is given (`lanes`);
3. hands each batch to its partition's lane: while a lane commits, its next batch is prepared and the one after read;
4. tells Kafka from time to time how far it is, for displays of lag, and looks whether the topic is still the same.

Not done here: deciding (`pipeline`), one partition's commits (`lane`), what follows from a failure (`lanes`).
"""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack

import structlog

from carenet.bus.faults import LostHistoryError
from carenet.bus.publishing import Producer
from carenet.bus.reading import BatchReader
from carenet.bus.topics import check_topics, fold_group_of, topics_of
from carenet.errors import TransportError
from carenet.node.backoff import Backoff
from carenet.node.config import WorkerConfig
from carenet.node.health import Standing, WorkerHealth
from carenet.node.lanes import Lanes
from carenet.node.metrics import FoldMetrics
from carenet.node.selftest import check_signature_rule
from carenet.store.store import Store

_READ_S = 0.2  # how long one read waits; also how soon a stop is noticed
_REPORT_EVERY_S = 5.0
_LOOK_EVERY_S = 1.0  # and how old the figures for displays may be

_log = structlog.get_logger(__name__)


class FoldWorker:
    """See the module header.

    Args:
        config: which node's worker, and where its servers are.

    Attributes:
        metrics: what it counts.
    """

    def __init__(self, config: WorkerConfig) -> None:
        self._config = config
        self._topics = topics_of(config.genesis, config.node)
        self._stopping = asyncio.Event()
        self._lanes: Lanes | None = None  # while there are servers
        self._away: dict[str, str] = {}  # what failed last, by what was tried
        self._standings: dict[int, Standing] = {}  # as of the last look
        self.metrics = FoldMetrics(self.health)

    def __repr__(self) -> str:
        return f"<FoldWorker of {self._topics.events.name} for {self._config.node}>"

    def health(self) -> WorkerHealth:
        """How it is: the partitions' figures as of up to a second ago, the rest now. Any thread may ask."""
        lanes, away = self._lanes, tuple(self._away.copy().values())
        if lanes is None:
            return WorkerHealth(away=away)
        assigned = lanes.reader.assigned
        halted = {each: reason for each, reason in lanes.halted.copy().items() if each in assigned}
        return WorkerHealth(assigned, halted, away, self._standings)

    def stop(self) -> None:
        """Let `run` come to its end: commits under way are finished, the partitions given back."""
        self._stopping.set()

    async def run(self) -> None:
        """Fold until `stop`.

        Raises:
            SetupError: a topic is missing or set otherwise, the database is another network's, or this machine judges
                signatures otherwise than the network.
            KeyFileError: the genesis names no node with these keys.
        """
        check_signature_rule()
        self._config.keys.find_in(self._config.genesis)
        backoff = Backoff()
        while not self._stopping.is_set():
            try:
                await self._serve(backoff)
            except TransportError as exc:
                _log.warning("servers_away", error=str(exc))
                self._away = {"starting": str(exc)}
                await self._pause(backoff.next_s())

    async def _serve(self, backoff: Backoff) -> None:
        """Open what is needed and fold; servers that go away for a while are waited for inside."""
        config = self._config
        async with AsyncExitStack() as stack:
            await check_topics(config.kafka, self._topics)
            store = await stack.enter_async_context(Store(config.postgres))
            await store.create_schema(config.genesis)
            await store.seed(config.genesis)
            producer = await stack.enter_async_context(Producer(config.kafka))
            lanes = Lanes(config, self._topics, store, producer, metrics=self.metrics)
            reader = await stack.enter_async_context(self._reader(lanes))
            self._lanes, self._away = lanes, {}
            stack.callback(setattr, self, "_lanes", None)
            # Before the group is left, so that whoever takes over finds no commit of ours under way.
            stack.push_async_callback(lanes.stop)
            backoff.reset()
            _log.info("worker_started", topic=self._topics.events.name, node=config.node)
            await self._read(reader, lanes)

    def _reader(self, lanes: Lanes) -> BatchReader:
        config = self._config
        reader = BatchReader(
            config.kafka,
            self._topics.events.name,
            fold_group_of(config.genesis, config.node),
            lanes.locate,
            max_records=config.max_batch_records,
            session_timeout_s=config.session_timeout_s,
        )
        lanes.reader = reader
        return reader

    async def _read(self, reader: BatchReader, lanes: Lanes) -> None:
        backoff = Backoff()
        reported_s = checked_s = looked_s = time.monotonic()
        while not self._stopping.is_set():
            try:
                batches = await reader.read(_READ_S)
                backoff.reset()
                self._away.pop("reading", None)
            except LostHistoryError as exc:
                lanes.doubt(exc)
                continue
            except TransportError as exc:
                _log.warning("reading_delayed", error=str(exc))
                self._away["reading"] = str(exc)
                await self._pause(backoff.next_s())
                continue
            await lanes.keep_only(reader.assigned)
            for batch in batches:
                await lanes.offer(batch)
            now_s = time.monotonic()
            if now_s - looked_s > _LOOK_EVERY_S:
                looked_s, self._standings = now_s, lanes.standings()
            if now_s - reported_s > _REPORT_EVERY_S:
                reported_s = now_s
                self._note_report(await reader.report(lanes.next_offsets()))
            if now_s - checked_s > self._config.check_every_s:
                checked_s = now_s
                await lanes.check_continuity()
            await lanes.save_halts()

    def _note_report(self, is_taken: bool) -> None:
        if is_taken:
            self._away.pop("reporting", None)
        else:
            self._away["reporting"] = "Kafka does not take the offsets that are reported"

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            pass
