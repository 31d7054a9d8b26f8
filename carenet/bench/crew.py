"""A crew: child processes of a bench that begin together and say when they began and ended.

    async with crew(directory, "carenet.bench.bare", [task, task]) as children:    # each has imported and connected
        children.go()
        shifts = await children.finished()                # monotonic seconds, comparable between processes

A child's module ends with `work_shift(prepare)`: `prepare` is told the task, gets everything ready, and gives the work.
What is timed is the work alone. Children stay until the block is left, so that their CPU can be read.

Files in the crew's folder: `<n>/task.json`, `<n>/ready`, `go`, `<n>/result.json`.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvloop

from carenet.errors import SetupError
from carenet.local.process import ChildProcess, Command

_POLL_S = 0.002
_READY_S = 60.0
_END_S = 900.0

Task = dict[str, Any]
Work = Callable[[], Awaitable[int]]


@dataclass(frozen=True, slots=True)
class Shift:
    """What one child did.

    Attributes:
        began_s, ended_s: on the system's monotonic clock.
        count: how many it did.
    """

    began_s: float
    ended_s: float
    count: int


def rate_of(shifts: Sequence[Shift]) -> float:
    """How many a second all did together, from the first one's beginning to the last one's end."""
    return sum(each.count for each in shifts) / (
        max(each.ended_s for each in shifts) - min(each.began_s for each in shifts)
    )


class Crew:
    """Children that are ready; see the module header."""

    def __init__(self, directory: Path, children: Sequence[ChildProcess]) -> None:
        self._directory = directory
        self._children = children

    @property
    def pids(self) -> list[int]:
        """Process ids, in the order of the tasks."""
        return [child.pid for child in self._children]

    def go(self) -> None:
        """Let them begin."""
        (self._directory / "go").touch()

    async def finished(self) -> list[Shift]:
        """Wait until all are done.

        Raises:
            SetupError: one ended, or took far too long.
        """
        await self.wait_for("result.json", _END_S)
        results = [self._directory / str(number) / "result.json" for number in range(len(self._children))]
        return [Shift(**json.loads(path.read_text(encoding="utf-8"))) for path in results]

    async def wait_for(self, name: str, timeout_s: float) -> None:
        """Wait until each child has written this file."""
        deadline = time.monotonic() + timeout_s
        for number, child in enumerate(self._children):
            while not (self._directory / str(number) / name).exists():
                if not child.is_running or time.monotonic() > deadline:
                    said = [line for line in child.log_tail().splitlines() if line.strip(" |+-")]
                    raise SetupError(f"a process of the bench failed: {said[-1] if said else 'it said nothing'}")
                await asyncio.sleep(_POLL_S)


@asynccontextmanager
async def crew(directory: Path, module: str, tasks: Sequence[Task], ready_s: float = _READY_S) -> AsyncIterator[Crew]:
    """Start one child for each task; leaving the block ends them at once.

    Args:
        directory: a folder for this crew; emptied first.
        module: whose `__main__` calls `work_shift`.
        tasks: what `prepare` is told; JSON.
        ready_s: how long getting ready may take.

    Raises:
        SetupError: one did not become ready.
    """
    shutil.rmtree(directory, ignore_errors=True)
    async with AsyncExitStack() as stack:
        children = []
        for number, task in enumerate(tasks):
            folder = directory / str(number)
            folder.mkdir(parents=True)
            (folder / "task.json").write_text(json.dumps(task), encoding="utf-8")
            child = ChildProcess(Command((sys.executable, "-m", module, str(folder)), directory / f"{number}.log"))
            stack.push_async_callback(child.kill)
            await child.start()
            children.append(child)
        running = Crew(directory, children)
        await running.wait_for("ready", ready_s)
        yield running


def work_shift(prepare: Callable[[AsyncExitStack, Task], Awaitable[Work]]) -> None:
    """What a child does: get ready, wait for the others, work, say so, and wait for its end.

    Args:
        prepare: is given a stack that closes what it opens, and the task; returns the work, which returns its count.
    """
    uvloop.run(_work_shift(prepare, Path(sys.argv[1])))
    signal.pause()


async def _work_shift(prepare: Callable[[AsyncExitStack, Task], Awaitable[Work]], folder: Path) -> None:
    async with AsyncExitStack() as stack:
        work = await prepare(stack, json.loads((folder / "task.json").read_text(encoding="utf-8")))
        (folder / "ready").touch()
        while not (folder.parent / "go").exists():  # noqa: ASYNC110 - another process makes it
            await asyncio.sleep(_POLL_S)
        began_s = time.monotonic()
        count = await work()
        shift = {"began_s": began_s, "ended_s": time.monotonic(), "count": count}
        draft = folder / "result.draft"
        draft.write_text(json.dumps(shift), encoding="utf-8")
        os.replace(draft, folder / "result.json")  # noqa: PTH105 - whole or not at all
