from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from carenet.errors import SetupError
from carenet.local.probes import http_ok
from carenet.local.process import Command
from carenet.local.service import CommandService
from carenet.local.supervisor import Event, EventKind, Policy, Supervised, Supervisor
from tests.support.waiting import until

_SLEEP = "import time; time.sleep(60)"
_QUICK = Policy(first_delay_s=0.05, max_delay_s=0.2, probe_every_s=0.05, probe_timeout_s=0.5, probe_failures=2)


def _service(folder: Path, name: str, code: str = _SLEEP, grace_s: float = 5.0) -> CommandService:
    return CommandService(name, Command((sys.executable, "-c", code), folder / f"{name}.log", grace_s=grace_s))


class _Heard(list[Event]):
    """Everything that a supervisor said."""

    def kinds(self, service: str) -> list[str]:
        return [event.kind.value for event in self if event.service == service]

    async def until(self, kind: EventKind, count: int = 1, timeout_s: float = 10.0) -> Event:
        await until(lambda: sum(event.kind is kind for event in self) >= count, timeout_s)
        return [event for event in self if event.kind is kind][count - 1]


async def test_services_start_and_stop_side_by_side(tmp_path: Path) -> None:
    heard = _Heard()
    second = tmp_path / "second.log"

    async def has_a_companion() -> bool:
        return second.exists()

    first = CommandService("first", Command((sys.executable, "-c", _SLEEP), tmp_path / "first.log"), has_a_companion)
    services = [Supervised(first), Supervised(_service(tmp_path, "second"))]
    async with Supervisor(services, heard.append) as supervisor:
        assert [(s.service, s.state, s.restarts) for s in supervisor.status()] == [
            ("first", EventKind.READY, 0),
            ("second", EventKind.READY, 0),
        ]
    said = [(event.service, event.kind.value) for event in heard]
    for at, kind in enumerate(("starting", "ready", "stopping", "stopped")):
        assert sorted(said[2 * at : 2 * at + 2]) == [("first", kind), ("second", kind)]
    assert len(said) == 8


async def test_a_service_that_dies_is_restarted_and_said_so(tmp_path: Path) -> None:
    heard = _Heard()
    services = [Supervised(_service(tmp_path, name), policy=_QUICK) for name in ("steady", "victim")]
    async with Supervisor(services, heard.append) as supervisor:
        first = supervisor.status()[1].pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        died = await heard.until(EventKind.DIED)
        assert (died.service, died.detail) == ("victim", "ended with exit code -9")
        await heard.until(EventKind.READY, 3)
        status = supervisor.status()[1]
        assert status.pid not in (None, first)
        assert (status.state, status.restarts) == (EventKind.READY, 1)
    assert heard.kinds("victim")[2:6] == ["died", "waiting", "starting", "ready"]
    assert heard.kinds("steady") == ["starting", "ready", "stopping", "stopped"]


async def test_the_pauses_between_restarts_grow_to_their_limit(tmp_path: Path) -> None:
    heard = _Heard()
    async with Supervisor([Supervised(_service(tmp_path, "mayfly", "pass"), policy=_QUICK)], heard.append):
        await heard.until(EventKind.WAITING, 4)
    waits = [event.detail for event in heard if event.kind is EventKind.WAITING]
    assert waits[:4] == ["restart in 0.05 s", "restart in 0.1 s", "restart in 0.2 s", "restart in 0.2 s"]


async def test_a_service_that_its_probe_finds_unwell_is_restarted_with_a_new_probe(tmp_path: Path) -> None:
    heard = _Heard()
    runs = 0

    def make_probe() -> Callable[[], asyncio.Future[str | None]]:
        nonlocal runs
        runs += 1
        answer: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        answer.set_result("stands still at 1 of 7 for 10 s" if runs == 1 else None)
        return lambda: answer

    stuck = Supervised(_service(tmp_path, "stuck"), make_probe, _QUICK)
    async with Supervisor([stuck], heard.append) as supervisor:
        first = supervisor.status()[0].pid
        unwell = await heard.until(EventKind.UNWELL)
        assert unwell.detail == "stands still at 1 of 7 for 10 s"
        await heard.until(EventKind.READY, 2)
        assert supervisor.status()[0].pid != first
        await asyncio.sleep(0.3)
    assert heard.kinds("stuck").count("unwell") == 1
    assert runs == 2


