"""What the demo's screens show, as plain state that `screens` draws and the demo moves on."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field

from carenet.demo.lines import Line
from carenet.demo.summary import percentile

_KEPT_LINES = 60
_KEPT_SAMPLES = 4_000  # of the latest, for what is shown while it runs; the summary takes all


@dataclass(slots=True)
class Pane:
    """One screen: a care team's, or the emergency room's.

    Attributes:
        title: what stands above it.
        watchers: whose pushes it counts; the first one's lines are shown.
        lines: the latest ones, newest last.
        pushed: by watcher.
        drawn_at: when its last line came, by the clock that only grows.
        note: said while there are no lines.
    """

    title: str
    watchers: tuple[str, ...]
    note: str
    lines: deque[Line] = field(default_factory=lambda: deque(maxlen=_KEPT_LINES))
    pushed: dict[str, int] = field(default_factory=dict)
    drawn_at: float = 0.0


@dataclass(slots=True)
class Board:
    """The whole picture.

    Attributes:
        network: the network's name and the start of its id.
        run: which demo in this folder it is, from 1.
        panes: the screens, side by side.
        phase: what happens now.
        news: what is worth a line: access given and withdrawn, refusals; newest last.
        done, total: progress of the events; 0 of 0 shows no bar.
        published, accepted: what has been sent, and what of it is known to be in a timeline.
        refused: by reason.
        samples: latencies in milliseconds, of all watchers.
        flow_began_s: when events began to flow, seconds after the demo began; for the rate.
        line_gap_s: least time between two lines of a screen; a flood is counted, not read.
    """

    network: str
    run: int
    panes: tuple[Pane, ...]
    phase: str = ""
    news: deque[str] = field(default_factory=lambda: deque(maxlen=_KEPT_LINES))
    done: int = 0
    total: int = 0
    published: int = 0
    accepted: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    samples: deque[float] = field(default_factory=lambda: deque(maxlen=_KEPT_SAMPLES))
    flow_began_s: float | None = None
    line_gap_s: float = 0.0
    began: float = field(default_factory=time.monotonic)

    @property
    def elapsed_s(self) -> float:
        """Seconds since the demo began."""
        return time.monotonic() - self.began

    def count_push(self, watcher: str, latency_ms: float | None) -> None:
        """A watcher was pushed something of this run."""
        if latency_ms is not None:
            self.samples.append(latency_ms)
        for pane in self.panes:
            if watcher in pane.watchers:
                pane.pushed[watcher] = pane.pushed.get(watcher, 0) + 1

    def has_room(self, watcher: str) -> bool:
        """Whether a watcher's screen takes a line now."""
        now = time.monotonic()
        return any(watcher == pane.watchers[0] and now - pane.drawn_at >= self.line_gap_s for pane in self.panes)

    def show(self, watcher: str, line: Line) -> None:
        """Put a line on a watcher's screen."""
        for pane in self.panes:
            if watcher == pane.watchers[0]:
                pane.lines.append(line)
                pane.drawn_at = time.monotonic()

    def count_accepted(self) -> None:
        """A control statement was published and accepted."""
        self.published += 1
        self.accepted += 1

    def count_refusal(self, reason: str) -> None:
        """A statement was refused."""
        self.refused[reason] = self.refused.get(reason, 0) + 1

    def latencies(self) -> tuple[float | None, float | None]:
        """The median and the 99th percentile of the latest samples, milliseconds."""
        samples = list(self.samples)
        return percentile(samples, 0.5), percentile(samples, 0.99)
