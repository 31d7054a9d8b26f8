"""Draws the board: two screens side by side in a terminal, stacked in a narrow one, plain lines where there is none.

All text of patients and servers goes through `Text`, which takes no markup, so that nothing in it can draw.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from rich import box
from rich.align import Align
from rich.columns import Columns
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from carenet.demo.board import Board, Pane
from carenet.demo.lines import Line, Tone

_STYLES = {Tone.NORMAL: "", Tone.ABNORMAL: "yellow", Tone.CRITICAL: "bold red", Tone.CONTROL: "cyan"}
_NARROW = 96  # columns; below it the screens are stacked
_LEAST_ROWS, _MOST_ROWS = 4, 16
_FRAME_ROWS = 13  # of everything but the screens' lines
_NEWS_ROWS = 4
_REFRESH_S = 0.25  # drawing takes some 10 ms, in which nothing else runs here: rare enough not to show in latencies
_PLAIN_S = 5.0
_PATIENT_COLUMNS = 14


class Screens:
    """Shows a board while a demo runs.

    Args:
        console: where.
        board: what.
    """

    def __init__(self, console: Console, board: Board) -> None:
        self.console = console
        self.board = board
        self._is_live = False

    @asynccontextmanager
    async def live(self) -> AsyncIterator[None]:
        """Draw again and again while the block runs, and leave the last picture standing."""
        if not self.console.is_terminal:
            async with _meanwhile(self._tell_progress()):
                yield
            return
        self._is_live = True
        # Drawn by this loop and not by a thread: the picture is of one moment, and never halfway through a change.
        with Live(console=self.console, auto_refresh=False, get_renderable=self.render, transient=False) as live:
            try:
                async with _meanwhile(self._draw(live)):
                    yield
            finally:
                self._is_live = False
            live.refresh()

    @contextmanager
    def waiting(self, what: str) -> Iterator[Callable[[str], None]]:
        """A sign of life while the block runs and no picture stands; yields what changes its text in a terminal.

        Args:
            what: in words; no markup.
        """
        self.board.phase = what
        if not self.console.is_terminal:
            self._print_line(what)
            yield lambda _: None
            return
        with self.console.status(Text(what, style="cyan"), spinner="dots") as status:
            yield lambda text: status.update(Text(text, style="cyan"))

    def tell(self, phase: str) -> None:
        """Say what happens now."""
        self.board.phase = phase
        self._print_line(phase)

    def tell_quietly(self, phase: str) -> None:
        """Say what happens now, where that may change too often for lines."""
        self.board.phase = phase

    def report(self, news: str) -> None:
        """Say what is worth a line."""
        self.board.news.append(news)
        self._print_line(f"  {news}")

    def render(self) -> RenderableType:
        """The picture."""
        width, height = self.console.size
        is_narrow = width < _NARROW
        room = max(height - _FRAME_ROWS, _LEAST_ROWS)
        rows = max(_LEAST_ROWS, min(_MOST_ROWS, room // len(self.board.panes) if is_narrow else room))
        pane_width = width if is_narrow else width // len(self.board.panes)
        panes = [_draw_pane(pane, rows, pane_width) for pane in self.board.panes]
        screens = Group(*panes) if is_narrow else Columns(panes, padding=0, expand=False)
        return Group(self._draw_head(), screens, self._draw_news(width), self._draw_foot(width))

    async def _draw(self, live: Live) -> None:
        while True:
            live.refresh()
            await asyncio.sleep(_REFRESH_S)

    async def _tell_progress(self) -> None:
        while True:
            await asyncio.sleep(_PLAIN_S)
            board = self.board
            if board.total:
                self._print_line(f"{board.done:,} of {board.total:,} events{self._show_pace()}")

    def _draw_head(self) -> RenderableType:
        left = Text.assemble(("carenet", "bold cyan"), ("  ", ""), (self.board.phase, "bold"))
        right = Text(f"{self.board.network} · run {self.board.run} · {self.board.elapsed_s:.0f} s", style="dim")
        head = Table.grid(expand=True)
        head.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
        head.add_column(justify="right", no_wrap=True)
        head.add_row(left, right)
        return head

    def _draw_news(self, width: int) -> RenderableType:
        shown = list(self.board.news)[-_NEWS_ROWS:]
        lines = [Text(line, no_wrap=True, overflow="ellipsis") for line in shown]
        lines += [Text("")] * (_NEWS_ROWS - len(lines))
        return Panel(Group(*lines), title="access and refusals", title_align="left", border_style="dim", width=width)

    def _draw_foot(self, width: int) -> RenderableType:
        board = self.board
        p50, p99 = board.latencies()
        accepted = "  folded " if width < _NARROW else "  in timelines "
        figures = Text.assemble(
            ("published ", "dim"), f"{board.published:,}", (accepted, "dim"), f"{board.accepted:,}",
            ("  refused ", "dim"), f"{sum(board.refused.values())}",
            ("  publish → opened ", "dim"), f"p50 {show_ms(p50)}  p99 {show_ms(p99)}",
        )  # fmt: skip
        if width < _NARROW:
            figures.no_wrap, figures.overflow = True, "ellipsis"  # a line more would push the picture up
        if not board.total:
            return figures
        bar = Table.grid(padding=(0, 1))
        bar.add_row(
            ProgressBar(total=board.total, completed=board.done, width=max(10, min(width // 3, 40))),
            Text(f"{board.done:,} of {board.total:,}{self._show_pace()}"),
        )
        return Group(bar, figures)

    def _show_pace(self) -> str:
        board = self.board
        elapsed = board.elapsed_s - board.flow_began_s if board.flow_began_s is not None else 0.0
        if board.done == 0 or elapsed < 1:
            return ""
        rate = board.done / elapsed
        left_s = (board.total - board.done) / rate
        return f"  {rate:,.0f}/s" + (f"  {left_s:.0f} s to go" if board.done < board.total else "")

    def _print_line(self, line: str) -> None:
        if not self._is_live:
            at = Text(f"{self.board.elapsed_s:5.1f} s  ", style="dim")
            self.console.print(at.append(line, style="default"), soft_wrap=True)


@asynccontextmanager
async def _meanwhile(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Do something beside the block, and stop it with the block."""
    async with asyncio.TaskGroup() as group:
        task = group.create_task(work)
        try:
            yield
        finally:
            task.cancel()


