"""500,000 events in one run: memory, fold rate and starts do not grow with history.

Rates and times are ratios within one run. Others on the machine move them all the same, so a run counts by the better
one of its two measures, wall clock and CPU, and the test takes a second run if the first one is not good enough; what
was measured is printed.
"""

from __future__ import annotations

import asyncio
import json
import os

import pytest

from carenet.bench.soak import measure_soak
from carenet.bench.soak_report import SoakPlan, SoakReport

pytestmark = [pytest.mark.long, pytest.mark.alone]

EVENTS = int(os.environ.get("CARENET_LONG_SOAK", "500000"))
RUNS = 2
MOST_MEMORY, LEAST_RATE, MOST_START = 1.15, 0.85, 1.25


def find_growth(report: SoakReport) -> list[str]:
    """What grew more than it may."""
    starts = report.start_ratios
    found = {
        "the worker's memory": report.worker_rss_ratio > MOST_MEMORY,
        "the gateway's memory": report.gateway_rss_ratio > MOST_MEMORY,
        "time to fold": max(report.fold_rate_ratio, 1 / report.cpu_ratio) < LEAST_RATE,
        "the worker's start": min(starts["worker_s"], starts["worker_cpu_s"]) > MOST_START,
        "the gateway's start": min(starts["gateway_s"], starts["gateway_cpu_s"]) > MOST_START,
    }
    return [name for name, has_grown in found.items() if has_grown]


def test_nothing_grows_with_history() -> None:
    grown: list[str] = []
    for _ in range(RUNS):
        report = asyncio.run(measure_soak(SoakPlan(EVENTS)))
        print(json.dumps(report.to_map(), indent=1))  # noqa: T201 - the figures are the result
        assert (report.lost, report.doubled) == (0, 0)
        assert report.owed
        grown = find_growth(report)
        if not grown:
            break
    assert not grown
