"""`carenet bench latency`: from the publish call to the opened update at an authorised watcher.

Method: one process publishes at a fixed rate straight to Kafka and watches through the real gateway, so both ends read
one clock. In the same seconds, between the events, it sends bare records of an event's size through a plain aiokafka
producer to a topic of its own and takes them from a plain consumer: the least that any such system can take on this
machine at this moment. The first seconds are a warm-up and not counted.

With a background load, another process sends events about other patients, made before, at a fixed rate meanwhile, and
two fold workers share the partitions; nobody watches those patients, but worker and gateway take in every event.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Self

import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from carenet.bench import background
from carenet.bench.contents import COMPARTMENT, write_patients
from carenet.bench.crew import Crew, crew, rate_of
from carenet.bench.figures import Latency, summarise
from carenet.bench.stand import Stand, stand
from carenet.bus.topics import TopicSpec, provision
from carenet.client.care import Care, connect
from carenet.client.watch import Watch
from carenet.encoding.ids import decode_id
from carenet.errors import TransportError

_PATIENTS = 20
_PROBES_PER_S = 50
_PROBE_BYTES = 2048  # a sealed and signed observation with its padding
_PROBE_TOPIC = "bench.probe"
_WARM_UP_S = 3.0
_DRAIN_S = 10.0
_OTHERS = 200  # patients of the background load
_SPARE_S = 2  # that it goes on after the last counted event is due


@dataclass(frozen=True, slots=True)
class LatencyReport:
    """What was measured.

    Attributes:
        carenet: publish call to opened update.
        bare: produce call to consumed record.
        events: counted events.
        probes: counted probes.
        background_per_s: events a second about other patients meanwhile, as they were really sent.
    """

    carenet: Latency
    bare: Latency
    events: int
    probes: int
    background_per_s: float = 0.0

    def to_map(self) -> dict[str, object]:
        """The JSON object that the command prints."""
        return {
            "latency_ms": self.carenet.to_map(),
            "bare_ms": self.bare.to_map(),
            "events": self.events,
            "probes": self.probes,
            "background_per_s": round(self.background_per_s),
        }


@dataclass(frozen=True, slots=True)
class _Load:
    """What is sent: events a second for so many counted seconds, after the warm-up; and others beside."""

    rate: int
    seconds: int
    background: int = 0

    @property
    def patients(self) -> int:
        """Those who are watched, and those of the background load."""
        return _PATIENTS + (_OTHERS if self.background else 0)

    @property
    def warm_up(self) -> int:
        """Events that are not counted."""
        return int(_WARM_UP_S * self.rate)

    @property
    def total(self) -> int:
        """All events."""
        return self.warm_up + self.seconds * self.rate


@dataclass(slots=True)
class _Samples:
    """Seconds by kind, and when what is under way began."""

    counting: bool = False
    begun: dict[bytes, float] = field(default_factory=dict)
    carenet: list[float] = field(default_factory=list)
    bare: list[float] = field(default_factory=list)


def measure_latency(rate: int, seconds: int, background: int = 0) -> LatencyReport:
    """Run the bench.

    Args:
        rate: events a second.
        seconds: counted seconds, after the warm-up.
        background: events a second about other patients meanwhile.

    Raises:
        SetupError: the stand does not come up.
        TransportError: events were lost on the way, which no latency figure may hide.
    """
    return uvloop.run(_measure(_Load(rate, seconds, background)))


async def _measure(load: _Load) -> LatencyReport:
    samples = _Samples()
    async with AsyncExitStack() as stack:
        bench = await stack.enter_async_context(stand(load.patients, workers=2 if load.background else 1))
        kafka = bench.stack.kafka
        care = await stack.enter_async_context(connect(bench.stack.gateway, bench.clinician, kafka))
        await provision(kafka, [TopicSpec(_PROBE_TOPIC, 1)])
        watched = bench.patients[:_PATIENTS]
        watch = await stack.enter_async_context(care.watch(watched))
        bare = await stack.enter_async_context(_Bare(kafka, samples))
        others = await _prepare_background(stack, bench, care, load)
        async with asyncio.TaskGroup() as group:
            watcher = group.create_task(_collect(watch, samples))
            if others is not None:
                others.go()
            await _publish(care, watched, load, samples, bare)
            await _drain(samples)
            watcher.cancel()
        background_per_s = rate_of(await others.finished()) if others is not None else 0.0
    if samples.begun:
        raise TransportError(f"{len(samples.begun)} of {load.seconds * load.rate} events never reached the watcher")
    carenet, plain = summarise(samples.carenet), summarise(samples.bare)
    return LatencyReport(carenet, plain, len(samples.carenet), len(samples.bare), background_per_s)


async def _prepare_background(stack: AsyncExitStack, bench: Stand, care: Care, load: _Load) -> Crew | None:
    if not load.background:
        return None
    described = [(decode_id(each), await care.patient(each)) for each in bench.patients[_PATIENTS:]]
    patients = bench.directory / "others.json"
    write_patients(patients, [(subject, each.epochs[COMPARTMENT].public) for subject, each in described])
    task = {
        "kafka": bench.stack.kafka,
        "directory": str(bench.directory),
        "key": str(bench.clinician.path),
        "patients": str(patients),
        "rate": load.background,
        "seconds": load.seconds + int(_WARM_UP_S) + _SPARE_S,
    }
    return await stack.enter_async_context(crew(bench.directory / "crew", background.__name__, [task]))


async def _publish(care: Care, patients: tuple[str, ...], load: _Load, samples: _Samples, bare: _Bare) -> None:
    """Events at the wanted times, whatever the last one took; probes evenly between them."""
    start = time.perf_counter()
    every = max(1, load.rate // _PROBES_PER_S)
    async with asyncio.TaskGroup() as group:
        for number in range(load.total):
            due = start + number / load.rate
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            samples.counting = number >= load.warm_up
            patient = patients[number % len(patients)]
            group.create_task(_publish_one(care, patient, number, samples))
            if number % every == every // 2:
                await asyncio.sleep(0.5 / load.rate)
                group.create_task(bare.probe(samples.counting))


async def _publish_one(care: Care, patient: str, number: int, samples: _Samples) -> None:
    cti = os.urandom(16)
    if samples.counting:
        samples.begun[cti] = time.perf_counter()
    (await care.publish(patient, _observation(number), cti=cti)).or_raise()


async def _collect(watch: Watch, samples: _Samples) -> None:
    async for update in watch:
        begun = samples.begun.pop(update.statement.header.cti, None)
        if begun is not None and update.content is not None:
            samples.carenet.append(time.perf_counter() - begun)


async def _drain(samples: _Samples) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_DRAIN_S):
            while samples.begun:  # noqa: ASYNC110 - the watcher empties it
                await asyncio.sleep(0.05)


def _observation(number: int) -> dict[str, object]:
    """A heart rate, about as long as a real one."""
    coding = [{"system": "http://loinc.org", "code": "8867-4", "display": "Heart rate"}]
    quantity = {"value": 60 + number % 60, "unit": "/min", "system": "http://unitsofmeasure.org", "code": "/min"}
    text = {
        "status": "generated",
        "div": f"<div xmlns='http://www.w3.org/1999/xhtml'>Heart rate, reading {number}</div>",
    }
    return {
        "resourceType": "Observation",
        "status": "final",
        "text": text,
        "code": {"coding": coding},
        "effectiveDateTime": "2026-01-09T08:30:00Z",
        "valueQuantity": quantity,
    }


class _Bare:
    """Plain aiokafka, produce to consume, on a topic of its own."""

    def __init__(self, bootstrap: str, samples: _Samples) -> None:
        self._producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", enable_idempotence=True)
        self._consumer = AIOKafkaConsumer(_PROBE_TOPIC, bootstrap_servers=bootstrap, auto_offset_reset="latest")
        self._samples = samples
        self._begun: dict[bytes, float] = {}

    async def __aenter__(self) -> Self:
        await self._producer.start()
        await self._consumer.start()
        await self._consumer.seek_to_end()
        self._task = asyncio.create_task(self._take())  # owned: cancelled and awaited in __aexit__
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        await self._consumer.stop()
        await self._producer.stop()

    async def probe(self, counting: bool) -> None:
        value = os.urandom(_PROBE_BYTES)
        if counting:
            self._begun[value[:16]] = time.perf_counter()
        await self._producer.send_and_wait(_PROBE_TOPIC, value)

    async def _take(self) -> None:
        async for record in self._consumer:
            begun = self._begun.pop(record.value[:16], None)
            if begun is not None:
                self._samples.bare.append(time.perf_counter() - begun)
