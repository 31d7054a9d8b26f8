"""`carenet up` and `carenet doctor` against a whole stack, as processes of their own."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import urllib.request
from pathlib import Path
from typing import Any

from carenet.local.runfile import read_run_file
from tests.support.waiting import STRETCH, is_alive, until

_PROGRAM = "from carenet.cli.main import main; main()"
_TIMEOUT_S = 60 * STRETCH


async def _start(*words: str) -> asyncio.subprocess.Process:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CARENET_")}
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", _PROGRAM, *words,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env=environment,
    )  # fmt: skip


async def _doctor(folder: Path, *words: str) -> tuple[int, dict[str, str], dict[str, Any]]:
    """Exit code, verdicts by name, and the whole JSON."""
    process = await _start("doctor", "--json", "--dir", str(folder), *words)
    async with asyncio.timeout(_TIMEOUT_S):
        out, err = await process.communicate()
    assert process.returncode is not None, err
    found = json.loads(out.decode().splitlines()[-1])
    return process.returncode, {each["name"]: each["verdict"] for each in found["checks"]}, found


async def _read_until(process: asyncio.subprocess.Process, words: str) -> list[str]:
    assert process.stdout is not None
    lines = []
    async with asyncio.timeout(_TIMEOUT_S):
        async for line in process.stdout:
            lines.append(line.decode())
            if words in lines[-1]:
                return lines
    raise AssertionError(f"{words!r} was never said: {lines}")


async def until_shown(address: str, words: str) -> None:
    """Return when a page, read by a client that is not ours, has these words."""

    def read() -> str:
        try:
            with urllib.request.urlopen(address, timeout=10) as answer:
                return answer.read().decode()
        except OSError as exc:
            return str(exc)

    async with asyncio.timeout(_TIMEOUT_S):
        while words not in await asyncio.to_thread(read):  # noqa: ASYNC110 - it is another process
            await asyncio.sleep(0.1)


async def test_it_founds_runs_restarts_and_stops_everything_and_is_alone_in_its_folder(tmp_path: Path) -> None:
    up = await _start("up", "--dir", str(tmp_path))
    try:
        said = await _read_until(up, "patient register ada")
        assert any("founded the network" in line for line in said)
        assert any("ws://127.0.0.1:" in line for line in said)
        run = read_run_file(tmp_path)
        assert run is not None
        assert list(run.children) == ["kafka", "postgres", "worker", "agents", "gateway"]
        assert list(run.metrics) == ["worker", "agents", "gateway"]
        for name, count in (("worker", "carenet_fold_assigned 8"), ("gateway", "carenet_gateway_sessions 0")):
            assert any(run.metrics[name] in line for line in said)
            await until_shown(run.metrics[name], count)
        assert not any(run.postgres in line for line in said), "the DSN holds a password"

        code, verdicts, found = await _doctor(tmp_path)
        assert (code, found["failed"]) == (0, 0), found
        running = ("processes", "topics", "database", "worker", "gateway")
        assert {name: verdicts[name] for name in running} == dict.fromkeys(running, "ok")

        second = await _start("up", "--dir", str(tmp_path))
        async with asyncio.timeout(_TIMEOUT_S):
            _, err = await second.communicate()
        assert (second.returncode, f"in use by carenet process {up.pid}" in err.decode()) == (2, True)

        os.kill(run.children["worker"], signal.SIGKILL)
        await _read_until(up, "worker died")
        await _read_until(up, "worker is back")
    finally:
        up.send_signal(signal.SIGINT)
        async with asyncio.timeout(_TIMEOUT_S):
            await up.communicate()
    assert up.returncode == 130
    await until(lambda: not any(is_alive(pid) for pid in run.children.values()))
    assert read_run_file(tmp_path) is None


async def test_the_doctor_names_a_server_that_does_not_answer(tmp_path: Path) -> None:
    init = await _start("network", "init", "--dir", str(tmp_path))
    await init.communicate()
    code, verdicts, found = await _doctor(
        tmp_path, "--kafka", "127.0.0.1:1", "--postgres", "postgresql://u:secret@127.0.0.1:1/d"
    )
    assert code == 1
    assert (verdicts["topics"], verdicts["database"]) == ("fail", "fail")
    assert "java" not in verdicts, "servers that exist need no packages of their own"
    assert "secret" not in json.dumps(found)


async def test_addresses_that_cannot_be_meant_are_refused_before_anything_starts(tmp_path: Path) -> None:
    process = await _start("up", "--dir", str(tmp_path), "--kafka", "nonsense", "--postgres", "mysql://u:secret@h/d")
    _, err = await process.communicate()
    assert process.returncode == 2
    assert "--kafka is HOST:PORT; --postgres is postgresql://" in err.decode()
    assert "secret" not in err.decode()
    assert not any(tmp_path.iterdir())  # noqa: ASYNC240 - a look at an empty folder
