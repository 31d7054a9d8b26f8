"""What must be reached, each with where its figure is found: one row of the report a target."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from carenet.bench.picture import show
from carenet.bench.results import Results


@dataclass(frozen=True, slots=True)
class Target:
    """One bound.

    Attributes:
        bench: whose figure it is.
        what: in words.
        figure: reads it; None where it was not measured.
        baseline: what it is a multiple of, from the same run; None where the figure stands alone.
        bound: the number that is allowed.
        sense: whether it is the most or the least.
        unit: behind the figure and its baseline.
    """

    bench: str
    what: str
    figure: Callable[[Results], float | None]
    baseline: Callable[[Results], float | None] | None
    bound: float
    sense: Literal["at most", "at least"]
    unit: str = ""

    def compute(self, results: Results) -> float | None:
        """What is held against the bound."""
        value = self.figure(results)
        if self.baseline is None or value is None:
            return value
        base = self.baseline(results)
        return value / base if base else None

    def is_met(self, results: Results) -> bool | None:
        """Whether the bound is kept; None where it was not measured."""
        value = self.compute(results)
        if value is None:
            return None
        return value <= self.bound if self.sense == "at most" else value >= self.bound

    def row(self, results: Results) -> tuple[str, str, str, str, str]:
        """What, figure, baseline, what is held against the target and the target, and whether it is met."""
        value, met = self.figure(results), self.is_met(results)
        base = self.baseline(results) if self.baseline else None
        sign = "≤" if self.sense == "at most" else "≥"
        times = " ×" if self.baseline else f" {self.unit}".rstrip()
        held = self.compute(results)
        return (
            self.what,
            "–" if value is None else f"{show(value)} {self.unit}".strip(),
            "–" if base is None else f"{show(base)} {self.unit}".strip(),
            ("–" if held is None else f"{show(held)}{times}") + f" ({sign} {self.bound:g}{times})",
            "not measured" if met is None else "yes" if met else "**no**",
        )


def _of(bench: str, *keys: str) -> Callable[[Results], float | None]:
    return lambda results: results.figure(bench, *keys)


TARGETS = (
    Target("fold", "fold, signed singly: CPU an event, in verifications", _of("fold", "cpu_us_per_event"),
           _of("fold", "verify_us"), 2.3, "at most", "µs"),
    Target("fold", "fold, signed in batches: CPU an event, in verifications", _of("fold", "batch_cpu_us_per_event"),
           _of("fold", "verify_us"), 1.5, "at most", "µs"),
    Target("fold", "fold, signed singly: rate, in one core's verifications", _of("fold", "events_per_s"),
           _of("fold", "verify_per_s"), 0.85, "at least", "/s"),
    Target("fold", "fold, signed in batches: rate, in one core's verifications",
           _of("fold", "batch_signed_events_per_s"), _of("fold", "verify_per_s"), 1.25, "at least", "/s"),
    Target("fold", "publish from two processes, in batches: rate, in bare seals and signatures",
           _of("fold", "publish_per_s"), _of("fold", "bare_seal_sign_per_s"), 0.8, "at least", "/s"),
    Target("latency", "publish call to opened update at 300 events/s: p50", _of("latency", "latency_ms", "p50"),
           _of("latency", "bare_ms", "p50"), 3, "at most", "ms"),
    Target("latency", "publish call to opened update at 300 events/s: p99", _of("latency", "latency_ms", "p99"),
           _of("latency", "bare_ms", "p99"), 3, "at most", "ms"),
    Target("latency_half", "the same at half of the fold's limit: p99", _of("latency_half", "latency_ms", "p99"),
           None, 50, "at most", "ms"),
    Target("fanout", "push to 500 watchers of one patient: the gateway's CPU a delivery",
           _of("fanout", "cpu_us_per_delivery"), _of("fanout", "bare_cpu_us_per_delivery"), 1.3, "at most", "µs"),
    Target("idle", "5,000 idle watchers: the gateway's memory", _of("idle", "growth_mb"), None, 150, "at most", "MB"),
    Target("overload", "twice what can be folded: acknowledged events that were lost", _of("overload", "lost"), None,
           0, "at most"),
    Target("overload", "twice what can be folded: times that a publisher was told to slow down",
           _of("overload", "told_to_wait"), None, 1, "at least"),
    Target("overload", "twice what can be folded: p99 from send to acceptance", _of("overload", "latency_ms", "p99"),
           None, 5000, "at most", "ms"),
    Target("overload", "twice what can be folded: until all is folded after its end", _of("overload", "recovered_s"),
           None, 5, "at most", "s"),
    Target("soak", "500,000 events in one run: the worker's memory at the end", _of("soak", "worker_rss_ratio"), None,
           1.15, "at most", "× that after the first tenth"),
    Target("soak", "500,000 events in one run: the gateway's memory at the end", _of("soak", "gateway_rss_ratio"), None,
           1.15, "at most", "× that after the first tenth"),
    Target("soak", "500,000 events in one run: the fold's rate at the end", _of("soak", "fold_rate_ratio"), None,
           0.85, "at least", "× that of the second tenth"),
    Target("soak", "500,000 events in one run: a worker's start after them, beside one before",
           _of("soak", "late_start", "worker_s"), _of("soak", "early_start", "worker_s"), 1.5, "at most", "s"),
    Target("soak", "500,000 events in one run: a gateway's start after them, beside one before",
           _of("soak", "late_start", "gateway_s"), _of("soak", "early_start", "gateway_s"), 1.5, "at most", "s"),
)  # fmt: skip
