"""Replays real FHIR R4 bundles: every resource of every patient's bundle is one event, straight to Kafka.

A patient's nickname and every event's cti are derived from what the bundle calls itself, so that a second replay of the
same folder finds the same patients and is answered with the first one's entries. Bundles without a patient are
reference data: read, and said to be so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

from carenet.demo.cast import LAB, PHARMACY, TEAM
from carenet.demo.stage import Stage
from carenet.encoding.ids import sha256
from carenet.fhir.bundles import count_resources, list_files, read_source
from carenet.fhir.identity import derive_cti
from carenet.fhir.resources import PatientBundle, ReferenceData, Resource

_PATIENTS = 4  # whose events flow side by side
_WINDOW = 96  # events that are under way: enough to keep the fold busy, few enough to keep latencies honest
_AHEAD = 2  # bundles that are read ahead
_ON_THE_WAY = 4  # every so many-th patient is on the way to the emergency room
_AUTHORS = {
    **dict.fromkeys(("DiagnosticReport", "ImagingStudy", "Specimen"), LAB),
    **dict.fromkeys(("MedicationDispense", "MedicationAdministration", "Immunization"), PHARMACY),
}

Group = PatientBundle | ReferenceData


def name_patient(bundle: PatientBundle) -> str:
    """A nickname that the same bundle always gets, and that tells nothing about the patient."""
    return f"fhir-{sha256(bundle.identity.encode('utf-8', 'surrogatepass')).hex()[:10]}"


def choose_author(resource_type: str, patient: str) -> str:
    """Who publishes a resource: the laboratory, the pharmacy, or one of the team; always the same for a patient."""
    return _AUTHORS.get(resource_type) or TEAM[sha256(patient.encode())[0] % len(TEAM)]


def is_on_the_way(patient: str) -> bool:
    """Whether the emergency room may read a patient: some, and always the same ones."""
    return sha256(patient.encode())[1] % _ON_THE_WAY == 0


class BundleReplay:
    """One replay of a file or a folder.

    Args:
        stage: where.
        source: a file or a folder of bundles.
        allow_external: accept references that resolve nowhere in what is read.
    """

    def __init__(self, stage: Stage, source: Path, *, allow_external: bool = False) -> None:
        self._stage = stage
        self._source = source
        self._allow_external = allow_external
        self._window = asyncio.Semaphore(_WINDOW)

    async def play(self) -> None:
        """Replay it to its end; returns when every event has its outcome.

        Raises:
            ResourceError: a file cannot be read or is not what it should be; what was read before it stands.
            TransportError: a server was away for longer than the SDK's patience.
        """
        board = self._stage.screens.board
        files = await asyncio.to_thread(list_files, self._source)
        board.total = await asyncio.to_thread(count_resources, self._source)
        self._stage.screens.tell(f"{len(files):,} files, {board.total:,} resources from {self._source.name}")
        bundles: asyncio.Queue[PatientBundle | None] = asyncio.Queue(_AHEAD)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._read(bundles))
            for _ in range(_PATIENTS):
                group.create_task(self._replay_bundles(bundles))

    async def _read(self, bundles: asyncio.Queue[PatientBundle | None]) -> None:
        """Read group by group, in a thread: unpacking and parsing would hold up everything else here."""
        groups = read_source(self._source, allow_external=self._allow_external)
        while (found := await asyncio.to_thread(_next, groups)) is not None:
            if isinstance(found, PatientBundle):
                await bundles.put(found)
                continue
            count = len(found.resources)
            self._stage.screens.board.total -= count
            self._stage.screens.report(
                f"{found.source}: reference data, {count:,} resources about no patient; no events"
            )
        for _ in range(_PATIENTS):
            await bundles.put(None)

    async def _replay_bundles(self, bundles: asyncio.Queue[PatientBundle | None]) -> None:
        while (bundle := await bundles.get()) is not None:
            patient = name_patient(bundle)
            await self._stage.register_one(patient, is_expected=is_on_the_way(patient))
            self._stage.screens.tell_quietly(f"{patient}: {len(bundle.resources):,} resources")
            # The Patient first: whoever watches knows from then on whom the rest is about.
            head, *rest = bundle.resources
            await self._publish(bundle, patient, head)
            async with asyncio.TaskGroup() as group:
                for resource in rest:
                    await self._window.acquire()
                    group.create_task(self._publish(bundle, patient, resource)).add_done_callback(self._release)

    async def _publish(self, bundle: PatientBundle, patient: str, resource: Resource) -> None:
        cti = derive_cti(bundle.identity, resource.place)
        await self._stage.publish(choose_author(resource.type, patient), patient, resource.body, cti)

    def _release(self, _: asyncio.Task[None]) -> None:
        self._window.release()


def _next(groups: Iterator[Group]) -> Group | None:
    return next(groups, None)
