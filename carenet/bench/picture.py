"""Bars as SVG, legible on a light page and on a dark one: no background, and text in the colours of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

_WIDTH, _LABELS, _VALUES = 760, 250, 120
_ROW, _BAR, _TITLE, _FOOT = 30, 18, 40, 24
_STYLE = """
text { font: 13px system-ui, sans-serif; fill: #1f2328; }
.title { font-weight: 600; font-size: 15px; }
.note { fill: #59636e; font-size: 12px; }
.ours { fill: #2f81f7; }
.bare { fill: #8b949e; }
.target { stroke: #d1242f; stroke-width: 2; stroke-dasharray: 4 3; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; }
  .note { fill: #9198a1; }
  .target { stroke: #ff7b72; }
}
"""


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar.

    Attributes:
        label: what it is of.
        value: its length, not negative.
        is_ours: carenet's, or a baseline.
        target: where a dashed mark stands, or None.
    """

    label: str
    value: float
    is_ours: bool = True
    target: float | None = None


def draw_bars(title: str, unit: str, bars: Sequence[Bar]) -> str:
    """A picture of horizontal bars on one scale from zero.

    Args:
        title: what they show.
        unit: of all values.
        bars: at least one.
    """
    longest = max([each.value for each in bars] + [each.target or 0 for each in bars]) or 1
    scale = (_WIDTH - _LABELS - _VALUES) / longest
    height = _TITLE + _ROW * len(bars) + _FOOT
    rows = [part for place, bar in enumerate(bars) for part in _draw_row(bar, _TITLE + place * _ROW, scale)]
    has_target = any(bar.target is not None for bar in bars)
    note = f"{unit}; blue: carenet, grey: baseline of the same run" + ("; dashed: target" if has_target else "")
    said = "; ".join(f"{bar.label} {show(bar.value)}" for bar in bars)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img">',
        f"<title>{escape(title)}</title>",
        f"<desc>{escape(f'{said} ({unit})')}</desc>",
        f"<style>{_STYLE}</style>",
        f'<text class="title" x="8" y="22">{escape(title)}</text>',
        *rows,
        f'<text class="note" x="8" y="{height - 8}">{escape(note)}</text>',
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _draw_row(bar: Bar, top: float, scale: float) -> list[str]:
    middle, width = top + _BAR - 4, max(1.0, bar.value * scale)
    kind = "ours" if bar.is_ours else "bare"
    row = [
        f'<text x="{_LABELS - 10}" y="{middle}" text-anchor="end">{escape(bar.label)}</text>',
        f'<rect class="{kind}" x="{_LABELS}" y="{top}" width="{width:.1f}" height="{_BAR}" rx="3"/>',
    ]
    end = width
    if bar.target is not None:
        at = _LABELS + bar.target * scale
        end = max(width, bar.target * scale)
        row.append(f'<line class="target" x1="{at:.1f}" y1="{top - 3}" x2="{at:.1f}" y2="{top + _BAR + 3}"/>')
    row.append(f'<text x="{_LABELS + end + 8:.1f}" y="{middle}">{show(bar.value)}</text>')
    return row


def show(value: float) -> str:
    """A figure with as many digits as it deserves."""
    if value >= 1000:  # noqa: PLR2004 - thousands get commas
        return f"{value:,.0f}"
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"  # noqa: PLR2004 - three digits say enough
