"""The demo as a person runs it: a process of its own in one state folder, one run after the other."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from carenet.demo.mischief import TRICKS
from carenet.fhir.bundles import read_source
from carenet.fhir.resources import PatientBundle
from tests.support.data import SHARED, needs_shared
from tests.support.waiting import STRETCH

_PROGRAM = "from carenet.cli.main import main; main()"
_TIMEOUT_S = 120 * STRETCH
_STORY_EVENTS = 240
_FAST = ("--pace", "10")
_WATCHERS = {"dr-lee", "dr-okafor", "er"}


@dataclass(frozen=True)
class Done:
    """How a demo ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        return dict(json.loads(self.out.splitlines()[-1]))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One state folder for all runs of this file."""
    path = tmp_path_factory.mktemp("demo")
    yield path
    shutil.rmtree(path, ignore_errors=True)


async def _start(folder: Path, *words: str) -> asyncio.subprocess.Process:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CARENET_")}
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", _PROGRAM, "demo", "--json", "--dir", str(folder), *words,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env=environment,
    )  # fmt: skip


async def _run(folder: Path, *words: str, timeout_s: float = _TIMEOUT_S) -> Done:
    process = await _start(folder, *words)
    try:
        async with asyncio.timeout(timeout_s):
            out, err = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        raise
    assert process.returncode is not None
    return Done(process.returncode, out.decode(), err.decode())


def _processes_of(folder: Path) -> list[str]:
    """Command lines of the processes that work in a folder, were told of it, or name it."""
    name = str(folder).encode()
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command, environment = (entry / "cmdline").read_bytes(), (entry / "environ").read_bytes()
            if name in command or name in environment or str(folder) in str((entry / "cwd").readlink()):
                found.append(command.replace(b"\0", b" ").decode("utf-8", "replace"))
        except OSError:
            continue
    return found


def _assert_clean(done: Done) -> dict[str, Any]:
    """That a run is clean, and that its JSON has the promised shape and adds up."""
    assert done.code == 0, done.out[-3000:] + done.err[-3000:]
    assert len(done.out.splitlines()) == 1
    found = done.json
    assert list(found) == ["published", "folded", "refused", "watchers", "verified", "latency_ms", "seconds"]
    assert set(found["watchers"]) == _WATCHERS
    for count in found["watchers"].values():
        assert set(count) == {"pushed", "expected", "lost", "doubled"}
        assert count["pushed"] == count["expected"]
        assert (count["lost"], count["doubled"]) == (0, 0)
    assert set(found["verified"]) == {"chains", "entries", "signatures", "broken"}
    assert found["verified"]["broken"] == 0
    assert set(found["latency_ms"]) == {"p50", "p99"}
    assert found["published"] == found["folded"] + sum(found["refused"].values())
    return found


async def test_a_first_demo_founds_a_network_and_loses_nothing(folder: Path) -> None:
    found = _assert_clean(await _run(folder, *_FAST))
    control = 6 + 6 + 12 + 2 + 1  # admissions, timelines, the team's grants, the emergency room's, one withdrawal
    assert found["folded"] == _STORY_EVENTS + control == found["verified"]["signatures"]
    assert found["refused"] == {trick.due: 1 for trick in sorted(TRICKS, key=lambda trick: trick.due)}
    assert found["watchers"]["dr-lee"]["expected"] == _STORY_EVENTS + control - 6
    assert 0 < found["watchers"]["er"]["expected"] < _STORY_EVENTS
    assert found["verified"]["chains"] == 6 + 1
    assert found["latency_ms"]["p50"] > 0
    assert _processes_of(folder) == []


async def test_interrupted_in_the_middle_it_stops_every_child(folder: Path) -> None:
    process = await _start(folder, "--pace", "1")
    assert process.stderr is not None
    async with asyncio.timeout(_TIMEOUT_S):
        async for line in process.stderr:
            if b"a visit" in line:
                break
        assert len(_processes_of(folder)) >= 5
        process.send_signal(signal.SIGINT)
        out, _ = await process.communicate()
    assert process.returncode == 130
    assert out == b""
    assert _processes_of(folder) == []


async def test_the_next_demo_continues_the_same_network_after_the_interruption(folder: Path) -> None:
    before = (folder / "network.cbor").read_bytes()
    found = _assert_clean(await _run(folder, *_FAST))
    assert (folder / "network.cbor").read_bytes() == before
    # No admission, no registration; what the interrupted run had not finished sending may come first.
    assert _STORY_EVENTS <= found["folded"] < _STORY_EVENTS + 30
    assert found["verified"]["chains"] == 6 + 1
    assert found["verified"]["signatures"] > 2 * _STORY_EVENTS


def _write_bundles(root: Path) -> None:
    patients = [
        {
            "resourceType": "Bundle",
            "type": "collection",
            "entry": [
                {"fullUrl": f"urn:uuid:p{number}", "resource": {"resourceType": "Patient", "id": f"p{number}"}},
                *(
                    {
                        "fullUrl": f"urn:uuid:o{number}-{count}",
                        "resource": {
                            "resourceType": "Observation",
                            "status": "final",
                            "code": {"text": "made up"},
                            "subject": {"reference": f"urn:uuid:p{number}"},
                            "valueInteger": count,
                        },
                    }
                    for count in range(20)
                ),
            ],
        }
        for number in range(3)
    ]
    hospital = {"resourceType": "Organization", "id": "h", "name": "General"}
    reference = {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [{"fullUrl": "urn:uuid:h", "resource": hospital}],
    }
    for name, bundle in zip(("a", "b", "c", "hospital"), (*patients, reference), strict=True):
        (root / f"{name}.json").write_text(json.dumps(bundle), encoding="utf-8")


async def test_every_resource_of_made_bundles_is_one_event_and_again_is_the_same_event(
    folder: Path, tmp_path: Path
) -> None:
    _write_bundles(tmp_path)
    first = await _run(folder, "--bundles", str(tmp_path))
    found = _assert_clean(first)
    assert "reference data" in first.err
    registered = found["folded"] - 3 * 21
    assert 3 * 3 <= registered <= 3 * 4  # each timeline, two grants to the team, and for some the emergency room's
    assert found["refused"] == {}
    again = _assert_clean(await _run(folder, "--bundles", str(tmp_path)))
    assert (again["published"], again["folded"], again["refused"]) == (3 * 21, 0, {"duplicate": 3 * 21})


@needs_shared
async def test_real_patients_go_through(folder: Path, tmp_path: Path) -> None:
    files = sorted((SHARED / "fhir-r4" / "synthea").iterdir(), key=lambda path: path.stat().st_size)[:2]
    for path in [*files, *(SHARED / "fhir-r4").glob("*.json.gz")]:
        (tmp_path / path.name).symlink_to(path)
    groups = [group for group in read_source(tmp_path) if isinstance(group, PatientBundle)]
    resources = sum(len(group.resources) for group in groups)
    found = _assert_clean(await _run(folder, "--bundles", str(tmp_path)))
    assert found["watchers"]["dr-lee"]["expected"] == found["folded"] >= resources + 2 * 3
    assert found["refused"] == {}


async def test_a_bundle_that_is_not_fhir_is_named_and_the_demo_fails(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.json").write_text('{"resourceType": "Bun', encoding="utf-8")
    done = await _run(folder, "--bundles", str(tmp_path))
    assert done.code == 2
    assert "broken.json" in done.err.splitlines()[-1]
    assert "Traceback" not in done.err
    assert _processes_of(folder) == []


async def test_started_anew_it_is_another_network_and_a_strangers_file_stays(folder: Path) -> None:
    before = (folder / "network.cbor").read_bytes()
    (folder / "thesis.txt").write_text("mine", encoding="utf-8")
    found = _assert_clean(await _run(folder, "--reset", "--patients", "3", *_FAST))
    assert (folder / "network.cbor").read_bytes() != before
    assert (folder / "thesis.txt").read_text(encoding="utf-8") == "mine"
    assert found["folded"] == found["verified"]["signatures"]


@pytest.mark.long
@needs_shared
async def test_every_real_patient_goes_through(tmp_path: Path) -> None:
    resources = sum(
        len(group.resources) for group in read_source(SHARED / "fhir-r4") if isinstance(group, PatientBundle)
    )
    done = await _run(tmp_path, "--bundles", str(SHARED / "fhir-r4"), timeout_s=900 * STRETCH)
    found = _assert_clean(done)
    assert found["folded"] >= resources
    assert found["refused"] == {}
