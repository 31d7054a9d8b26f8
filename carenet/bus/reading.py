"""Reading the events topic in whole batches, each partition from the place that the store names.

Workers of one node are a consumer group and share the partitions; Kafka says who reads which, and nothing else: the
offset in PostgreSQL is the truth, so the reader asks `locate` where to start each time it is given a partition, and
Kafka's committed offsets are never read. The steps of an assignment:

1. Kafka revokes everything at each rebalance: from that moment no record of the old assignment is handed out.
2. Kafka assigns; this only notes the partitions, since no heartbeat is sent while its callback runs.
3. The next `read` asks `locate` for their offsets, seeks, and hands out records from there.

Not done here: deciding records, and fencing. A worker that was cut off and does not know it (a zombie) is stopped by
the store's compare-and-set, not by Kafka.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import NoOffsetForPartitionError, OffsetOutOfRangeError

from carenet.bus.faults import LostHistoryError, connect_or_close, ends_within, limit_repeated_logs, translated
from carenet.bus.security import KafkaAt, client_options, open_client
from carenet.errors import TransportError
from carenet.rules.prepare import RawRecord

Locate = Callable[[frozenset[int]], Awaitable[Mapping[int, int]]]

_LOG_APPEND_TIME = 1
_SESSION_TIMEOUT_S = 6.0  # a killed worker's partitions are free after this
_HEARTBEAT_S = 1.0  # and a rebalance is noticed within this
_STALLED_S = 60.0  # a worker that has not read for so long loses its partitions to one that does
# One fetch a broker is under way, and a partition's next record may wait so long for its end. When much comes, a fetch
# gathers for longer: every batch costs all that handle it, and latency grows least where none of them falls behind.
_FETCH_WAIT_MS, _FETCH_BYTES = 10, 1
_BUSY_WAIT_MS, _BUSY_BYTES = 25, 1 << 20
_BUSY_RECORDS = 24  # of one read
_PARTITION_BYTES = 12 << 20  # a whole batch of usual records, so that a backlog is folded in large transactions
_START_TIMEOUT_S = 30.0
_STOP_TIMEOUT_S = 3.0


@dataclass(frozen=True, slots=True)
class Batch:
    """Consecutive records of one partition.

    Attributes:
        partition: its number.
        records: at least one, by rising offset; gaps are legal.
    """

    partition: int
    records: tuple[RawRecord, ...]

    @property
    def next_offset(self) -> int:
        """Where reading goes on: the last record's offset and one."""
        return self.records[-1].offset + 1


