from __future__ import annotations

import pytest

from carenet.bench.fold_report import BARE, BATCH, ENTRIES, SINGLE, FoldPlan, FoldReport
from carenet.bench.rounds import Round

KEYS = [
    "events",
    "events_per_s",
    "batch_signed_events_per_s",
    "verify_per_s",
    "verify_us",
    "pipeline_per_s",
    "ratio",
    "batch_ratio",
    "cpu_us_per_event",
    "batch_cpu_us_per_event",
    "with_entries_topic_per_s",
    "publish_per_s",
    "bare_seal_sign_per_s",
]


def _report() -> FoldReport:
    report = FoldReport(1000, verify_us=40.0, publish_per_s={SINGLE: 9000.0}, bare_seal_sign_per_s=10_000.0)
    report.rounds[SINGLE] = [Round(1000, seconds, cpu_s) for seconds, cpu_s in ((0.05, 0.08), (0.04, 0.09), (9.0, 7.0))]
    report.rounds[BATCH] = [Round(1000, 0.03125, 0.05)]
    report.rounds[BARE] = [Round(1000, 0.0125, 0.02)]
    report.rounds[ENTRIES] = [Round(1000, 0.0625, 0.1)]
    return report


def test_the_printed_keys_are_those_that_were_agreed() -> None:
    assert list(_report().to_map()) == KEYS


def test_figures_are_medians_and_ratios_are_against_one_verification() -> None:
    figures = _report().to_map()
    assert figures["events_per_s"] == 20_000
    assert figures["cpu_us_per_event"] == 90
    assert figures["verify_per_s"] == 25_000
    assert figures["ratio"] == 0.8
    assert figures["batch_ratio"] == 1.28
    assert figures["pipeline_per_s"] == 80_000
    assert figures["with_entries_topic_per_s"] == 16_000


def test_what_was_not_measured_is_null() -> None:
    figures = FoldReport(1000, verify_us=40.0).to_map()
    assert [name for name, value in figures.items() if value is not None] == ["events", "verify_per_s", "verify_us"]


@pytest.mark.parametrize(
    ("kinds", "networks"),
    [
        ({BARE, SINGLE, ENTRIES, BATCH}, (SINGLE, BATCH)),
        ({BATCH}, (BATCH,)),
        ({BARE}, (SINGLE,)),
        ({BARE, BATCH}, (SINGLE, BATCH)),
    ],
)
def test_only_the_networks_that_are_needed_are_prepared(kinds: set[str], networks: tuple[str, ...]) -> None:
    assert FoldPlan(1000, kinds=frozenset(kinds)).networks == networks
