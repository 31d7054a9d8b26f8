from __future__ import annotations

import io

import pytest
from rich.console import Console

from carenet.cli.up_view import UpView, show_duration
from carenet.local.supervisor import Event, EventKind, Status


def _view(*, is_terminal: bool) -> tuple[UpView, io.StringIO]:
    file = io.StringIO()
    console = Console(file=file, width=100, force_terminal=is_terminal, color_system=None)
    status = [Status("kafka", EventKind.READY, 7, 0), Status("worker", EventKind.WAITING, None, 2)]
    return UpView(console, lambda: status), file


def test_the_table_says_of_each_service_how_it_is() -> None:
    view, _ = _view(is_terminal=True)
    console = Console(width=100, file=io.StringIO(), color_system=None)
    with console.capture() as capture:
        console.print(view.render())
    rows = [line.split() for line in capture.get().splitlines() if "kafka" in line or "worker" in line]
    assert rows == [
        ["│", "kafka", "│", "running", "│", "7", "│", "0", "│", "0", "s", "│"],
        ["│", "worker", "│", "waiting", "│", "–", "│", "2", "│", "0", "s", "│"],
    ]


def test_before_the_first_service_there_is_a_sign_of_life_and_no_empty_table() -> None:
    console = Console(width=100, file=io.StringIO(), color_system=None)
    with console.capture() as capture:
        console.print(UpView(console, list).render())
    assert capture.get().strip() == "starting Kafka and PostgreSQL"


@pytest.mark.parametrize("is_terminal", [True, False])
def test_a_death_and_the_return_from_it_are_said_in_lines(is_terminal: bool) -> None:
    view, file = _view(is_terminal=is_terminal)
    view.hear(Event("worker", EventKind.DIED, "ended with exit code [-9]"))
    view.hear(Event("worker", EventKind.WAITING, "restart in 0.2 s"))
    view.hear(Event("worker", EventKind.READY, pid=8))
    view.hear(Event("worker", EventKind.STARTING))  # and what follows an ordinary start is no return
    said = [line[9:] for line in file.getvalue().splitlines()]
    assert said == ["worker died: ended with exit code [-9]", "worker is back: process 8"]


def test_without_a_terminal_starts_and_stops_are_said_too() -> None:
    view, file = _view(is_terminal=False)
    for kind in (EventKind.STARTING, EventKind.READY, EventKind.STOPPING, EventKind.STOPPED):
        view.hear(Event("kafka", kind))
    view.tell_addresses(["gateway ws://127.0.0.1:1"])
    assert [line[9:] for line in file.getvalue().splitlines()[:2]] == ["kafka running", "kafka stopped"]
    assert "gateway ws://127.0.0.1:1" in file.getvalue()


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "0 s"), (59.9, "59 s"), (60, "1 min"), (3599, "59 min"), (3600, "1 h"), (86_399, "23 h"), (200_000, "2 d")],
)
def test_a_stretch_of_time_is_told_in_its_largest_unit(seconds: float, shown: str) -> None:
    assert show_duration(seconds) == shown