class BatchReader:
    """A member of a node's group of workers; an async context manager.

    Args:
        at: where Kafka is, and how to log in.
        topic: the events topic.
        group: the consumer group, `fold_group_of`.
        locate: told newly assigned partitions, answers the first offset to read of each, and leaves out those that
            must not be read. It lets writes to them that are under way come to their end first. What it raises,
            `read` raises.
        max_records: most records that one `read` hands out.
        session_timeout_s: seconds of silence after which Kafka gives the partitions to others.

    Raises:
        TransportError: on entering, if Kafka cannot be reached.
        SetupError: on entering, if Kafka does not take the login.
    """

    def __init__(
        self,
        at: KafkaAt,
        topic: str,
        group: str,
        locate: Locate,
        *,
        max_records: int = 4096,
        session_timeout_s: float = _SESSION_TIMEOUT_S,
    ) -> None:
        self._at = at
        self._topic = topic
        self._group = group
        self._locate = locate
        self._max_records = max_records
        self._session_timeout_s = session_timeout_s
        self._consumer: AIOKafkaConsumer | None = None
        self._assigned: frozenset[int] = frozenset()
        self._positions: dict[int, int] = {}
        self._abandoned: set[int] = set()
        self._generation = 0  # counts the times that Kafka took the partitions back

    def __repr__(self) -> str:
        return f"<BatchReader {self._group} of {self._topic}: {len(self._assigned)} partitions>"

    @property
    def assigned(self) -> frozenset[int]:
        """The partitions that Kafka gives to this member now."""
        return self._assigned

    async def __aenter__(self) -> Self:
        limit_repeated_logs()
        self._consumer = AIOKafkaConsumer(
            **client_options(self._at),
            group_id=self._group,
            enable_auto_commit=False,
            auto_offset_reset="none",
            isolation_level="read_uncommitted",
            session_timeout_ms=int(self._session_timeout_s * 1000),
            heartbeat_interval_ms=int(min(_HEARTBEAT_S, self._session_timeout_s / 3) * 1000),
            max_poll_interval_ms=int(_STALLED_S * 1000),
            fetch_max_wait_ms=_FETCH_WAIT_MS,
            fetch_min_bytes=_FETCH_BYTES,
            max_partition_fetch_bytes=_PARTITION_BYTES,
        )
        self._consumer.subscribe([self._topic], listener=_Listener(self._on_revoked, self._on_assigned))
        connecting = open_client(self._at, self._consumer.start())
        await connect_or_close(f"joining {self._group} at {self._at}", _START_TIMEOUT_S, connecting, self._close)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._close()

    async def read(self, timeout_s: float) -> list[Batch]:
        """The next records of the partitions that this member has, at most one batch for each.

        Cancelling it loses nothing: records count as handed out only when it returns.

        Args:
            timeout_s: seconds to wait for a first record; nothing arrived, nothing is returned.

        Raises:
            LostHistoryError: a partition's log ends before the offset that comes next, or begins after it. Others can
                be read on after `abandon`.
            TransportError: Kafka refuses. (While no broker answers, nothing arrives.)
        """
        await self._position()
        with translated(f"reading {self._topic}"):
            fetched = await self._fetch(timeout_s)
        self._pace(sum(map(len, fetched.values())))
        return [batch for each, records in fetched.items() if (batch := self._take(each.partition, records))]

    def rewind(self, partitions: Iterable[int]) -> None:
        """Ask `locate` again for these partitions before their next records: after a failed commit, for example."""
        for partition in partitions:
            self._positions.pop(partition, None)

    def abandon(self, partition: int) -> None:
        """Read nothing more of a partition until the next assignment."""
        if partition in self._assigned:
            self._open.pause(TopicPartition(self._topic, partition))
            self._abandoned.add(partition)

    def lag(self) -> dict[int, int]:
        """How many offsets each partition that is being read is behind its end, as far as the last fetch told."""
        ends = {each: self._open.highwater(TopicPartition(self._topic, each)) for each in self._positions}
        return {each: max(0, end - self._positions[each]) for each, end in ends.items() if end is not None}

    async def report(self, next_offsets: Mapping[int, int]) -> bool:
        """Commit offsets to Kafka, where only displays of lag read them; a failure is no matter, but for the display.

        Returns:
            Whether Kafka took them. While no broker answers, nothing else says so: nothing arrives.
        """
        held = {TopicPartition(self._topic, each): at for each, at in next_offsets.items() if each in self._assigned}
        if not held:
            return True
        with contextlib.suppress(TransportError), translated("reporting offsets"):
            async with asyncio.timeout(_STOP_TIMEOUT_S):
                await self._open.commit(held)
            return True
        return False

    @property
    def _open(self) -> AIOKafkaConsumer:
        if self._consumer is None:
            raise RuntimeError("the reader is not open")
        return self._consumer

    def _on_revoked(self) -> None:
        self._generation += 1
        self._assigned = frozenset()
        self._positions.clear()
        self._abandoned.clear()

    def _on_assigned(self, partitions: Iterable[int]) -> None:
        self._assigned = frozenset(partitions)

    async def _position(self) -> None:
        """Seek in every partition that has no position yet."""
        while fresh := self._assigned - self._positions.keys() - self._abandoned:
            generation = self._generation
            offsets = await self._locate(fresh)
            if generation != self._generation:  # assigned anew while we waited: the answer may be another's by now
                continue
            for partition in fresh:
                self._open.seek(TopicPartition(self._topic, partition), offsets.get(partition, 0))
                if partition in offsets:
                    self._positions[partition] = offsets[partition]
                else:
                    self.abandon(partition)

    async def _fetch(self, timeout_s: float) -> Mapping[TopicPartition, list[Any]]:
        fetched: dict[TopicPartition, list[Any]] = {}
        try:
            fetched = await self._open.getmany(timeout_ms=int(timeout_s * 1000), max_records=self._max_records)
        except NoOffsetForPartitionError:
            pass  # aiokafka looked for a place to start before we named one; the next read seeks
        except OffsetOutOfRangeError as exc:
            for each, offset in exc.args[0].items():
                if each.partition in self._positions:
                    raise LostHistoryError(each.partition, offset) from exc
        return fetched

    def _pace(self, records: int) -> None:
        """Let the next fetch gather for longer, or not, after a read of so many."""
        fetcher = self._open._fetcher  # noqa: SLF001 - aiokafka takes both when the consumer is made only
        is_busy = records >= _BUSY_RECORDS
        fetcher._fetch_max_wait_ms = _BUSY_WAIT_MS if is_busy else _FETCH_WAIT_MS  # noqa: SLF001
        fetcher._fetch_min_bytes = _BUSY_BYTES if is_busy else _FETCH_BYTES  # noqa: SLF001

    def _take(self, partition: int, records: list[Any]) -> Batch | None:
        if partition not in self._positions or not records:
            return None  # fetched from elsewhere between assignment and seek; the seek brings back what we want
        batch = Batch(partition, tuple(map(raw_record, records)))
        self._positions[partition] = batch.next_offset
        return batch

    async def _close(self) -> None:
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await stop_consumer(consumer)


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc] # aiokafka is untyped
    """Hands on what Kafka says about an assignment; must not wait, since no heartbeat is sent meanwhile."""

    def __init__(self, revoked: Callable[[], None], assigned: Callable[[Iterable[int]], None]) -> None:
        self._revoked = revoked
        self._assigned = assigned

    def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:  # noqa: ARG002 - it is always all
        self._revoked()

    def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        self._assigned(each.partition for each in assigned)


def raw_record(record: Any) -> RawRecord:
    """A record of aiokafka as the fold takes it."""
    return RawRecord(
        record.offset, record.key, record.value, record.timestamp, record.timestamp_type == _LOG_APPEND_TIME
    )


async def stop_consumer(consumer: AIOKafkaConsumer) -> None:
    """Leave the group and disconnect, within a time limit however Kafka is."""
    if not await ends_within(_STOP_TIMEOUT_S, consumer.stop()):
        await consumer._client.close()  # noqa: SLF001 - aiokafka has no call for closing without saying goodbye
