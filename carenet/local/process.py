"""One child process that dies with its parent, writes to a log file, and ends when told, one way or the other.

A child runs in a session of its own, so that Ctrl-C in a terminal reaches the parent alone and the parent decides
the order of stopping. If the parent is killed, the kernel sends the child its death signal (see `launch`); since
Linux ties that to the *thread* that forked, `start` must be called from a thread that lives as long as the child
should: in practice the one that runs the event loop.
Restarting, probing and backing off are the supervisor's affair.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from carenet.errors import SetupError

_LAUNCHER = Path(__file__).with_name("launch.py")
_LOG_TAIL_BYTES = 4096


@dataclass(frozen=True, slots=True)
class RunAs:
    """Other ids for a child of root.

    Args:
        uid: user id to take.
        gid: group id to take.
        search: keep the right to pass through and read folders that only root may enter.
    """

    uid: int
    gid: int
    search: bool = False


@dataclass(frozen=True, slots=True)
class Command:
    """What to run, and how it is told to end.

    Args:
        argv: program (absolute path) and arguments; never secrets, since every user can read them.
        log: file that takes stdout and stderr; the one before is kept beside it with the suffix `.1`.
        env: the whole environment of the child; None hands on ours.
        cwd: working folder; None keeps ours.
        run_as: other ids; only root may ask for them.
        stop_signal: the signal that asks the program to end in good order.
        death_signal: the signal that it gets when its parent dies without stopping it.
        grace_s: seconds between the stop signal and SIGKILL.
    """

    argv: tuple[str, ...]
    log: Path
    env: Mapping[str, str] | None = None
    cwd: Path | None = None
    run_as: RunAs | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    death_signal: signal.Signals = signal.SIGKILL
    grace_s: float = 10.0


def launcher_argv(argv: tuple[str, ...], death_signal: int, run_as: RunAs | None = None) -> list[str]:
    """The command line that runs `argv` as a child that dies with this process."""
    head = [sys.executable, "-I", "-S", str(_LAUNCHER), f"--parent={os.getpid()}", f"--death-signal={death_signal:d}"]
    if run_as is not None:
        head += [f"--uid={run_as.uid}", f"--gid={run_as.gid}", *(["--search"] if run_as.search else [])]
    return [*head, "--", *argv]


class ChildProcess:
    """One run of a command; start a new object for the next run."""

    def __init__(self, command: Command) -> None:
        self.command = command
        self._process: asyncio.subprocess.Process | None = None

    def __repr__(self) -> str:
        state = "not started" if self._process is None else f"pid {self.pid}, exit code {self.exit_code}"
        return f"<ChildProcess {Path(self.command.argv[0]).name}: {state}>"

    @property
    def pid(self) -> int:
        """The process id; also the id of its process group and session."""
        if self._process is None:
            raise RuntimeError("the child was not started")
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative numbers are signals, as in `subprocess`."""
        return None if self._process is None else self._process.returncode

    @property
    def is_running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.returncode is None

    async def start(self) -> None:
        """Start it and return at once; whether it is ready is for a probe to say.

        Raises:
            SetupError: the log file or the program cannot be opened.
        """
        command = self.command
        try:
            command.log.parent.mkdir(parents=True, exist_ok=True)
            if command.log.exists() and command.log.stat().st_size:
                command.log.replace(command.log.with_name(command.log.name + ".1"))
            with command.log.open("wb") as log:
                self._process = await asyncio.create_subprocess_exec(
                    *launcher_argv(command.argv, command.death_signal, command.run_as),
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=command.env,
                    cwd=command.cwd,
                    start_new_session=True,
                )
        except OSError as exc:
            raise SetupError(f"cannot start {Path(command.argv[0]).name}: {exc}") from exc

    async def wait(self) -> int:
        """Wait for its end and return its exit code."""
        if self._process is None:
            raise RuntimeError("the child was not started")
        return await self._process.wait()

    async def stop(self) -> None:
        """Ask it to end, and after the grace time end it; a cancellation while waiting ends it at once."""
        if not self.is_running:
            return
        self._signal(self.command.stop_signal)
        try:
            async with asyncio.timeout(self.command.grace_s):
                await self.wait()
        except TimeoutError:
            await self.kill()
        except asyncio.CancelledError:
            self._kill_group()
            raise

    async def kill(self) -> None:
        """End it, and whatever it started in its session, with SIGKILL."""
        if self.is_running:
            self._kill_group()
            await self.wait()

    def log_tail(self, size: int = _LOG_TAIL_BYTES) -> str:
        """The last `size` bytes that it wrote, for an error message about a failed start."""
        try:
            with self.command.log.open("rb") as log:
                log.seek(max(0, self.command.log.stat().st_size - size))
                return log.read().decode("utf-8", "replace").strip()
        except OSError:
            return ""

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)

    def _kill_group(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
