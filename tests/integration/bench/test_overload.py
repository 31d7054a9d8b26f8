from __future__ import annotations

import asyncio

import pytest

from carenet.bench.overload import measure_overload


@pytest.mark.long
async def test_offered_twice_what_it_folds_a_node_loses_nothing_and_recovers() -> None:
    report = await asyncio.to_thread(measure_overload, 4)
    assert report.lost == 0
    assert report.told_to_wait > 0
    assert report.accepted + report.told_to_wait == report.offered
    assert set(report.to_map()) == {
        "folds_per_s",
        "offered",
        "accepted",
        "told_to_wait",
        "latency_ms",
        "lost",
        "recovered_s",
    }
