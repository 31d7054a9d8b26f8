"""The bench of the fold on few events: that it measures, counts and refuses. What it measures is no test's concern."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from carenet.bench.fold import measure_fold
from carenet.bench.fold_report import BARE, SINGLE, FoldPlan
from carenet.errors import SetupError

PLAN = FoldPlan(events=600, patients=3, rounds=1)


@pytest.mark.long
async def test_every_figure_is_measured_and_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    ticks: list[str] = []
    report = await measure_fold(PLAN, lambda what, _done, _total: ticks.append(what))
    assert all(value is not None and value > 0 for value in report.to_map().values())
    assert [len(rounds) for rounds in report.rounds.values()] == [1] * 4
    assert {"registering patients (single)", "registering patients (batch)", "folding"} <= set(ticks)
    assert os.listdir(tmp_path) == []  # noqa: PTH208 - pathlib in a coroutine is another rule's offence


@pytest.mark.long
async def test_a_kept_folder_is_used_again_for_as_many_events_only(tmp_path: Path) -> None:
    plan = replace(PLAN, kinds=frozenset({BARE, SINGLE}), keep=tmp_path)
    first = await measure_fold(plan)
    again = await measure_fold(plan)
    assert "publish_per_s" in first.to_map()
    assert again.publish_per_s == {}
    assert again.rounds[SINGLE][0].state == first.rounds[SINGLE][0].state
    with pytest.raises(SetupError, match="600 events"):
        await measure_fold(replace(plan, events=700))
