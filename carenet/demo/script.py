"""Plays the built-in story: every act published by its own actor, at a pace that people can follow.

Beside the acts, what a hospital does: when a patient gets worse, the emergency room is given access with history; when
the first of them has been taken over, it ends. And now and then somebody tries what must be refused.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Iterator

from carenet.bus.publishing import Producer
from carenet.demo.mischief import TRICKS, Attempt, Mischief, Trick
from carenet.demo.stage import Stage
from carenet.fhir.identity import derive_cti
from carenet.fhir.story import Act, Scene

FLOW_S = 16.0  # how long the events of a story flow at pace 1
_CATCH_UP_S = 1.0  # what is late by more than this stays late, or it would come as a flood
_WORSE = "deterioration"
_ARRIVAL = "arrival"
_TITLES = {
    "visit": "a visit",
    "labs": "blood tests",
    "prescriptions": "prescriptions",
    "watching": "watched at home",
    "deterioration": "getting worse at home",
    "arrival": "arrives at the emergency room",
    "follow-up": "a follow-up",
}


def scale_delays(scenes: Iterable[Scene], pace: float, flow_s: float = FLOW_S) -> float:
    """The factor by which the story's pauses are stretched, so that all of it takes `flow_s` seconds at pace 1.

    Args:
        scenes: the whole story.
        pace: 2 is twice as fast; above 0.
        flow_s: seconds.
    """
    if pace <= 0:
        raise ValueError("a pace is above 0")
    natural = sum(act.delay_s for scene in scenes for act in scene.acts)
    return flow_s / natural / pace if natural else 0.0


def spread_tricks(scenes: int, tricks: Iterable[Trick] = TRICKS) -> dict[int, list[Trick]]:
    """After which scene each trick is tried: evenly over the second half, when there is something to try it on."""
    wanted = list(tricks)
    first = scenes // 2
    places: dict[int, list[Trick]] = {}
    for number, trick in enumerate(wanted):
        places.setdefault(first + number * (scenes - first) // len(wanted), []).append(trick)
    return places


class Script:
    """One playing of a story.

    Args:
        stage: where.
        story: its scenes.
        series: names the story, so that another one's events are other events.
        producer: to Kafka, for what the SDK would not send.
        pace: 2 is twice as fast.
    """

    def __init__(self, stage: Stage, story: Iterable[Scene], series: str, producer: Producer, pace: float) -> None:
        self._stage = stage
        self._scenes = list(story)
        self._series = series
        self._mischief = Mischief(producer, stage.servers.store, stage.genesis, stage.identities)
        self._scale = scale_delays(self._scenes, pace)
        self._calm = sorted({scene.patient for scene in self._scenes} - {each.patient for each in self._worse()})
        self._discharged = next((scene.patient for scene in self._scenes if scene.kind == _ARRIVAL), None)
        self.attempts: list[Attempt] = []

    @property
    def events(self) -> int:
        """How many acts it has."""
        return sum(len(scene.acts) for scene in self._scenes)

    async def play(self) -> None:
        """Play it to its end; returns when every act has its outcome.

        Raises:
            TransportError: a server was away for longer than the SDK's patience.
        """
        tricks = spread_tricks(len(self._scenes))
        due = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for number, scene in enumerate(self._scenes):
                self._stage.screens.tell(f"{scene.patient}: {_TITLES.get(scene.kind, scene.kind)}")
                if scene.kind == _WORSE and await self._stage.let_emergency_read(scene.patient):
                    self._stage.screens.report(
                        f"{scene.patient} is on the way: the emergency room may read, history too"
                    )
                for act in scene.acts:
                    # By the clock, so that what takes long in between does not stretch the story.
                    due = max(due + act.delay_s * self._scale, time.monotonic() - _CATCH_UP_S)
                    await asyncio.sleep(max(due - time.monotonic(), 0))
                    group.create_task(self._perform(act))
                for trick in tricks.get(number, ()):
                    await self._try(trick)
        if self._discharged is not None:
            await self._stage.end_emergency_access(self._discharged)
            self._stage.screens.report(f"{self._discharged} is on the ward: the emergency room's access has ended")

    def _worse(self) -> Iterator[Scene]:
        return (scene for scene in self._scenes if scene.kind == _WORSE)

    async def _perform(self, act: Act) -> None:
        cti = derive_cti(f"{self._series}/{act.patient}", str(act.resource["id"]))
        await self._stage.publish(act.actor, act.patient, act.resource, cti)

    async def _try(self, trick: Trick) -> None:
        target = await self._mischief.find_target(self._stage.patients[self._calm[0]])
        if target is None:
            return
        attempt = await self._mischief.attempt(trick, target)
        self.attempts.append(attempt)
        board = self._stage.screens.board
        board.published += 1
        if attempt.found is not None:
            board.count_refusal(attempt.found)
        if not attempt.is_as_due:
            self._stage.surprises.append(f"{attempt.what}: {attempt.found or 'accepted'}; {attempt.due} was due")
        self._stage.screens.report(f"{attempt.what}: refused, {attempt.found or 'NOT'}")
