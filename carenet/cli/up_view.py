"""What `carenet up` shows: a table of services that stays at the bottom of a terminal, and a line for what happens.

Where stdout is no terminal there is no table, and every change is a line.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from carenet.local.supervisor import Event, EventKind, Status

_STYLES = {
    EventKind.STARTING: "yellow",
    EventKind.READY: "green",
    EventKind.DIED: "bold red",
    EventKind.UNWELL: "bold red",
    EventKind.WAITING: "yellow",
    EventKind.FAILED: "bold red",
    EventKind.STOPPING: "dim",
    EventKind.STOPPED: "dim",
}
_LOUD = {EventKind.DIED, EventKind.UNWELL, EventKind.FAILED}  # said in a line; the table alone shows the rest
_WORDS = {EventKind.READY: "running", EventKind.UNWELL: "unwell", EventKind.DIED: "died"}
_REFRESHES_A_SECOND = 4.0
_MINUTE_S, _HOUR_S, _DAY_S = 60, 3600, 86_400


class UpView:
    """Shows a stack's life.

    Args:
        console: where.
        status: asked for the services at every refresh.
    """

    def __init__(self, console: Console, status: Callable[[], Sequence[Status]]) -> None:
        self._console = console
        self._status = status
        self._since: dict[str, float] = {}
        self._was_down: set[str] = set()
        self._footer: list[str] = []

    def hear(self, event: Event) -> None:
        """Take in what the supervisor says."""
        self._since[event.service] = time.monotonic()
        if event.kind in _LOUD:
            self._was_down.add(event.service)
            self.say(f"[bold red]{event.service} {_WORDS.get(event.kind, event.kind)}[/]", event.detail)
        elif event.kind is EventKind.READY and event.service in self._was_down:
            self._was_down.discard(event.service)
            self.say(f"[green]{event.service} is back[/]", f"process {event.pid}")
        elif not self._console.is_terminal and event.kind in {EventKind.READY, EventKind.STOPPED}:
            self.say(f"{event.service} {_WORDS.get(event.kind, event.kind)}")

    def say(self, markup: str, detail: str = "") -> None:
        """A line with the time of day."""
        more = f": {escape(detail)}" if detail else ""
        self._console.print(f"[dim]{time.strftime('%H:%M:%S')}[/] {markup}{more}", highlight=False, soft_wrap=True)

    def tell_addresses(self, lines: Sequence[str]) -> None:
        """What stays under the table: addresses, and lines to copy; markup."""
        self._footer = list(lines)
        if not self._console.is_terminal:
            self._console.print(*lines, sep="\n", highlight=False, soft_wrap=True)

    @contextmanager
    def live(self) -> Iterator[None]:
        """Keep the table up to date while the block runs."""
        if not self._console.is_terminal:
            yield
            return
        with Live(
            get_renderable=self.render, console=self._console, refresh_per_second=_REFRESHES_A_SECOND, transient=False
        ):
            yield

    def render(self) -> RenderableType:
        """The table, and what stands under it."""
        table = Table(box=box.ROUNDED, border_style="dim", pad_edge=True)
        for heading in ("service", "state", "pid", "restarts", "since"):
            table.add_column(heading, justify="right" if heading in {"pid", "restarts", "since"} else "left")
        now = time.monotonic()
        for status in self._status():
            state = Text(_WORDS.get(status.state, status.state), style=_STYLES[status.state])
            since = show_duration(now - self._since.get(status.service, now))
            restarts = Text(str(status.restarts), style="yellow" if status.restarts else "dim")
            table.add_row(status.service, state, str(status.pid or "–"), restarts, since)
        if not table.row_count:
            return Text("starting Kafka and PostgreSQL", style="dim")
        return Group(table, *[Text.from_markup(line, overflow="fold") for line in self._footer])


def show_duration(seconds: float) -> str:
    """A stretch of time in its largest unit: `12 s`, `3 min`, `2 h`, `5 d`."""
    if seconds < _MINUTE_S:
        return f"{int(seconds)} s"
    if seconds < _HOUR_S:
        return f"{int(seconds // _MINUTE_S)} min"
    if seconds < _DAY_S:
        return f"{int(seconds // _HOUR_S)} h"
    return f"{int(seconds // _DAY_S)} d"
