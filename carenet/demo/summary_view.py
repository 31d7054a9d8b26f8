"""Draws the summary for people: what was published, decided, pushed and refused, and whether all of it holds."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from carenet.demo.mischief import Attempt
from carenet.demo.screens import show_ms
from carenet.demo.summary import Summary
from carenet.rules.reasons import Reason

_SHOWN_SURPRISES = 8
# What happens without mischief, and that the SDK mends by itself.
_UNPROVOKED: dict[str, str] = {
    Reason.DUPLICATE: "accepted before: the first entry stands",
    Reason.UNKNOWN_SIGNER: "sent before an admission had reached the partition, and sent again",
    Reason.STALE_EPOCH: "sealed while new keys began, and sealed again",
}


def draw_summary(summary: Summary, attempts: Sequence[Attempt]) -> RenderableType:
    """Everything that stands at the end.

    Args:
        summary: the numbers.
        attempts: what was tried on purpose, to explain the refusals.
    """
    parts: list[RenderableType] = [Text(), _draw_flow(summary), Text(), _draw_watchers(summary)]
    if summary.refused:
        parts += [Text(), _draw_refusals(summary, attempts)]
    parts += [Text(), _draw_verified(summary), *_draw_surprises(summary), Text(), _draw_verdict(summary)]
    return Group(*parts)


def _draw_flow(summary: Summary) -> RenderableType:
    undecided = f"  undecided {summary.undecided:,}" if summary.undecided else ""
    return Text.assemble(
        ("published ", "dim"), (f"{summary.published:,}", "bold"),
        ("  =  folded ", "dim"), (f"{summary.folded:,}", "bold"),
        ("  +  refused ", "dim"), (f"{sum(summary.refused.values()):,}", "bold"),
        (undecided, "bold red"),
        ("\npublish → opened at a watcher  ", "dim"),
        f"p50 {show_ms(summary.p50_ms)}  p99 {show_ms(summary.p99_ms)}",
    )  # fmt: skip


def _draw_watchers(summary: Summary) -> RenderableType:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("watcher")
    for heading in ("pushed", "expected", "lost", "doubled", "overheard", "unopened"):
        table.add_column(heading, justify="right")
    for name, count in summary.watchers.items():
        bad = (count.lost, count.doubled, count.unasked, count.unopened)
        cells = [Text(f"{value:,}", style="bold red" if value else "green") for value in bad]
        table.add_row(name, f"{count.pushed:,}", f"{count.expected:,}", *cells)
    return table


def _draw_refusals(summary: Summary, attempts: Sequence[Attempt]) -> RenderableType:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("refused", style="yellow", no_wrap=True)
    table.add_column("times", justify="right")
    table.add_column("what was tried")
    tried: dict[str, list[str]] = {}
    for attempt in attempts:
        tried.setdefault(attempt.found or "", []).append(attempt.what)
    for reason, times in summary.refused.items():
        what = "; ".join(tried.get(reason, ())) or _UNPROVOKED.get(reason, "")
        table.add_row(reason, f"{times:,}", Text(what))
    return table


def _draw_verified(summary: Summary) -> RenderableType:
    found = summary.verified
    return Text.assemble(
        ("verified again from scratch: ", "dim"),
        f"{found.chains:,} chains, {found.entries:,} entries, {found.signatures:,} signatures",
        (f", {found.broken:,} broken", "bold red" if found.broken else "dim"),
    )


def _draw_surprises(summary: Summary) -> list[RenderableType]:
    shown = [Text(f"  ! {each}", style="red") for each in summary.surprises[:_SHOWN_SURPRISES]]
    more = len(summary.surprises) - len(shown)
    return [*shown, Text(f"  and {more:,} more", style="red")] if more > 0 else list(shown)


def _draw_verdict(summary: Summary) -> RenderableType:
    seconds = f" in {summary.seconds:.1f} s"
    if summary.is_clean:
        return Text("✓ nothing lost, nothing doubled, nothing broken" + seconds, style="bold green")
    return Text("✗ not clean: see what is red above" + seconds, style="bold red")