async def test_a_probe_that_never_answers_counts_as_unwell(tmp_path: Path) -> None:
    heard = _Heard()

    async def probe() -> str | None:
        await asyncio.Event().wait()
        return None

    policy = Policy(probe_every_s=0.02, probe_timeout_s=0.05, probe_failures=2)
    async with Supervisor([Supervised(_service(tmp_path, "hung"), lambda: probe, policy)], heard.append):
        assert "no answer" in (await heard.until(EventKind.UNWELL)).detail


async def test_a_probe_that_fails_in_a_way_that_nobody_expected_takes_nobody_down(tmp_path: Path) -> None:
    heard = _Heard()

    async def probe() -> str | None:
        raise ZeroDivisionError

    policy = Policy(first_delay_s=0.01, probe_every_s=0.02, probe_failures=2)
    services = [Supervised(_service(tmp_path, "other")), Supervised(_service(tmp_path, "x"), lambda: probe, policy)]
    async with Supervisor(services, heard.append) as supervisor:
        other = supervisor.status()[0].pid
        assert (await heard.until(EventKind.UNWELL)).detail == "its probe failed: ZeroDivisionError"
        await heard.until(EventKind.READY, 3)
        assert supervisor.status()[0].pid == other


async def test_a_death_is_noticed_while_a_probe_hangs(tmp_path: Path) -> None:
    heard = _Heard()

    async def probe() -> str | None:
        await asyncio.Event().wait()
        return None

    policy = Policy(probe_every_s=0.01, probe_timeout_s=60)
    async with Supervisor([Supervised(_service(tmp_path, "x"), lambda: probe, policy)], heard.append) as supervisor:
        await asyncio.sleep(0.1)
        pid = supervisor.status()[0].pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        await heard.until(EventKind.DIED, timeout_s=2)


async def test_when_one_does_not_come_up_the_others_are_stopped_and_it_is_blamed(tmp_path: Path) -> None:
    heard = _Heard()

    async def never() -> bool:
        return False

    failing = CommandService("failing", Command((sys.executable, "-c", "raise SystemExit(3)"), tmp_path / "log"), never)
    first = _service(tmp_path, "first")
    waiting = CommandService("waiting", Command((sys.executable, "-c", _SLEEP), tmp_path / "waiting.log"), never)
    with pytest.raises(SetupError, match="failing ended with exit code 3"):
        async with Supervisor([Supervised(each) for each in (first, waiting, failing)], heard.append):
            raise AssertionError("must not be entered")
    assert [each.pid for each in (first, waiting, failing)] == [None, None, None]


async def test_a_service_that_is_not_ready_in_time_is_ended(tmp_path: Path) -> None:
    async def never() -> bool:
        return False

    slow = CommandService("slow", Command((sys.executable, "-c", _SLEEP), tmp_path / "log"), never, 0.2)
    with pytest.raises(SetupError, match=r"slow was not ready after 0\.2 s"):
        await slow.start()
    assert slow.pid is None


async def test_a_restart_that_fails_is_tried_again(tmp_path: Path) -> None:
    heard = _Heard()
    flag = tmp_path / "flag"

    async def ready() -> bool:
        return not flag.exists()

    service = CommandService("flaky", Command((sys.executable, "-c", _SLEEP), tmp_path / "log"), ready, 0.2)
    async with Supervisor([Supervised(service, policy=_QUICK)], heard.append):
        flag.touch()
        await service.kill()
        await heard.until(EventKind.FAILED, 2)
        flag.unlink()
        await heard.until(EventKind.READY, 2)
        assert service.pid is not None


async def test_a_second_interruption_ends_what_is_left_at_once(tmp_path: Path) -> None:
    heard = _Heard()
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
    services = [_service(tmp_path, name, deaf, grace_s=60) for name in ("a", "b")]

    async def run() -> None:
        async with Supervisor([Supervised(service) for service in services], heard.append):
            await asyncio.Event().wait()

    stack = asyncio.ensure_future(run())
    await heard.until(EventKind.READY, 2)
    await until(lambda: all("up" in (tmp_path / f"{name}.log").read_text() for name in "ab"))
    stack.cancel()
    await heard.until(EventKind.STOPPING)
    stack.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        async with asyncio.timeout(5):
            await stack
    assert [service.pid for service in services] == [None, None]


async def test_the_http_probe_wants_status_200() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readline()
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n" if b" /health " in request else b"HTTP/1.1 503 No\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        assert await http_ok("127.0.0.1", port, "/health")() is None
        assert await http_ok("127.0.0.1", port, "/other")() == "GET /other answered '503'"
    assert await http_ok("127.0.0.1", port, "/health")() == "GET /health: ConnectionRefusedError"
