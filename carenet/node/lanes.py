"""The lanes of a worker's partitions: opened where the store says, opened anew after a failure, halted when they must.

What follows from what ended a lane:
- PostgreSQL or Kafka was away, or another worker moved the partition on: after a pause the partition is located again.
  If it is still ours a new lane goes on from the store's state; if not, Kafka says so meanwhile and we let go.
- Topic or tables are not what was signed (CorruptionError): the partition is halted. Its lane ends, nothing more is
  read of it, the reason is logged and kept in the table `halts`; the next assignment looks again.
- Anything else is a mistake of ours: the same record would bring it about again, so after three in a row without a
  commit between them the partition is halted too. The others go on.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Mapping

import structlog

from carenet.bus.faults import LostHistoryError
from carenet.bus.publishing import Producer
from carenet.bus.reading import Batch, BatchReader
from carenet.bus.topics import Topics
from carenet.errors import CorruptionError, SetupError, TransportError
from carenet.node.backoff import Backoff
from carenet.node.checkpoints import CheckpointSigner
from carenet.node.config import WorkerConfig
from carenet.node.continuity import find_breaks
from carenet.node.health import Standing
from carenet.node.lane import Lane
from carenet.node.metrics import FoldMetrics
from carenet.node.outbox import EntriesOutbox, SilentOutbox
from carenet.node.pipeline import Pipeline
from carenet.rules.prepare import scope_of
from carenet.rules.rows import PartitionState
from carenet.store.store import Store

_STRIKES = 3

_log = structlog.get_logger(__name__)


class Lanes:
    """Keeps a lane for each partition that a worker has.

    Args:
        config: the worker's.
        topics: the node's.
        store: the node's.
        producer: to Kafka, for checkpoints and entries.
        metrics: counts.

    Attributes:
        reader: reads the records; set before the first one is read, since it asks `locate` in turn.
        halted: why partitions are not served.
    """

    reader: BatchReader

    def __init__(
        self,
        config: WorkerConfig,
        topics: Topics,
        store: Store,
        producer: Producer,
        *,
        metrics: FoldMetrics,
    ) -> None:
        self._config, self._topics, self._store, self._producer = config, topics, store, producer
        self._metrics = metrics
        self._lanes: dict[int, Lane] = {}
        self._opened_at: dict[int, int] = {}  # offset at which each partition's last lane began
        self._backoffs: dict[int, Backoff] = {}
        self._strikes: dict[int, int] = {}
        self._doubts: dict[int, int] = {}  # offset that Kafka said it does not have, by partition
        self.halted: dict[int, str] = {}
        self._unsaved: dict[int, str] = {}  # reasons of halts that the store does not know yet

    def __repr__(self) -> str:
        return f"<Lanes: {sorted(self._lanes)}>"

    def next_offsets(self) -> dict[int, int]:
        """How far each partition that has a lane was committed."""
        return {partition: lane.state.next_offset for partition, lane in self._lanes.items()}

    def standings(self) -> dict[int, Standing]:
        """How far each partition that has a lane is."""
        lags = self.reader.lag()
        return {partition: lane.stand(lags.get(partition, 0)) for partition, lane in self._lanes.items()}

    async def locate(self, partitions: frozenset[int]) -> Mapping[int, int]:
        """Open a lane for each of these partitions where the store says; see `BatchReader`.

        Raises:
            TransportError: PostgreSQL or Kafka does not answer; ask again.
            SetupError: the database or the topic is not there.
        """
        await self._stop(partitions)
        states = [await self._store.load_state(each) for each in sorted(partitions)]
        breaks = await self._find_breaks(states)
        for partition, reason in breaks.items():
            self._halt(partition, reason)
        sound = [state for state in states if state.partition not in breaks]
        for state in sound:
            await self._store.clear_halt(state.partition)
            self.halted.pop(state.partition, None)
            self._open(state)
        return {state.partition: state.next_offset for state in sound}

    async def offer(self, batch: Batch) -> None:
        """Hand a batch to its lane; without one it is dropped, and read again when the partition is located."""
        lane = self._lanes.get(batch.partition)
        if lane is not None:
            await lane.offer(batch)

    async def keep_only(self, assigned: frozenset[int]) -> None:
        """Let go of partitions that are no longer ours."""
        await self._stop(self._lanes.keys() - assigned)

    async def stop(self) -> None:
        """End all lanes; commits under way come to their end."""
        await self._stop(list(self._lanes))

    def doubt(self, lost: LostHistoryError) -> None:
        """Kafka says that it does not have an offset that comes next: look again, and believe it the second time."""
        if self._doubts.get(lost.partition) == lost.offset:
            self._halt(lost.partition, str(lost))
            return
        self._doubts[lost.partition] = lost.offset
        self.reader.rewind([lost.partition])

    async def check_continuity(self) -> None:
        """Halt the partitions whose topic is not the one that was folded; called from time to time."""
        with contextlib.suppress(TransportError):  # then the next look will do
            breaks = await self._find_breaks([lane.state for lane in self._lanes.values()])
            for partition, reason in breaks.items():
                self._halt(partition, reason)
            await self._stop(breaks)

    async def save_halts(self) -> None:
        """Keep the reasons of halts in the store, for whoever shows the node's health."""
        for partition, reason in list(self._unsaved.items()):
            with contextlib.suppress(TransportError):  # it was logged; the next call tries again
                await self._store.save_halt(partition, reason)
                self._unsaved.pop(partition, None)

    async def _find_breaks(self, states: Iterable[PartitionState]) -> dict[int, str]:
        return await find_breaks(self._store, self._config.kafka, self._topics.events.name, states)

    async def _stop(self, partitions: Iterable[int]) -> None:
        lanes = [lane for each in list(partitions) if (lane := self._lanes.pop(each, None)) is not None]
        await asyncio.gather(*(lane.stop() for lane in lanes))

    def _open(self, state: PartitionState) -> None:
        genesis, store = self._config.genesis, self._store
        scope = scope_of(genesis, state.partition)
        outbox = EntriesOutbox if self._config.entries_topic else SilentOutbox
        lane = Lane(
            state,
            store,
            Pipeline(store, scope),
            signer=CheckpointSigner(
                store,
                self._producer,
                self._topics.checkpoints.name,
                state,
                network=scope.network,
                key=self._config.keys.sign_key,
            ),
            outbox=outbox(store, self._producer, self._topics.entries.name, state.partition),
            metrics=self._metrics,
        )
        self._lanes[state.partition] = lane
        self._opened_at[state.partition] = state.next_offset
        lane.start(self._on_failure)
        _log.info("partition_taken", partition=state.partition, next_offset=state.next_offset)

    def _on_failure(self, lane: Lane, error: Exception) -> None:
        partition = lane.partition
        if self._lanes.get(partition) is not lane:
            return  # it was replaced or let go meanwhile
        del self._lanes[partition]
        self._metrics.count_failure(type(error).__name__)
        if lane.state.next_offset > self._opened_at[partition]:
            self._backoffs.pop(partition, None)
            self._strikes.pop(partition, None)
        if isinstance(error, CorruptionError):
            self._halt(partition, str(error))
        elif isinstance(error, TransportError | SetupError):  # servers away, or an access rule that a person mends
            _log.warning("partition_interrupted", partition=partition, error=str(error))
            self._locate_later(partition)
        else:
            self._strike(partition, error)

    def _strike(self, partition: int, error: Exception) -> None:
        self._strikes[partition] = self._strikes.get(partition, 0) + 1
        _log.error("unexpected_error", partition=partition, exc_info=error)
        if self._strikes[partition] >= _STRIKES:
            self._halt(partition, f"unexpected error: {type(error).__name__}")
        else:
            self._locate_later(partition)

    def _locate_later(self, partition: int) -> None:
        delay_s = self._backoffs.setdefault(partition, Backoff()).next_s()
        asyncio.get_running_loop().call_later(delay_s, self._locate_again, partition)

    def _locate_again(self, partition: int) -> None:
        if partition not in self._lanes:  # else it was assigned anew meanwhile
            self.reader.rewind([partition])

    def _halt(self, partition: int, reason: str) -> None:
        self.reader.abandon(partition)
        self._unsaved[partition] = reason
        self.halted[partition] = reason
        _log.error("partition_halted", partition=partition, reason=reason)
