"""`carenet bench overload`: what becomes of a node that is offered twice what it can fold.

Method: events are sealed and signed beforehand. A first part of them, sent to Kafka at once, says what the node folds a
second. Then twice as many a second are offered for some seconds, evenly, by a publisher that writes to Kafka itself and
keeps what the SDK's pace says: what comes up while it is told to wait is not sent, and counted. Of every twentieth of a
second one event is asked for by `outcomes`: from the call that sends it to its acceptance is the latency. At the end,
every event that Kafka acknowledged must be in the timelines.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import uvloop

from carenet.bench.contents import COMPARTMENT, Patient, draft_event
from carenet.bench.figures import Latency, summarise
from carenet.bench.stand import Stand, stand
from carenet.bus.publishing import Publisher
from carenet.client.building import build_care_batch
from carenet.client.care import Care, connect
from carenet.client.parts import Options
from carenet.client.session import expect_reply
from carenet.client.spool import Letter
from carenet.encoding.ids import decode_id
from carenet.statements.records import RecordValue
from carenet.statements.statement import parse_statement
from carenet.store.store import Store

_PATIENTS = 100
_GAUGED = 20_000  # events that say what the node folds a second
_TICK_S = 0.05
_TIMES = 2  # what is offered, in terms of what can be folded
_DRAIN_S = 120.0
_LOOK_S = 0.05

Tick = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class OverloadReport:
    """What was measured.

    Attributes:
        folds_per_s: what the node folds a second, before.
        offered: events that came up.
        accepted: of them, in the timelines at the end.
        told_to_wait: of them, not sent since the node was behind.
        latency: of the accepted ones that were asked for.
        lost: acknowledged by Kafka and in no timeline.
        recovered_s: seconds from the end of the offer until the node said that it had caught up.
    """

    folds_per_s: float
    offered: int
    accepted: int
    told_to_wait: int
    latency: Latency
    lost: int
    recovered_s: float

    def to_map(self) -> dict[str, object]:
        """The JSON object that the command prints."""
        return {
            "folds_per_s": round(self.folds_per_s),
            "offered": self.offered,
            "accepted": self.accepted,
            "told_to_wait": self.told_to_wait,
            "latency_ms": self.latency.to_map(),
            "lost": self.lost,
            "recovered_s": round(self.recovered_s, 2),
        }


@dataclass(slots=True)
class _Sums:
    acknowledged: int = 0
    told_to_wait: int = 0
    latencies: list[float] = field(default_factory=list)


class _Offer:
    """Sends letters straight to Kafka, keeps to the pace, and asks what became of some."""

    def __init__(self, care: Care, publisher: Publisher, sums: _Sums) -> None:
        self._session = care._parts.session  # noqa: SLF001 - the bench looks where an application does not
        self._publisher = publisher
        self.sums = sums
        self.ended = 0.0

    @property
    def is_held(self) -> bool:
        return self._session.pace.is_held

    async def send(self, letters: Sequence[Letter], *, asks: bool = True) -> None:
        begun = time.perf_counter()
        by_partition: dict[int, list[Letter]] = defaultdict(list)
        for letter in letters:
            by_partition[self._publisher.partition_of(letter.subject)].append(letter)
        await asyncio.gather(*(self._send_some(at, some) for at, some in by_partition.items()))
        if asks:
            await self._ask(letters[0], begun)

    async def _send_some(self, partition: int, letters: list[Letter]) -> None:
        messages = [(each.subject, RecordValue(each.statement, each.body)) for each in letters]
        sent = await self._publisher.publish_all(partition, messages)
        self.sums.acknowledged += len(sent)

    async def _ask(self, letter: Letter, begun: float) -> None:
        # Sent once more: the same bytes are the one event, and their place tells when it was decided.
        place = await self._publisher.publish(letter.subject, RecordValue(letter.statement, letter.body))
        digest = parse_statement(letter.statement).digest
        expect_reply(await self._session.ask("outcomes", partition=place.partition, offset=place.offset, digest=digest))
        self.sums.latencies.append(time.perf_counter() - begun)


def measure_overload(seconds: int, tick: Tick = lambda _: None) -> OverloadReport:
    """Run the bench on a stack of its own.

    Args:
        seconds: of overload.
        tick: told what is done now.
    """
    return uvloop.run(_measure(seconds, tick))


async def _measure(seconds: int, tick: Tick) -> OverloadReport:
    tick("starting servers")
    async with (
        stand(_PATIENTS) as bench,
        connect(bench.stack.gateway, bench.clinician, None, Options(patience_s=_DRAIN_S)) as care,
        Publisher(bench.stack.kafka, care.genesis) as publisher,
        Store(bench.stack.postgres) as store,
    ):
        offer = _Offer(care, publisher, _Sums())
        before = await _count_entries(store)
        tick("making events")
        patients = await _patients(bench, care)
        gauged = await _build(bench, patients, _GAUGED)
        tick("measuring what the node folds")
        begun = time.perf_counter()
        await offer.send(gauged, asks=False)
        await _folded(store, before + _GAUGED)
        folds_per_s = _GAUGED / (time.perf_counter() - begun)
        tick("making events")
        letters = await _build(bench, patients, int(_TIMES * folds_per_s * seconds))
        tick(f"offering {len(letters)} events in {seconds} s")
        await _load(offer, letters, seconds)
        recovered_s = await _recover(offer)
        accepted = await _folded(store, before + offer.sums.acknowledged) - before
    return OverloadReport(
        folds_per_s=folds_per_s,
        offered=len(letters),
        accepted=accepted - _GAUGED,
        told_to_wait=offer.sums.told_to_wait,
        latency=summarise(offer.sums.latencies),
        lost=offer.sums.acknowledged - accepted,
        recovered_s=recovered_s,
    )


async def _patients(bench: Stand, care: Care) -> list[Patient]:
    subjects = care._parts.subjects  # noqa: SLF001 - as above
    ids = [decode_id(each) for each in bench.patients]
    return [Patient(each, await subjects.fetch_epoch(each, COMPARTMENT)) for each in ids]


async def _build(bench: Stand, patients: list[Patient], count: int) -> list[Letter]:
    chosen = [patients[number % len(patients)] for number in range(count)]
    drafts = [draft_event(number, patient) for number, patient in enumerate(chosen)]
    epochs = [patient.epoch for patient in chosen]
    return await asyncio.to_thread(build_care_batch, drafts, epochs, bench.clinician, int(time.time()))


async def _load(offer: _Offer, letters: list[Letter], seconds: int) -> None:
    """Offer evenly, whatever became of what was offered before."""
    each = max(1, int(len(letters) * _TICK_S / seconds))
    start = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for number, first in enumerate(range(0, len(letters), each)):
            await asyncio.sleep(max(0.0, start + number * _TICK_S - time.perf_counter()))
            some = letters[first : first + each]
            if offer.is_held:
                offer.sums.told_to_wait += len(some)
            else:
                group.create_task(offer.send(some))
        offer.ended = time.perf_counter()


async def _recover(offer: _Offer) -> float:
    while offer.is_held:  # noqa: ASYNC110 - the session's reader ends it
        await asyncio.sleep(_LOOK_S)
    return time.perf_counter() - offer.ended


async def _folded(store: Store, entries: int) -> int:
    """Wait until there are so many entries; how many there are, after a while in any case."""
    deadline = time.monotonic() + _DRAIN_S
    while (found := await _count_entries(store)) < entries:
        if time.monotonic() > deadline:
            break
        await asyncio.sleep(_LOOK_S)
    return found


async def _count_entries(store: Store) -> int:
    return sum(head.size for head in (await store.heads()).values())
