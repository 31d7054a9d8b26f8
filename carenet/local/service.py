"""What the supervisor can keep alive: the two servers of this room, and any command.

A service is started again after it stopped or died, on the same object.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

from carenet.errors import SetupError
from carenet.local.process import ChildProcess, Command

Ready = Callable[[], Awaitable[bool]]

_POLL_S = 0.05


class Service(Protocol):
    """Something that runs as a child process and can be started, stopped and killed."""

    @property
    def name(self) -> str:
        """What people call it: one word."""

    @property
    def pid(self) -> int | None:
        """Process id while it runs, else None."""

    async def start(self) -> None:
        """Start it and return when it is ready.

        Raises:
            SetupError: it ended, or was not ready in time; nothing of it is left running.
        """

    async def wait(self) -> int:
        """Wait until its process ends; its exit code."""

    async def stop(self) -> None:
        """End it in good order, or by force after its grace time; nothing to do when it does not run."""

    async def kill(self) -> None:
        """End it with SIGKILL."""


class CommandService:
    """A service that is one command line.

    Args:
        name: one word.
        command: what to run.
        ready: tells whether it is ready; None takes it as ready once started.
        start_timeout_s: seconds that it may take to become ready.
    """

    def __init__(self, name: str, command: Command, ready: Ready | None = None, start_timeout_s: float = 30.0) -> None:
        self.name = name
        self.command = command
        self._ready = ready
        self._start_timeout_s = start_timeout_s
        self._child: ChildProcess | None = None

    def __repr__(self) -> str:
        return f"<CommandService {self.name}: pid {self.pid}>"

    @property
    def pid(self) -> int | None:
        """Process id while it runs, else None."""
        return self._child.pid if self._child is not None and self._child.is_running else None

    async def start(self) -> None:
        """Start it and wait until it is ready.

        Raises:
            SetupError: it ended or was not ready in time.
        """
        if self.pid is not None:
            raise RuntimeError(f"{self.name} already runs")
        self._child = ChildProcess(self.command)
        await self._child.start()
        await wait_until_ready(self.name, self._child, self._ready, self._start_timeout_s)

    async def wait(self) -> int:
        """Wait until it ends; its exit code."""
        if self._child is None:
            raise RuntimeError(f"{self.name} was not started")
        return await self._child.wait()

    async def stop(self) -> None:
        """End it in good order, or by force after its grace time."""
        if self._child is not None:
            await self._child.stop()

    async def kill(self) -> None:
        """End it with SIGKILL."""
        if self._child is not None:
            await self._child.kill()


async def wait_until_ready(name: str, child: ChildProcess, ready: Ready | None, timeout_s: float) -> None:
    """Ask until a child that was started is ready; on failure or cancellation nothing of it stays.

    Raises:
        SetupError: it ended, or was not ready after `timeout_s`; says where its log is.
    """
    try:
        async with asyncio.timeout(timeout_s):
            while ready is not None and not await ready():
                if not child.is_running:
                    break
                await asyncio.sleep(_POLL_S)
    except TimeoutError as exc:
        await child.kill()
        raise SetupError(f"{name} was not ready after {timeout_s:g} s; its log is {child.command.log}") from exc
    except BaseException:
        await child.kill()
        raise
    if not child.is_running:
        last = child.log_tail().splitlines()[-1:] or ["it wrote nothing"]
        raise SetupError(
            f"{name} ended with exit code {child.exit_code} while starting; its log is {child.command.log}: {last[0]}"
        )
