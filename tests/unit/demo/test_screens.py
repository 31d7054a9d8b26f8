from __future__ import annotations

import io

import pytest
from rich.console import Console

from carenet.demo.board import Board, Pane
from carenet.demo.lines import Line, Tone
from carenet.demo.mischief import Attempt
from carenet.demo.screens import Screens, show_ms
from carenet.demo.summary import Summary, Verified, WatcherCount
from carenet.demo.summary_view import draw_summary


def _screens(width: int, *, is_terminal: bool = True) -> Screens:
    console = Console(width=width, height=40, file=io.StringIO(), force_terminal=is_terminal, color_system=None)
    team = Pane("Care team", ("dr-lee", "dr-okafor"), "waiting")
    return Screens(console, Board("carenet abc", 1, (team, Pane("Emergency room", ("er",), "nobody is on the way"))))


def _drawn(screens: Screens) -> str:
    with screens.console.capture() as capture:
        screens.console.print(screens.render())
    return capture.get()


def test_what_watchers_see_stands_on_their_own_screens() -> None:
    screens = _screens(120)
    screens.board.show("dr-lee", Line("ada", "SpO₂ 91 %", Tone.ABNORMAL, 7.4))
    screens.board.count_push("dr-lee", 7.4)
    screens.board.count_push("dr-okafor", 9.0)
    drawn = _drawn(screens)
    assert "SpO₂ 91 %" in drawn
    assert "dr-lee 1, dr-okafor 1" in drawn
    assert "nobody is on the way" in drawn
    assert "p50 7.4 ms  p99 9.0 ms" in drawn


@pytest.mark.parametrize("width", [40, 70, 95, 96, 120, 200])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    screens = _screens(width)
    screens.board.show("dr-lee", Line("a-very-long-name-of-a-patient", "x" * 300, Tone.NORMAL, 123456.0))
    screens.report("y" * 300)
    screens.board.total = 22_198
    assert all(len(line) <= width for line in _drawn(screens).splitlines())


@pytest.mark.parametrize("width", [80, 120])
def test_the_picture_keeps_its_height_however_large_the_figures_grow(width: int) -> None:
    screens = _screens(width)
    screens.board.total = 22_198
    before = len(_drawn(screens).splitlines())
    screens.board.published = screens.board.accepted = screens.board.done = 22_198
    screens.board.count_push("dr-lee", 123_456.7)
    assert len(_drawn(screens).splitlines()) == before


def test_text_of_patients_and_servers_draws_nothing() -> None:
    screens = _screens(120)
    screens.board.show("dr-lee", Line("[red]p[/red]", "[link=http://x]click[/link]", Tone.NORMAL, None))
    screens.report("[bold]refused[/bold]")
    drawn = _drawn(screens)
    assert "[red]p[/red]" in drawn
    assert "[link=http://x]click[/link]" in drawn
    assert "[bold]refused[/bold]" in drawn


def test_only_the_first_watcher_of_a_screen_is_shown_and_a_flood_is_thinned() -> None:
    board = _screens(120).board
    assert board.has_room("dr-lee")
    assert not board.has_room("dr-okafor")
    board.line_gap_s = 60
    board.show("dr-lee", Line("ada", "first", Tone.NORMAL))
    assert not board.has_room("dr-lee")


def test_without_a_terminal_what_happens_is_told_in_lines() -> None:
    screens = _screens(80, is_terminal=False)
    screens.tell("ada: a visit")
    screens.report("[a stranger]: refused, no_grant")
    file = screens.console.file
    assert isinstance(file, io.StringIO)
    told = file.getvalue()
    assert "ada: a visit\n" in told
    assert "[a stranger]: refused, no_grant\n" in told


@pytest.mark.parametrize(("value", "shown"), [(None, "–"), (7.26, "7.3 ms"), (99.9, "99.9 ms"), (1234.5, "1,234 ms")])
def test_milliseconds_are_shown_as_precisely_as_they_matter(value: float | None, shown: str) -> None:
    assert show_ms(value) == shown


def test_the_summary_says_what_was_refused_and_why_and_what_was_not_clean() -> None:
    console = Console(width=120, file=io.StringIO(), color_system=None)
    watchers = {"er": WatcherCount(5, 6, 1, 0)}
    verified = Verified(1, 2, 3, 0)
    summary = Summary(9, 7, {"future": 1, "duplicate": 1}, watchers, verified, 1.0, 2.0, 3.0, ("it was [red]",))
    console.print(draw_summary(summary, [Attempt("it claims to be of tomorrow", "future", "future")]))
    file = console.file
    assert isinstance(file, io.StringIO)
    told = file.getvalue()
    assert "it claims to be of tomorrow" in told
    assert "accepted before" in told
    assert "it was [red]" in told
    assert "not clean" in told
