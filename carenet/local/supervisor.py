"""Keeps several services alive: starts them side by side, restarts one that dies or is unwell, stops them.

Use:
    async with Supervisor([Supervised(kafka), Supervised(worker, probe=...)], print) as supervisor:
        await asyncio.Event().wait()

It says everything that it does through one callback, with process ids and reasons and nothing of what flows.
Leaving the block stops the services side by side, each with its own grace time (what must outlive others has a
supervisor of its own, entered before theirs); a cancellation meanwhile (a second Ctrl-C) ends
what is left with SIGKILL. If this process is killed, the kernel ends the services (see `launch`).
What is not done here: catching signals (the command line does), writing run.json (whoever hears the events does).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from types import TracebackType
from typing import Self

from carenet.errors import SetupError
from carenet.local.probes import Probe
from carenet.local.service import Service


class EventKind(StrEnum):
    """What the supervisor says about a service."""

    STARTING = "starting"
    READY = "ready"
    DIED = "died"
    UNWELL = "unwell"
    WAITING = "waiting"
    FAILED = "failed"
    STOPPING = "stopping"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened to a service.

    Args:
        service: its name.
        kind: what happened.
        detail: why, in words; may be empty.
        pid: process id at that moment, if there is one.
    """

    service: str
    kind: EventKind
    detail: str = ""
    pid: int | None = None


@dataclass(frozen=True, slots=True)
class Policy:
    """How patient the supervisor is with one service.

    Args:
        first_delay_s: pause before the first restart; doubles with each that follows.
        max_delay_s: longest pause.
        calm_s: a run of this length makes the next pause the first one again.
        probe_every_s: pause between two probes.
        probe_timeout_s: a probe that takes longer counts as "unwell".
        probe_failures: this many in a row make it unwell.
    """

    first_delay_s: float = 0.2
    max_delay_s: float = 10.0
    calm_s: float = 30.0
    probe_every_s: float = 2.0
    probe_timeout_s: float = 5.0
    probe_failures: int = 3


@dataclass(frozen=True, slots=True)
class Supervised:
    """A service and how to look after it.

    Args:
        service: what to keep alive.
        probe: makes the probe of one run; None watches only whether the process lives.
        policy: how patient to be.
    """

    service: Service
    probe: Callable[[], Probe] | None = None
    policy: Policy = field(default_factory=Policy)


@dataclass(frozen=True, slots=True)
class Status:
    """How a service is now, for a table.

    Args:
        service: its name.
        state: the last thing that was said of it.
        pid: process id while it runs.
        restarts: how often it was started again.
    """

    service: str
    state: EventKind
    pid: int | None
    restarts: int


class _Child:
    """What the supervisor remembers of one service."""

    def __init__(self, supervised: Supervised) -> None:
        self.service = supervised.service
        self.make_probe = supervised.probe
        self.policy = supervised.policy
        self.state = EventKind.STOPPED
        self.restarts = 0
        self.delay_s = supervised.policy.first_delay_s
        self.started_at = 0.0


class Supervisor:
    """Starts, watches, restarts and stops services; an async context manager.

    Args:
        services: they start side by side, and may need one another; `status` keeps their order.
        on_event: told of everything; must not block, and must not raise.
    """

    def __init__(self, services: Sequence[Supervised], on_event: Callable[[Event], None]) -> None:
        self._children = [_Child(supervised) for supervised in services]
        self._on_event = on_event
        self._group = asyncio.TaskGroup()
        self._watchers: list[asyncio.Task[None]] = []

    def status(self) -> list[Status]:
        """How each service is now, in the order of starting."""
        return [Status(c.service.name, c.state, c.service.pid, c.restarts) for c in self._children]

    async def __aenter__(self) -> Self:
        """Start all.

        Raises:
            SetupError: one did not come up; the others were stopped again.
        """
        try:
            await self._start_all()
        except BaseException:
            await self._stop_all()
            raise
        await self._group.__aenter__()
        self._watchers = [self._group.create_task(self._keep(child)) for child in self._children]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop watching, then stop all."""
        try:
            for watcher in self._watchers:
                watcher.cancel()
            await self._group.__aexit__(kind, error, trace)
        finally:
            await self._stop_all()

    async def _start_all(self) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for child in self._children:
                    self._say(child, EventKind.STARTING)
                    group.create_task(self._start(child))
        except BaseExceptionGroup as failures:  # the first one ended the others
            raise failures.exceptions[0] from None

    async def _start(self, child: _Child) -> None:
        await child.service.start()
        child.started_at = time.monotonic()
        self._say(child, EventKind.READY)

    async def _keep(self, child: _Child) -> None:
        """Watch one service for ever, and bring it back whenever it is gone or unwell."""
        while True:
            kind, reason = await _first_of(self._death(child), self._illness(child))
            self._say(child, kind, reason)
            await child.service.stop()
            if time.monotonic() - child.started_at >= child.policy.calm_s:
                child.delay_s = child.policy.first_delay_s
            await self._revive(child)

    async def _revive(self, child: _Child) -> None:
        while True:
            self._say(child, EventKind.WAITING, f"restart in {child.delay_s:g} s")
            await asyncio.sleep(child.delay_s)
            child.delay_s = min(child.delay_s * 2, child.policy.max_delay_s)
            child.restarts += 1
            self._say(child, EventKind.STARTING)
            try:
                await self._start(child)
            except SetupError as exc:
                self._say(child, EventKind.FAILED, str(exc))
            else:
                return

    @staticmethod
    async def _death(child: _Child) -> tuple[EventKind, str]:
        return EventKind.DIED, f"ended with exit code {await child.service.wait()}"

    @staticmethod
    async def _illness(child: _Child) -> tuple[EventKind, str]:
        """Return when the probe has failed often enough in a row; never, without a probe."""
        probe = child.make_probe() if child.make_probe is not None else None
        failures = 0
        while True:
            await asyncio.sleep(child.policy.probe_every_s)
            if probe is None:
                continue
            try:
                async with asyncio.timeout(child.policy.probe_timeout_s):
                    trouble = await probe()
            except TimeoutError:
                trouble = f"no answer to its probe in {child.policy.probe_timeout_s:g} s"
            except Exception as exc:  # noqa: BLE001 - whatever a probe meets, the other services must not fall with it
                trouble = f"its probe failed: {type(exc).__name__}"
            failures = failures + 1 if trouble else 0
            if trouble and failures >= child.policy.probe_failures:
                return EventKind.UNWELL, trouble

    async def _stop_all(self) -> None:
        """Stop all side by side; a cancellation meanwhile ends what is left at once, and is passed on."""
        async with asyncio.TaskGroup() as group:
            for child in self._children:
                if child.service.pid is not None:
                    self._say(child, EventKind.STOPPING)
                    group.create_task(self._stop(child))

    async def _stop(self, child: _Child) -> None:
        try:
            await child.service.stop()
        except asyncio.CancelledError:
            await child.service.kill()
            raise
        finally:
            self._say(child, EventKind.STOPPED)

    def _say(self, child: _Child, kind: EventKind, detail: str = "") -> None:
        child.state = kind
        self._on_event(Event(child.service.name, kind, detail, child.service.pid))


async def _first_of(*waits: Awaitable[tuple[EventKind, str]]) -> tuple[EventKind, str]:
    """The result of the one that is done first; the others are cancelled, and awaited."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return done.pop().result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
