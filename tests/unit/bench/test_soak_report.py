from __future__ import annotations

import pytest

from carenet.bench.soak_report import Slice, SoakPlan, SoakReport, Start, Starts

MB = 1 << 20


def _report(*slices: Slice) -> SoakReport:
    early = Starts([Start(1.0, 0.5), Start(9.0, 9.0), Start(2.0, 1.0)], [Start(1.0, 1.0)])
    late = Starts([Start(3.0, 1.5)], [Start(1.0, 2.0)])
    return SoakReport(slices, early, late, owed=10, lost=0, doubled=0, database_bytes=3 * MB, disk_bytes=5 * MB)


def test_what_grows_is_told_in_terms_of_the_first_slices() -> None:
    report = _report(
        Slice(100, 1.0, 0.5, 50 * MB, 40 * MB),
        Slice(100, 2.0, 0.01, 60 * MB, 40 * MB),
        Slice(50, 2.0, 0.01, 55 * MB, 60 * MB),
    )
    assert report.worker_rss_ratio == pytest.approx(1.1)
    assert report.gateway_rss_ratio == pytest.approx(1.5)
    assert report.fold_rate_ratio == pytest.approx(0.5), "the first slice is the warm-up"
    assert report.cpu_ratio == pytest.approx(2.0)
    ratios = {"worker_s": 1.5, "worker_cpu_s": 1.5, "gateway_s": 1.0, "gateway_cpu_s": 2.0}
    assert report.start_ratios == pytest.approx(ratios), "the middle ones of the starts"
    told = report.to_map()
    assert (told["events"], told["disk_mb"], told["start_ratios"]) == (250, 5.0, ratios)


def test_a_slice_is_fifty_thousand_or_a_tenth_of_a_shorter_soak() -> None:
    assert SoakPlan(500_000).slice == SoakPlan(2_000_000).slice == 50_000
    assert SoakPlan(20_000).slice == 2_000
