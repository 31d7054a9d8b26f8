"""A run of tens of thousands of events through a whole stack, in the middle of which something befalls it.

Nearly all events are sealed beforehand and sent straight to Kafka (`bursts`); a laboratory publishes one in fifty
through the gateway with the SDK, which learns what became of each; three watch a few patients each. `judging` says
what must hold afterwards.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from carenet.client.bulk import CareEvent
from carenet.client.care import Care
from carenet.client.outcomes import Outcome
from carenet.store.store import Store
from tests.support.bursts import Burst, Sealed, seal_events
from tests.support.clinic import Clinic, Follower, clinic
from tests.support.judging import assert_undisturbed
from tests.support.waiting import STRETCH, until

EVENTS = int(os.environ.get("CARENET_LONG_EVENTS", "20000"))  # fewer, while one writes such a test
PER_S = 1600
PATIENTS = 12
_LIMIT_S = 240.0
_BY_SDK = 50  # one event of so many


@dataclass
class LongRun:
    """See the module header.

    Attributes:
        clinic: the network.
        patients: their ids.
        followers: the hospital and a clinician, who read everything of three patients each, and an emergency room,
            which reads the clinical entries of two others.
        lab: publishes through the gateway.
        burst: what goes straight to Kafka.
        visits: what the laboratory publishes.
        outcomes: of the laboratory's events, by cti: all that its publish calls were told.
    """

    clinic: Clinic
    patients: list[str]
    followers: list[Follower]
    lab: Care
    burst: Burst
    visits: list[CareEvent]
    outcomes: dict[bytes, list[Outcome]] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """How long sending takes when nothing happens."""
        return len(self.burst.events) / PER_S

    async def go(self, befall: Callable[[], Awaitable[None]]) -> None:
        """Publish everything; after a third of it, let something happen. Returns when all is sent and answered."""
        stack, genesis = self.clinic.stack, self.clinic.genesis

        async def strike() -> None:
            await until(lambda: self.burst.sent >= len(self.burst.events) // 3, 60)
            assert self.burst.sent < len(self.burst.events), "the run was over before it was struck"
            await befall()

        async with asyncio.timeout(_LIMIT_S * STRETCH), asyncio.TaskGroup() as group:
            group.create_task(strike())
            group.create_task(self.burst.send(stack.participants_kafka, genesis, self.seconds))
            group.create_task(self.lab.publish_many(self._paced(tuple(self.visits)), self.note))

    def note(self, event: CareEvent, outcome: Outcome) -> None:
        """Keep an outcome of one of the laboratory's events."""
        assert event.cti is not None
        self.outcomes.setdefault(event.cti, []).append(outcome)

    async def _paced(self, visits: tuple[CareEvent, ...]) -> AsyncIterator[CareEvent]:
        for visit in visits:
            yield visit
            await asyncio.sleep(self.seconds / len(visits))

    def assert_answered(self) -> None:
        """Each publish call ended once, with an acceptance."""
        assert len(self.outcomes) == len(self.visits)
        assert [each for ended in self.outcomes.values() for each in ended if not each.accepted] == []
        assert all(len(ended) == 1 for ended in self.outcomes.values())

    async def assert_undisturbed(self) -> None:
        """What befell it has left no trace."""
        accepted = {each.digest for ended in self.outcomes.values() for each in ended if each.accepted}
        assert len(accepted) == len(self.visits)
        await assert_undisturbed(self.clinic, self.followers, self.burst.digests | accepted)


@asynccontextmanager
async def long_run(directory: Path, events: int = EVENTS, **plan: Any) -> AsyncIterator[LongRun]:
    """A clinic with patients, watchers and everything sealed that is to be published.

    Args:
        directory: its folder.
        events: how many.
        plan: fields of `StackPlan`.
    """
    async with clinic(directory, **plan) as running, AsyncExitStack() as leaving:
        hospital, people = await running.enter("hospital"), running.people
        patients = [await hospital.register_patient(write=("lab", "clinician")) for _ in range(PATIENTS)]
        for patient in patients[3:6]:
            await hospital.grant(patient, people["okafor"].id)
        for patient in patients[6:8]:
            await hospital.grant(patient, people["er"].id, compartments=("clinical",), history=False)
        store = await leaving.enter_async_context(Store(running.stack.postgres, 2))
        followers = [
            await _follower(running, "hospital", patients[:3], store),
            await _follower(running, "okafor", patients[3:6], store),
            await _follower(running, "er", patients[6:8], store, reads_everything=False),
        ]
        tasks = [asyncio.create_task(each.follow()) for each in followers]
        leaving.push_async_callback(_end, tasks)
        sealed = await _seal(running, patients, events - events // _BY_SDK)
        visits = [_visit(patients[number % PATIENTS], number) for number in range(events // _BY_SDK)]
        yield LongRun(running, patients, followers, await running.enter("lab"), Burst(sealed), visits)


async def _follower(
    running: Clinic, name: str, patients: list[str], store: Store, *, reads_everything: bool = True
) -> Follower:
    watch = (await running.enter(name)).watch(patients)
    return Follower(name, watch, frozenset(patients), reads_everything, store)


async def _seal(running: Clinic, patients: list[str], count: int) -> list[Sealed]:
    return await seal_events(await running.enter("lee"), patients, count)


def _visit(patient: str, number: int) -> CareEvent:
    resource = {"resourceType": "Observation", "id": f"visit-{number}", "status": "final"}
    return CareEvent(patient, resource, number.to_bytes(16))


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    """Cancel the followers; what one raised is raised, since it would have counted too little for a silent reason."""
    for task in tasks:
        task.cancel()
    for result in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(result, Exception):
            raise result