def show_ms(value: float | None) -> str:
    """Milliseconds for people: `7.3 ms`, `240 ms`, or a dash."""
    if value is None:
        return "–"
    return f"{value:.1f} ms" if value < 100 else f"{value:,.0f} ms"  # noqa: PLR2004 - three digits are enough


def _draw_pane(pane: Pane, rows: int, width: int) -> RenderableType:
    counts = ", ".join(f"{name} {pane.pushed.get(name, 0):,}" for name in pane.watchers)
    content: RenderableType = Align.center(Text(pane.note, style="dim italic"), vertical="middle", height=rows)
    if pane.lines:
        table = Table(box=None, show_header=False, expand=True, padding=(0, 1, 0, 0), pad_edge=False)
        table.add_column(width=_PATIENT_COLUMNS, no_wrap=True, overflow="ellipsis", style="dim")
        table.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
        table.add_column(justify="right", no_wrap=True, style="dim", width=7)
        shown = list(pane.lines)[-rows:]
        for line in shown:
            table.add_row(*_cells(line))
        for _ in range(rows - len(shown)):
            table.add_row("", "", "")
        content = table
    return Panel(
        content, title=f"[bold]{pane.title}[/]", subtitle=f"[dim]pushed: {counts}[/]", title_align="left",
        subtitle_align="right", box=box.ROUNDED, border_style="blue", width=width, height=rows + 2,
    )  # fmt: skip


def _cells(line: Line) -> tuple[Text, Text, Text]:
    latency = "" if line.latency_ms is None else f"{line.latency_ms:,.0f} ms"
    return Text(line.patient), Text(line.text, style=_STYLES[line.tone]), Text(latency)
