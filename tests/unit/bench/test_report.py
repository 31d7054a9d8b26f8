from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from carenet.bench.machine import Machine, read_machine
from carenet.bench.picture import Bar, draw_bars
from carenet.bench.report import HALF, plan_of, run_all, write_report
from carenet.bench.results import Result, Results, no_results, read_results, write_results
from carenet.bench.targets import TARGETS
from carenet.errors import SetupError

FIGURES = {"events_per_s": 20_000.0, "verify_us": 40.0, "verify_per_s": 25_000.0, "cpu_us_per_event": 100.0}
RESULTS = Results(
    Machine("a processor", 2, 1 << 34),
    {
        "fold": Result(("fold", "--events", "1000"), "2026-01-09 08:30", 0.25, FIGURES),
        "fanout": Result(("fanout",), "2026-01-09 08:40", 0.5, error="it | broke"),
    },
)


def test_results_come_back_as_they_were_kept(tmp_path: Path) -> None:
    write_results(tmp_path / "folder" / "results.json", RESULTS)
    assert read_results(tmp_path / "folder" / "results.json") == RESULTS


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"machine": {}, "results": {}}', '{"machine": 1, "results": 2}'])
def test_another_file_is_told_from_results(tmp_path: Path, text: str) -> None:
    (tmp_path / "results.json").write_text(text, encoding="utf-8")
    with pytest.raises(SetupError, match="holds no results"):
        read_results(tmp_path / "results.json")


def test_the_page_has_a_row_for_every_target_and_every_run(tmp_path: Path) -> None:
    page = write_report(tmp_path, RESULTS).read_text(encoding="utf-8")
    assert all(f"| {target.what} |" in page for target in TARGETS)
    assert "| `carenet bench fold --events 1000` | 2026-01-09 08:30 | 0.25 | measured |" in page
    assert "failed: it / broke" in page
    assert "2 cores (a processor), 16 GiB" in page


def test_the_page_shows_the_pictures_that_are_there_and_no_others(tmp_path: Path) -> None:
    page = write_report(tmp_path, RESULTS).read_text(encoding="utf-8")
    drawn = sorted(path.name for path in (tmp_path / "performance").glob("*.svg"))
    assert drawn == ["fold-cpu.svg", "fold.svg"]
    assert all(f"(performance/{name})" in page for name in drawn)
    assert page.count(".svg)") == len(drawn)


def test_runs_of_other_sizes_are_named_and_those_of_the_targets_are_not(tmp_path: Path) -> None:
    full = {name: Result(each, "now", 0.1, {}) for name, each in plan_of(quick=False).commands.items()}
    full[HALF] = Result((*full[HALF].command, "--background", "9000"), "now", 0.1, {})
    page = write_report(tmp_path, Results(RESULTS.machine, full)).read_text(encoding="utf-8")
    assert "Of other sizes" not in page
    page = write_report(tmp_path, Results(RESULTS.machine, full | RESULTS.by_name)).read_text(encoding="utf-8")
    assert "**Of other sizes than the targets are about: fold, fanout.**" in page


def test_the_same_results_give_the_same_page(tmp_path: Path) -> None:
    first = write_report(tmp_path / "a", RESULTS).read_bytes()
    again = read_results(tmp_path / "a" / "performance" / "results.json")
    assert write_report(tmp_path / "b", again).read_bytes() == first


def test_a_bars_length_is_its_share_of_the_longest() -> None:
    picture = draw_bars(
        "rates", "a second", [Bar("one", 50), Bar("<two>", 100, is_ours=False), Bar("3", 25, target=75)]
    )
    root = ET.fromstring(picture)
    widths = [float(each.get("width", "")) for each in root.iter("{http://www.w3.org/2000/svg}rect")]
    assert widths == [widths[1] / 2, widths[1], widths[1] / 4]
    (mark,) = root.iter("{http://www.w3.org/2000/svg}line")
    assert float(mark.get("x1", "")) == pytest.approx(250 + widths[1] * 0.75)
    assert "prefers-color-scheme: dark" in picture


def test_the_machine_is_told_by_size_and_kind() -> None:
    machine = read_machine()
    assert machine.cores >= 1
    assert machine.memory_bytes > 1 << 28


def test_no_bench_of_another_name_is_run() -> None:
    with pytest.raises(SetupError, match="no bench nothing"):
        plan_of(quick=True).only(["nothing"])


async def test_half_of_a_limit_that_is_not_known_is_not_measured() -> None:
    results = await run_all(plan_of(quick=True).only([HALF]), no_results())
    assert results.by_name[HALF].error == "the fold's limit is not known: measure it first"


async def test_a_bench_that_fails_says_why_and_the_others_go_on() -> None:
    plan = plan_of(quick=True).only(["fold"])
    plan.commands["fold"] = ("fold", "--only", "nothing")
    results = await run_all(plan, no_results())
    assert "one of bare, single, entries, batch" in results.by_name["fold"].error
