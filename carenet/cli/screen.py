"""What a command prints: lines and tables for people, one JSON line for machines, progress on stderr.

With `--json` nothing but JSON goes to stdout. Text of others (a patient's data, a server's detail) goes through `plain`
and, in tables, `rich.markup.escape`, so that it cannot change what the screen shows.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.progress import Progress

_FILE_WIDTH = 1000  # of what is written into a file or a pipe: nothing wraps
# Controls that a terminal obeys (all but newline and tab), and those that turn the direction of writing.
_OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def plain(text: str) -> str:
    """Text that a terminal shows and does not obey."""
    return _OBEYED.sub("\ufffd", text)


class Screen:
    """Where a command's words go.

    Args:
        json: whether a machine reads stdout.
    """

    def __init__(self, *, json: bool = False) -> None:
        self.json = json

    def say(self, text: str) -> None:
        """A line for people."""
        if not self.json:
            print(plain(text), flush=True)  # noqa: T201 - this is the one place that prints

    def note(self, text: str) -> None:
        """A line beside the result: to stderr, with `--json` too."""
        print(plain(text), file=sys.stderr, flush=True)  # noqa: T201

    def emit(self, value: dict[str, Any]) -> None:
        """A JSON object on one line, for machines only."""
        if self.json:
            import orjson

            sys.stdout.write(orjson.dumps(value).decode() + "\n")
            sys.stdout.flush()

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[str]], empty: str) -> None:
        """A table for people.

        Args:
            columns: headings.
            rows: plain text, not markup.
            empty: what is said instead when there are no rows.
        """
        if self.json:
            return
        if not rows:
            self.say(empty)
            return
        from rich import box
        from rich.console import Console
        from rich.markup import escape
        from rich.table import Table

        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for column in columns:
            table.add_column(column, overflow="fold")  # an id that is cut short cannot be copied
        for row in rows:
            table.add_row(*(escape(plain(cell)) for cell in row))
        console = Console()
        if not console.is_terminal:
            console = Console(width=_FILE_WIDTH)
        console.print(table)

    @contextmanager
    def progress(self, unit: str) -> Iterator[Progress]:
        """A progress bar on stderr; nothing is drawn where stderr is no terminal."""
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn(unit))
        console = Console(stderr=True)
        with Progress(
            *columns, TimeRemainingColumn(), console=console, transient=True, disable=not console.is_terminal
        ) as progress:
            yield progress
