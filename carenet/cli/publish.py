"""`carenet publish`: FHIR R4 resources, sealed, signed and published as events of one patient."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from carenet.cli.options import DEFAULT_DIR, EXIT_REFUSED, As, Dir, Json, PatientOf, epilog
from carenet.cli.screen import Screen
from carenet.cli.session import run, sign_in

if TYPE_CHECKING:
    from carenet.client.bulk import CareEvent
    from carenet.client.outcomes import Outcome
    from carenet.fhir.resources import PatientBundle

_STDIN = "-"

app = typer.Typer()


@dataclass(slots=True)
class Sums:
    """What became of the resources of one run."""

    accepted: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    skipped: int = 0
    details: dict[str, str] = field(default_factory=dict)

    def count(self, outcome: Outcome) -> None:
        """Add one outcome."""
        if outcome.accepted:
            self.accepted += 1
        else:
            self.refused[outcome.reason] += 1
            self.details.setdefault(outcome.reason, outcome.detail)

    @property
    def published(self) -> int:
        """How many were sent."""
        return self.accepted + self.refused.total()


class Sources:
    """What is to be published: files, and standard input, which is kept so that it can be read twice.

    Args:
        files: paths, or `-`.
        allow_external: accept references that a file does not resolve.
    """

    def __init__(self, files: Sequence[str], *, allow_external: bool) -> None:
        self.skipped = 0
        self._allow_external = allow_external
        self._files = [_take_stdin() if file == _STDIN else Path(file) for file in files]

    def read(self) -> Iterator[PatientBundle]:
        """The patient's bundles of all files; reference data is passed over, and counted in `skipped`.

        Raises:
            ResourceError: while iterating: see `carenet.fhir.bundles.read_source`.
        """
        from carenet.fhir.bundles import read_source
        from carenet.fhir.resources import ReferenceData

        self.skipped = 0
        for file in self._files:
            if isinstance(file, BytesIO):
                file.seek(0)
            for group in read_source(file, allow_external=self._allow_external, of_patient=True):
                if isinstance(group, ReferenceData):
                    self.skipped += len(group.resources)
                else:
                    yield group


def _take_stdin() -> BytesIO:
    from carenet.fhir.bundles import MAX_SOURCE_BYTES

    return BytesIO(sys.stdin.buffer.read(MAX_SOURCE_BYTES + 1))  # one too many, for the reader to refuse


@app.command(
    epilog=epilog(
        "carenet publish --as dr-lee --patient ada visit.json",
        "cat labs.ndjson | carenet publish --as lab --patient ada -",
        codes="Exit codes: 0 all accepted, 1 some were refused, 2 wrong usage or could not be done.",
    )
)
def publish(
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help="FHIR R4: .json, .ndjson, either as .gz; or -")],
    *,
    who: As,
    patient: PatientOf,
    external: Annotated[
        bool, typer.Option("--allow-external", help="Accept references that the file itself does not resolve.")
    ] = False,
    directory: Dir = DEFAULT_DIR,
    json: Json = False,
) -> None:
    """Publish a FHIR R4 resource, a bundle or NDJSON: each resource becomes one event of the patient.

    The same file published again changes nothing: each event is recognised, and its first entry is the outcome.
    """
    screen = Screen(json=json)
    started = time.monotonic()
    sums = run(_publish(directory, who, patient, Sources(files, allow_external=external), screen))
    seconds = time.monotonic() - started
    screen.say(f"accepted {sums.accepted} of {sums.published} in {seconds:.1f} s")
    for reason, count in sums.refused.most_common():
        screen.say(f"refused  {count}: {reason}" + (f" ({sums.details[reason]})" if sums.details[reason] else ""))
    if sums.skipped:
        screen.say(
            f"{sums.skipped} resources are reference data (hospitals, practitioners): about no patient, no event"
        )
    screen.emit(
        {
            "published": sums.published,
            "accepted": sums.accepted,
            "refused": dict(sums.refused),
            "reference": sums.skipped,
            "seconds": round(seconds, 3),
        }
    )
    if sums.refused:
        raise typer.Exit(EXIT_REFUSED)


async def _publish(directory: Path, who: str, typed: str, sources: Sources, screen: Screen) -> Sums:
    from carenet.client.parts import Options

    # All is read once before anything is sent: a file that is no FHIR stops the command with nothing published.
    total = sum(len(bundle.resources) for bundle in sources.read())
    sums = Sums(skipped=sources.skipped)
    with screen.progress("events") as progress:
        task = progress.add_task("publishing", total=total)

        def wait(wait_s: float) -> None:
            progress.update(task, description="waiting: the node is behind" if wait_s else "publishing")

        async with sign_in(directory, who, Options(on_wait=wait)) as desk:
            patient = await desk.find_patient(typed)

            def note(_: CareEvent, outcome: Outcome) -> None:
                sums.count(outcome)
                progress.advance(task)

            await desk.care.publish_many(_events(patient.id, sources.read()), note)
    return sums


def _events(patient: bytes, bundles: Iterator[PatientBundle]) -> Iterator[CareEvent]:
    """One event a resource, with a cti that comes out the same whenever the file is read again."""
    from carenet.client.bulk import CareEvent
    from carenet.fhir.identity import derive_cti

    for bundle in bundles:
        for resource in bundle.resources:
            yield CareEvent(patient, resource.body, derive_cti(bundle.identity, resource.place))
