"""Relaying the network's own statements from partition 0, which decides them, to every other partition.

A reconciliation, not a queue: a partition lacks what partition 0 has beyond its own next sequence number of the
network's subject, both as the store says. What it lacks is sent in order with its proof, and is pending until the store
shows that the fold applied it. So nothing is lost by a crash, a missed wake-up or a record that was refused, and
several nodes that relay the same do no harm: the fold refuses repeats as `duplicate`.

What was sent and has not moved for a second is sent again; nothing is sent twice before that.
Not done here: deciding, and signing checkpoints. A statement waits here until a checkpoint covers it.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import structlog

from carenet.bus.publishing import Publisher
from carenet.bus.security import KafkaAt
from carenet.errors import TransportError
from carenet.statements.genesis import Genesis
from carenet.statements.records import NETWORK_PARTITION, RecordValue, RelayProof
from carenet.store.proofs import fetch_inclusion
from carenet.store.store import Store
from carenet.store.stored import StoredEntry

RESEND_S = 1.0  # what was sent and changed nothing for so long is sent again

IDLE_S = 1.0  # how often the store is looked at without being woken
_PENDING_S = 0.2  # how often while something is under way
_UNCOVERED_S = 0.02  # how often while a checkpoint is awaited, which the node signs at once for these statements
_ROUND = 64  # statements that one round sends to a partition

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Lane:
    """The way to one partition: what it has, what was sent, and when either changed last."""

    next_seq: int
    sent_to: int
    moved_s: float


class Schedule:
    """What is due to which partition; a value that is told times and heads, and asks nobody."""

    def __init__(self) -> None:
        self._lanes: dict[int, _Lane] = {}

    def due(self, heads: Mapping[int, int], now_s: float) -> dict[int, int]:
        """The partitions to which something must be sent, with the first sequence number each.

        Args:
            heads: next sequence number of the network's subject by partition, partition 0 among them.
            now_s: a clock that never goes back, seconds.
        """
        return {
            partition: lane.sent_to
            for partition, next_seq in heads.items()
            if partition != NETWORK_PARTITION
            and (lane := self._look(partition, next_seq, now_s)).sent_to < heads[NETWORK_PARTITION]
        }

    def sent(self, partition: int, next_seq: int, now_s: float) -> None:
        """Note that everything before `next_seq` is on its way to a partition."""
        lane = self._lanes[partition]
        lane.sent_to, lane.moved_s = next_seq, now_s

    def _look(self, partition: int, next_seq: int, now_s: float) -> _Lane:
        lane = self._lanes.setdefault(partition, _Lane(next_seq, next_seq, now_s))
        if next_seq != lane.next_seq:
            lane.next_seq, lane.moved_s = next_seq, now_s
        is_stuck = next_seq < lane.sent_to and now_s - lane.moved_s >= RESEND_S
        if is_stuck or lane.sent_to < next_seq:  # lost or refused; or another node was faster
            lane.sent_to = next_seq
        return lane


class Relay:
    """One node's relay over open connections; see `run_relay`.

    Args:
        store: the node's database.
        publisher: of the network.
        genesis: the network's.
    """

    def __init__(self, store: Store, publisher: Publisher, genesis: Genesis) -> None:
        self._store = store
        self._publisher = publisher
        self._network = genesis.network_id
        self._partitions = genesis.partitions
        self._schedule = Schedule()

    def __repr__(self) -> str:
        return f"<Relay to {self._partitions - 1} partitions>"

    async def reconcile(self) -> float:
        """Send what partitions lack, once.

        Returns:
            Seconds until it is worth looking again, unless woken.

        Raises:
            TransportError: the store or Kafka does not answer; what was sent is remembered.
        """
        heads = await self._fetch_heads()
        due = self._schedule.due(heads, time.monotonic())
        if not due:
            is_pending = any(each < heads[NETWORK_PARTITION] for each in heads.values())
            return _PENDING_S if is_pending else IDLE_S
        first = min(due.values())
        records = await self._build(first)
        if not records:
            return _UNCOVERED_S
        lanes = [self._send(partition, from_seq, records) for partition, from_seq in due.items()]
        faults = [each for each in await asyncio.gather(*lanes, return_exceptions=True) if each is not None]
        if faults:
            raise faults[0]
        is_all = max(records) + 1 == heads[NETWORK_PARTITION]
        return _PENDING_S if is_all else _UNCOVERED_S

    async def _fetch_heads(self) -> dict[int, int]:
        partitions = range(self._partitions)
        rows = await asyncio.gather(*(self._store.find_subject(each, self._network) for each in partitions))
        return {each: row.next_seq for each, row in zip(partitions, rows, strict=True) if row is not None}

    async def _build(self, from_seq: int) -> dict[int, RecordValue]:
        """The relays of partition 0's statements from a sequence number on, as far as checkpoints cover them."""
        records: dict[int, RecordValue] = {}
        for entry in await self._store.read_subject_entries(NETWORK_PARTITION, self._network, from_seq, _ROUND):
            proof = await self._prove(entry)
            if proof is None:
                break
            records[entry.seq] = RecordValue(entry.statement, entry.body, proof)
        return records

    async def _prove(self, entry: StoredEntry) -> RelayProof | None:
        checkpoint = await self._store.checkpoint_covering(NETWORK_PARTITION, entry.index)
        if checkpoint is None:
            return None
        path = await fetch_inclusion(self._store, NETWORK_PARTITION, entry.index, checkpoint.size)
        return RelayProof(entry.entry, entry.index, tuple(path), checkpoint.note)

    async def _send(self, partition: int, from_seq: int, records: Mapping[int, RecordValue]) -> None:
        wanted = range(from_seq, max(records) + 1)
        for seq in wanted:
            await self._publisher.relay(partition, records[seq])
            self._schedule.sent(partition, seq + 1, time.monotonic())
        if wanted:
            _log.info("relayed", partition=partition, from_seq=from_seq, to_seq=max(records))


async def run_relay(
    dsn: str, kafka: KafkaAt, genesis: Genesis, woken: asyncio.Event, is_mine: Callable[[], bool] = lambda: True
) -> None:
    """Relay until cancelled; a server that is away is waited for.

    Args:
        dsn: of the node's database.
        kafka: where Kafka is, and how to log in.
        genesis: the network's.
        woken: set by others when partition 0 accepts a network statement; it saves the wait for the next look.
        is_mine: whether this process relays just now, so that several processes of a node do not all send.
    """
    while True:
        try:
            async with Store(dsn) as store, Publisher(kafka, genesis) as publisher:
                relay = Relay(store, publisher, genesis)
                while True:
                    woken.clear()
                    pause_s = await relay.reconcile() if is_mine() else IDLE_S
                    await _wait(woken, pause_s)
        except TransportError as exc:
            _log.warning("the relay waits for a server", error=str(exc))
            await asyncio.sleep(IDLE_S)


async def _wait(woken: asyncio.Event, timeout_s: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(timeout_s):
            await woken.wait()
