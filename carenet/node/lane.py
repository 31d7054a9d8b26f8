"""One partition while this worker serves it: records in, commits out, checkpoints and entries behind them.

Four tasks share a lane's life: `prepare` parses and verifies the next batch while `commit` decides and writes the one
before; `checkpoints` and `outbox` follow the commits. A lane never retries a batch: whatever fails ends the lane, and
the worker asks the store where the partition is and opens another. So there is one way back, after a lost connection,
a commit of which nobody knows whether it happened, and a partition that another worker moved on.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import structlog

from carenet.bus.reading import Batch
from carenet.node.checkpoints import CheckpointSigner
from carenet.node.health import Standing
from carenet.node.metrics import FoldMetrics
from carenet.node.outbox import EntriesOutbox
from carenet.node.pipeline import Pipeline, PreparedBatch
from carenet.rules.rows import PartitionState
from carenet.store.faults import UsedId
from carenet.store.store import Store

_FINISH_S = 3.0  # for a commit that is under way when the lane is stopped

_log = structlog.get_logger(__name__)


class Lane:
    """Folds one partition from a state on.

    Args:
        state: the partition as the store has it.
        store: where batches are committed.
        pipeline: decides them.
        signer: is told of commits, and runs beside.
        outbox: the same.
        metrics: counts.
    """

    def __init__(
        self,
        state: PartitionState,
        store: Store,
        pipeline: Pipeline,
        *,
        signer: CheckpointSigner,
        outbox: EntriesOutbox,
        metrics: FoldMetrics,
    ) -> None:
        self.state = state
        self._store, self._pipeline, self._signer, self._outbox = store, pipeline, signer, outbox
        self._metrics = metrics
        self._offered_to = state.next_offset
        self._inbox: asyncio.Queue[Batch] = asyncio.Queue(maxsize=1)
        self._prepared: asyncio.Queue[PreparedBatch] = asyncio.Queue(maxsize=1)
        self._committing = asyncio.Lock()  # held while a batch is decided and committed
        self._is_stopping = False
        self._task: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<Lane {self.partition}: at offset {self.state.next_offset}, size {self.state.tree.size}>"

    @property
    def partition(self) -> int:
        """The partition's number."""
        return self.state.partition

    def stand(self, unread: int) -> Standing:
        """How far it is.

        Args:
            unread: records of the topic that were not offered yet.
        """
        state = self.state
        return Standing(
            next_offset=state.next_offset,
            undecided=unread + max(0, self._offered_to - state.next_offset),
            log_time_ms=state.log_time_ms,
            unsigned=max(0, state.tree.size - self._signer.signed_size),
            unpublished=self._outbox.count_unpublished(state.tree.size),
        )

    def start(self, on_failure: Callable[[Lane, Exception], None]) -> None:
        """Begin; `on_failure` is told what ended the lane, unless it was stopped."""

        def is_done(task: asyncio.Task[None]) -> None:
            error = None if task.cancelled() else task.exception()
            if isinstance(error, Exception) and not self._is_stopping:
                on_failure(self, error)

        self._task = asyncio.create_task(self._run(), name=f"lane {self.partition}")
        self._task.add_done_callback(is_done)

    async def offer(self, batch: Batch) -> None:
        """Hand over the next records; waits while the lane is busy, and drops them when it has ended."""
        assert self._task is not None, "a lane is started before records are offered"
        self._offered_to = batch.next_offset
        putting = asyncio.ensure_future(self._inbox.put(batch))
        try:
            await asyncio.wait({putting, self._task}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            putting.cancel()

    async def stop(self) -> None:
        """End it: a commit that is under way comes to its end first, for a few seconds; nothing else is begun."""
        self._is_stopping = True
        if self._task is None:
            return
        try:
            async with asyncio.timeout(_FINISH_S), self._committing:
                pass
        except TimeoutError:
            _log.warning("commit_cut_off", partition=self.partition)
        self._task.cancel()
        await asyncio.wait({self._task})

    async def _run(self) -> None:
        tasks = (self._prepare_batches(), self._commit_batches(), self._signer.run(), self._outbox.run())
        try:
            async with asyncio.TaskGroup() as group:
                for task in tasks:
                    group.create_task(task)
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None  # the first one ended the others

    async def _prepare_batches(self) -> None:
        while True:
            batch = await self._inbox.get()
            with self._metrics.measure("prepare"):
                prepared = await self._pipeline.prepare(batch.records)
            await self._prepared.put(prepared)

    async def _commit_batches(self) -> None:
        while True:
            batch = await self._prepared.get()
            async with self._committing:
                if self._is_stopping:
                    return
                await self._commit(batch)

    async def _commit(self, batch: PreparedBatch) -> None:
        began_s = time.perf_counter()
        with self._metrics.measure("decide"):
            effects = await self._pipeline.decide(batch, self.state)
        with self._metrics.measure("commit"):
            try:
                await self._store.commit(effects)
            except UsedId:
                effects = await self._pipeline.decide_again(batch, self.state)
                await self._store.commit(effects)
        self.state = effects.state
        self._pipeline.note_commit(effects)
        self._metrics.count(effects)
        if effects.accepted:
            self._signer.note_commit(effects.state, effects.is_urgent)
            self._outbox.note_commit(effects.accepted, effects.is_urgent)
        _log.debug(
            "committed",
            partition=self.partition,
            next_offset=effects.state.next_offset,
            accepted=len(effects.accepted),
            rejected=len(effects.rejected),
            ms=round((time.perf_counter() - began_s) * 1000, 1),
        )
