from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from pathlib import Path

import pytest

from carenet.errors import SetupError
from carenet.local.process import ChildProcess, Command
from tests.support.waiting import is_alive, until

_SLEEP = (sys.executable, "-c", "import time; print('up', flush=True); time.sleep(60)")
_DEAF = (
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)",
)


async def test_a_child_that_is_told_to_stop_ends_by_its_signal(tmp_path: Path) -> None:
    child = ChildProcess(Command(_SLEEP, tmp_path / "log"))
    await child.start()
    await until(lambda: "up" in child.log_tail())
    await child.stop()
    assert child.exit_code == -signal.SIGTERM
    await child.stop()  # twice does no harm


async def test_a_child_that_does_not_listen_is_killed_after_its_grace_time(tmp_path: Path) -> None:
    child = ChildProcess(Command(_DEAF, tmp_path / "log", grace_s=0.3))
    await child.start()
    await until(lambda: "up" in child.log_tail())
    began = time.monotonic()
    await child.stop()
    assert child.exit_code == -signal.SIGKILL
    assert time.monotonic() - began >= 0.3


async def test_a_stop_that_is_cancelled_kills_at_once(tmp_path: Path) -> None:
    child = ChildProcess(Command(_DEAF, tmp_path / "log", grace_s=60))
    await child.start()
    await until(lambda: "up" in child.log_tail())
    stop = asyncio.ensure_future(child.stop())
    await asyncio.sleep(0.05)
    stop.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stop
    assert await child.wait() == -signal.SIGKILL


async def test_a_childs_own_children_die_with_it_when_it_is_killed(tmp_path: Path) -> None:
    code = "import subprocess; p = subprocess.Popen(['sleep', '60']); print('grandchild', p.pid, flush=True); p.wait()"
    child = ChildProcess(Command((sys.executable, "-c", code), tmp_path / "log"))
    await child.start()
    await until(lambda: "grandchild" in child.log_tail())
    grandchild = int(child.log_tail().split()[-1])
    await child.kill()
    await until(lambda: not is_alive(grandchild))


async def test_a_child_is_in_a_session_of_its_own(tmp_path: Path) -> None:
    child = ChildProcess(Command(_SLEEP, tmp_path / "log"))
    await child.start()
    try:
        assert os.getsid(child.pid) == child.pid != os.getsid(0)
    finally:
        await child.kill()


async def test_a_program_that_is_not_there_is_named_in_the_log(tmp_path: Path) -> None:
    child = ChildProcess(Command(("/nowhere/program",), tmp_path / "log"))
    await child.start()
    assert await child.wait() == 1
    assert child.log_tail() == "cannot run /nowhere/program: No such file or directory"


async def test_a_log_that_cannot_be_written_is_a_setup_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SetupError, match="cannot start"):
        await ChildProcess(Command(_SLEEP, tmp_path / "file" / "log")).start()


async def test_the_log_of_the_run_before_is_kept_beside(tmp_path: Path) -> None:
    for text in ("first", "second"):
        child = ChildProcess(Command((sys.executable, "-c", f"print({text!r})"), tmp_path / "log"))
        await child.start()
        await child.wait()
    assert (tmp_path / "log").read_text() == "second\n"
    assert (tmp_path / "log.1").read_text() == "first\n"


async def test_children_die_when_their_parent_is_killed(tmp_path: Path) -> None:
    code = f"""
import asyncio, sys
from pathlib import Path
from carenet.local.process import ChildProcess, Command
from tests.support.waiting import is_alive, until
async def main():
    child = ChildProcess(Command({_DEAF!r}, Path({str(tmp_path / "log")!r})))
    await child.start()
    while "up" not in child.log_tail():
        await asyncio.sleep(0.02)
    print(child.pid, flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE)
    assert parent.stdout is not None
    pid = int(await parent.stdout.readline())
    assert is_alive(pid)
    parent.kill()
    await parent.wait()
    await until(lambda: not is_alive(pid))
