from __future__ import annotations

import pytest

from carenet.bench.machine import Machine
from carenet.bench.results import Result, Results
from carenet.bench.soak_report import Slice, SoakReport, Start, Starts
from carenet.bench.targets import TARGETS, Target

MACHINE = Machine("a processor", 2, 1 << 34)
FOLD = {
    "verify_us": 40.0, "verify_per_s": 25_000, "cpu_us_per_event": 92.0, "batch_cpu_us_per_event": 60.4,
    "events_per_s": 21_250, "batch_signed_events_per_s": 31_249, "publish_per_s": 8000, "bare_seal_sign_per_s": 10_000,
}  # fmt: skip


def _results(**figures: object) -> Results:
    return Results(MACHINE, {name: Result((name,), "now", 0.1, each) for name, each in figures.items()})  # type: ignore[arg-type]


def _met(results: Results, bench: str) -> list[bool | None]:
    return [target.is_met(results) for target in TARGETS if target.bench == bench]


def test_a_bound_is_kept_when_it_is_just_reached_and_broken_just_beyond() -> None:
    assert _met(_results(fold=FOLD), "fold") == [True, False, True, False, True]


def test_latency_is_held_against_bare_kafka_of_the_same_run() -> None:
    latency = {"latency_ms": {"p50": 9.0, "p99": 31.0}, "bare_ms": {"p50": 3.0, "p99": 10.0}}
    assert _met(_results(latency=latency, latency_half=latency), "latency") == [True, False]
    assert _met(_results(latency=latency, latency_half=latency), "latency_half") == [True]


def test_starts_after_a_soak_are_held_against_those_before_it() -> None:
    soak: dict[str, object] = {"worker_rss_ratio": 1.1, "gateway_rss_ratio": 1.2, "fold_rate_ratio": 0.9}
    soak |= {"early_start": {"worker_s": 2.0, "gateway_s": 1.0}, "late_start": {"worker_s": 3.1, "gateway_s": 1.0}}
    assert _met(_results(soak=soak), "soak") == [True, False, True, False, True]


def test_what_a_soak_prints_has_a_figure_for_each_of_its_targets() -> None:
    starts, piece = Starts([Start(1.0, 1.0)], [Start(1.0, 1.0)]), Slice(100, 1.0, 1.0, 1 << 20, 1 << 20)
    report = SoakReport([piece] * 3, starts, starts, owed=1, lost=0, doubled=0, database_bytes=1, disk_bytes=1)
    assert None not in _met(_results(soak=report.to_map()), "soak")


@pytest.mark.parametrize("target", TARGETS, ids=lambda each: each.what)
def test_what_was_not_measured_is_neither_met_nor_missed(target: Target) -> None:
    assert target.is_met(_results()) is None
    assert target.row(_results())[-1] == "not measured"


def test_a_row_shows_the_figure_its_baseline_and_the_bound() -> None:
    row = TARGETS[0].row(_results(fold=FOLD))
    assert row[1:] == ("92 µs", "40 µs", "2.3 × (≤ 2.3 ×)", "yes")
