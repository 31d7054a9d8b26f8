"""Figures: percentiles of samples, and how they are printed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Latency:
    """Latencies of one kind, in milliseconds."""

    p50: float
    p99: float
    max: float

    def to_map(self) -> dict[str, float]:
        """For JSON, rounded to hundredths."""
        return {name: round(value, 2) for name, value in asdict(self).items()}


def percentile(samples: Sequence[float], share: float) -> float:
    """The nearest-rank percentile.

    Args:
        samples: at least one, in any order.
        share: 0 < share <= 1.

    Raises:
        ValueError: no samples.
    """
    if not samples:
        raise ValueError("no samples")
    ordered = sorted(samples)
    return ordered[math.ceil(share * len(ordered)) - 1]


def summarise(samples_s: Sequence[float]) -> Latency:
    """p50, p99 and maximum of latencies in seconds, as milliseconds."""
    return Latency(percentile(samples_s, 0.5) * 1e3, percentile(samples_s, 0.99) * 1e3, max(samples_s) * 1e3)
