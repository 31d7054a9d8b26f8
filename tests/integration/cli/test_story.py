"""The command line against a whole stack: each line is a process of its own, as a person or a script would run it.

One story in the order of the file; each test goes on where the one before ended.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from carenet.local.founding import found_network
from carenet.local.stack import Stack, StackPlan
from tests.support.waiting import STRETCH

_PROGRAM = "from carenet.cli.main import main; main()"
_TIMEOUT_S = 60 * STRETCH


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """The last line of stdout."""
        return dict(json.loads(self.out.splitlines()[-1]))


class Shell:
    """Runs commands in one state folder."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def start(self, *words: str, **more: Any) -> Any:
        """A process of a command."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("CARENET_")}
        pipe = asyncio.subprocess.PIPE
        return asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            _PROGRAM,
            *words,
            env=environment | {"CARENET_DIR": str(self.directory)},
            stdout=pipe,
            stderr=pipe,
            **more,
        )

    async def run(self, *words: str, stdin: bytes = b"") -> Done:
        """Run a command to its end."""
        process = await self.start(*words, stdin=asyncio.subprocess.PIPE)
        async with asyncio.timeout(_TIMEOUT_S):
            out, err = await process.communicate(stdin)
        assert "Traceback" not in err.decode()
        return Done(process.returncode, out.decode(), err.decode())

    async def ok(self, *words: str, stdin: bytes = b"") -> dict[str, Any]:
        """Run a command that must succeed, for its JSON."""
        done = await self.run(*words, "--json", stdin=stdin)
        assert done.code == 0, done.err
        return done.json

    @asynccontextmanager
    async def watching(self, *words: str) -> AsyncIterator[Watching]:
        """A `watch --json` that runs beside the block."""
        process = await self.start("watch", "--json", *words)
        try:
            yield Watching(process)
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()


class Watching:
    """A running watch."""

    def __init__(self, process: Any) -> None:
        self.process = process

    async def until(self, field: str) -> list[dict[str, Any]]:
        """Its lines up to the first that has a field."""
        lines = []
        async with asyncio.timeout(_TIMEOUT_S):
            while line := await self.process.stdout.readline():
                lines.append(json.loads(line))
                if field in lines[-1]:
                    return lines
        raise AssertionError((await self.process.stderr.read()).decode())

    async def take(self, count: int) -> list[dict[str, Any]]:
        """Its next updates."""
        return [(await self.until("seq"))[-1] for _ in range(count)]

    async def interrupt(self) -> tuple[dict[str, Any], int]:
        """End it with Ctrl-C; its last line and its exit code."""
        self.process.send_signal(signal.SIGINT)
        async with asyncio.timeout(5 * STRETCH):
            rest = await self.process.stdout.read()
            await self.process.wait()
        return dict(json.loads(rest.splitlines()[-1])), self.process.returncode


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def shell(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Shell]:
    """A founded network on a running stack."""
    directory = tmp_path_factory.mktemp("cli")
    genesis = found_network(directory, "riverside", 3)
    async with Stack(StackPlan(directory, genesis)):
        yield Shell(directory)


def _bundle(folder: Path, name: str, *, pulse: int = 110) -> str:
    resources = [
        {"resourceType": "Patient", "name": [{"family": "Example"}]},
        {
            "resourceType": "Observation",
            "status": "final",
            "code": {"text": "Pulse"},
            "valueQuantity": {"value": pulse, "unit": "/min"},
            "subject": {"reference": "urn:uuid:0"},
        },
        {"resourceType": "AllergyIntolerance", "code": {"text": "Penicillin"}, "patient": {"reference": "urn:uuid:0"}},
    ]
    entries = [{"fullUrl": f"urn:uuid:{place}", "resource": each} for place, each in enumerate(resources)]
    bundle = {"resourceType": "Bundle", "type": "collection", "identifier": {"value": name}, "entry": entries}
    path = folder / f"{name}.json"
    path.write_text(json.dumps(bundle), encoding="utf-8")
    return str(path)


_RESULT = b'{"resourceType":"Observation","status":"final","code":{"text":"Troponin"},"valueString":"negative"}'


async def test_people_are_admitted(shell: Shell) -> None:
    roles = ("--roles", "registrar,custodian", "--may-give", "clinician,ems")
    hospital = await shell.ok("participant", "admit", "hospital", *roles)
    await shell.ok("participant", "create", "dr-lee")
    await shell.ok("participant", "admit", "dr-lee", "--roles", "clinician", "--as", "hosp")
    await shell.ok("participant", "admit", "dr-moe", "--roles", "clinician", "--organisation", "hospital")
    await shell.ok("participant", "admit", "lab", "--roles", "lab")
    await shell.ok("participant", "admit", "er", "--roles", "emergency")
    listed = {each["name"]: each for each in (await shell.ok("participant", "list", "--as", "lab"))["participants"]}
    assert listed.keys() == {"authority", "node", "hospital", "dr-lee", "dr-moe", "lab", "er"}
    assert listed["dr-lee"]["organisation"] == listed["dr-moe"]["organisation"] == hospital["id"]
    assert (shell.directory / "keys" / "er.key").stat().st_mode & 0o077 == 0


async def test_nobody_admits_beyond_their_own(shell: Shell) -> None:
    done = await shell.run("participant", "admit", "imposter", "--roles", "clinician", "--as", "lab")
    assert done.code == 1
    assert done.err.startswith("carenet: refused: role_forbids")
    again = await shell.run("participant", "admit", "er", "--roles", "clinician")
    assert (again.code, "known_participant" in again.err) == (1, True)


async def test_a_patient_is_registered_under_a_nickname(shell: Shell) -> None:
    register = ("patient", "register", "ada", "--as", "hospital", "--grant", "dr-lee,er:read")
    ada = await shell.ok(*register)
    assert ada["granted"] == {"dr-lee": ["read", "write"], "er": ["read"]}
    assert (await shell.run(*register)).code == 2
    mistyped = await shell.run("patient", "register", "bob", "--as", "hospital", "--grant", "dr-who")
    assert mistyped.code == 2
    assert "there are: authority, dr-lee, dr-moe, er, hospital, lab, node" in mistyped.err
    listed = (await shell.ok("patient", "list", "--as", "hospital"))["patients"]
    assert [(each["name"], each["id"], each["custodian"]) for each in listed] == [("ada", ada["id"], True)]
    assert (await shell.ok("patient", "list", "--as", "lab"))["patients"] == []


async def test_an_update_reaches_those_who_may_see_it_and_ctrl_c_ends_at_once(shell: Shell, tmp_path: Path) -> None:
    async with shell.watching("--as", "er", "--all") as er, shell.watching("--as", "dr-lee", "--patient", "a") as lee:
        backlog = await er.until("caught_up")
        await lee.until("caught_up")
        assert [each["type"] for each in backlog[:-1]] == ["subject.open", "grant.give", "grant.give"]
        sums = await shell.ok("publish", "--as", "dr-lee", "--patient", "ada", _bundle(tmp_path, "visit"))
        assert (sums["published"], sums["accepted"], sums["refused"]) == (3, 3, {})
        for watching in (er, lee):
            updates = await watching.take(3)
            assert {each["type"] for each in updates} == {"care.patient", "care.observation", "care.allergyintolerance"}
            assert all(each["resource"] and each["by"] == "dr-lee" and each["name"] == "ada" for each in updates)
            assert all(not each["backlog"] and each["latency_ms"] < 5000 * STRETCH for each in updates)
        last, code = await er.interrupt()
        assert code == 0
        # What comes between two watches is there for the one that goes on from the cursor, and nothing else is.
        await shell.ok("publish", "--as", "lab", "--patient", "ada", "-", stdin=_RESULT)
        resumed = await shell.run("watch", "--as", "er", "--once", "--since", last["cursor"], "--json")
        assert resumed.code == 0
        lines = [json.loads(line) for line in resumed.out.splitlines()]
        assert [each.get("type") for each in lines[:-2]] == ["care.observation"]
        assert lines[0]["resource"]["valueString"] == "negative"


async def test_the_same_file_again_changes_nothing(shell: Shell, tmp_path: Path) -> None:
    path = _bundle(tmp_path, "visit")
    before = (await shell.ok("patient", "list", "--as", "dr-lee"))["patients"][0]["entries"]
    assert (await shell.ok("publish", "--as", "dr-lee", "--patient", "ada", path))["accepted"] == 3
    assert (await shell.ok("patient", "list", "--as", "dr-lee"))["patients"][0]["entries"] == before


async def test_who_may_not_write_is_told_why_and_exits_with_1(shell: Shell, tmp_path: Path) -> None:
    path = _bundle(tmp_path, "intrusion")
    for name, refused in (("er", {"no_grant": 3}), ("dr-moe", {"no_grant": 3}), ("lab", {"role_forbids": 2})):
        done = await shell.run("publish", "--as", name, "--patient", "ada", path, "--json")
        assert done.code == 1
        assert done.json["refused"] == refused
    told = await shell.run("publish", "--as", "er", "--patient", "ada", path)
    assert "refused  3: no_grant (" in told.out


async def test_the_same_event_with_other_content_is_refused(shell: Shell, tmp_path: Path) -> None:
    path = _bundle(tmp_path, "visit", pulse=60)
    done = await shell.run("publish", "--as", "dr-lee", "--patient", "ada", path, "--json")
    assert (done.code, done.json["refused"]) == (1, {"conflicting_id": 1})


async def test_a_file_that_refers_outside_itself_wants_a_word(shell: Shell, tmp_path: Path) -> None:
    outside = {"resourceType": "Observation", "code": {"text": "x"}, "encounter": {"reference": "urn:uuid:elsewhere"}}
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": [{"fullUrl": "urn:uuid:9", "resource": outside}]}
    path = tmp_path / "outside.json"
    path.write_text(json.dumps(bundle), encoding="utf-8")
    words = ("publish", "--as", "dr-lee", "--patient", "ada", str(path))
    refused = await shell.run(*words)
    assert (refused.code, "outside.json" in refused.err) == (2, True)
    assert (await shell.ok(*words, "--allow-external"))["accepted"] == 1


async def test_the_timeline_shows_what_was_known_then(shell: Shell) -> None:
    now = await shell.ok("timeline", "ada", "--as", "dr-lee")
    entries = now["entries"]
    assert [each["seq"] for each in entries] == list(range(len(entries)))
    third = entries[2]["logged"]
    then = await shell.ok("timeline", "ada", "--as", "dr-lee", "--at", third)
    assert [each["logged"] <= third for each in then["entries"]] == [True] * len(then["entries"])
    assert 3 <= len(then["entries"]) < len(entries)
    told = await shell.run("timeline", "ada", "--as", "dr-lee")
    assert "Pulse 110 /min" in told.out
    assert "Penicillin" in told.out


async def test_the_timeline_has_the_agents_figures(shell: Shell) -> None:
    async with asyncio.timeout(_TIMEOUT_S):
        while True:  # the agents come after the commit
            told = await shell.ok("timeline", "ada", "--as", "hospital")
            counted = {name: figures["events"] for name, figures in told["activity"].items()}
            if sum(counted.values()) == len(told["entries"]):
                break
    assert counted == Counter(each["type"] for each in told["entries"])
    assert told["activity"]["care.observation"]["late"] == 0


async def test_who_may_not_read_sees_nothing(shell: Shell) -> None:
    done = await shell.run("timeline", "ada", "--as", "dr-moe")
    assert (done.code, done.out) == (1, "")
    assert "no_grant" in done.err
    assert (await shell.run("grant", "list", "--patient", "ada", "--as", "lab", "--json")).json == {"grants": []}


async def test_a_grant_from_now_on_shows_nothing_from_before(shell: Shell) -> None:
    scope = ("--from-now", "--until", "2h", "--actions", "read", "--compartments", "clinical")
    await shell.ok("grant", "give", "dr-moe", "--patient", "ada", "--as", "hospital", *scope)
    await shell.ok("publish", "--as", "lab", "--patient", "ada", "-", stdin=_RESULT.replace(b"negative", b"positive"))
    seen = (await shell.ok("timeline", "ada", "--as", "dr-moe"))["entries"]
    assert [each["type"] for each in seen] == ["grant.give", "care.observation"]
    assert seen[1]["resource"]["valueString"] == "positive"
    grants = (await shell.ok("grant", "list", "--patient", "ada", "--as", "dr-moe"))["grants"]
    assert [(each["name"], each["history"], each["compartments"]) for each in grants] == [
        ("dr-moe", False, ["clinical"])
    ]


async def test_a_withdrawal_ends_access_in_the_middle_of_a_watch(shell: Shell) -> None:
    async with shell.watching("--as", "dr-moe", "--all") as moe:
        await moe.until("caught_up")
        await shell.ok("grant", "withdraw", "dr-moe", "--patient", "ada", "--as", "hospital")
        await moe.until("withdrawn")
        await shell.ok("publish", "--as", "lab", "--patient", "ada", "-", stdin=_RESULT.replace(b"negative", b"secret"))
        last, code = await moe.interrupt()
        assert code == 0
        assert "cursor" in last
    assert (await shell.run("timeline", "ada", "--as", "dr-moe")).code == 1
    assert (await shell.run("grant", "withdraw", "dr-moe", "--patient", "ada", "--as", "hospital")).code == 1


async def test_keys_rotate_and_everything_still_opens(shell: Shell, tmp_path: Path) -> None:
    before = (await shell.ok("timeline", "ada", "--as", "dr-lee"))["entries"]
    await shell.ok("participant", "rotate", "dr-lee")
    await shell.ok("participant", "rotate", "lab", "--as", "authority")
    after = (await shell.ok("timeline", "ada", "--as", "dr-lee"))["entries"]
    assert after == before
    assert all(each["fault"] is None for each in after)
    assert (await shell.ok("publish", "--as", "dr-lee", "--patient", "ada", _bundle(tmp_path, "later")))[
        "accepted"
    ] == 3


async def test_who_is_suspended_is_out(shell: Shell) -> None:
    await shell.ok("participant", "suspend", "dr-moe", "--as", "hospital")
    done = await shell.run("patient", "list", "--as", "dr-moe")
    assert done.code == 1
    assert "suspended" in done.err
    assert (await shell.run("participant", "suspend", "er", "--as", "hospital")).code == 1


async def test_what_was_refused_is_there_for_the_operator(shell: Shell) -> None:
    listed = (await shell.ok("rejections", "list", "--reason", "conflicting_id"))["rejections"]
    assert len(listed) == 1
    record = f"{listed[0]['partition']}/{listed[0]['offset']}"
    shown = await shell.ok("rejections", "show", record)
    assert (shown["reason"], shown["proven"]) == ("conflicting_id", True)
    assert shown["winner"] is not None
    assert await shell.ok("rejections", "show", shown["digest"]) == shown
    assert (await shell.run("rejections", "show", "0/999999")).code == 2


async def test_everything_holds_and_one_change_is_found(shell: Shell) -> None:
    report = await shell.ok("verify")
    assert report["holds"] is True
    assert (report["broken"], report["chains"], report["unchecked"]) == (0, 2, [])
    one = await shell.run("verify", "ada")
    assert one.code == 0
    assert "all hold" in one.out
    assert (await shell.run("verify", "nobody")).code == 2
    dsn = json.loads((shell.directory / "run.json").read_text(encoding="utf-8"))["postgres"]
    connection = await asyncpg.connect(dsn)
    await connection.execute("UPDATE entries SET body = body || 'x' WHERE type = 'care.condition' OR seq = 4")
    await connection.close()
    broken = await shell.run("verify", "--json")
    assert (broken.code, broken.json["holds"]) == (1, False)
    told = await shell.run("verify", "ada")
    assert told.code == 1
    assert told.out.startswith("BROKEN  partition ")
