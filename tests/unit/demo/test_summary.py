from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carenet.demo.summary import Summary, Verified, WatcherCount, percentile

CLEAN = Summary(
    published=12,
    folded=10,
    refused={"duplicate": 1, "future": 1},
    watchers={"dr-lee": WatcherCount(9, 9, 0, 0)},
    verified=Verified(3, 12, 10, 0),
    p50_ms=4.5,
    p99_ms=20.25,
    seconds=31.4159,
)


def test_the_json_has_exactly_the_fields_that_were_promised() -> None:
    assert CLEAN.as_json() == {
        "published": 12,
        "folded": 10,
        "refused": {"duplicate": 1, "future": 1},
        "watchers": {"dr-lee": {"pushed": 9, "expected": 9, "lost": 0, "doubled": 0}},
        "verified": {"chains": 3, "entries": 12, "signatures": 10, "broken": 0},
        "latency_ms": {"p50": 4.5, "p99": 20.25},
        "seconds": 31.42,
    }


def test_a_run_in_which_all_went_well_is_clean() -> None:
    assert CLEAN.is_clean


@pytest.mark.parametrize(
    "count",
    [
        WatcherCount(8, 9, 1, 0),
        WatcherCount(10, 9, 0, 1),
        WatcherCount(10, 9, 0, 0, unasked=1),
        WatcherCount(9, 9, 0, 0, unopened=1),
    ],
)
def test_one_watcher_that_lost_doubled_overheard_or_could_not_open_spoils_the_run(count: WatcherCount) -> None:
    assert not replace(CLEAN, watchers={**CLEAN.watchers, "er": count}).is_clean


def test_a_broken_chain_spoils_the_run() -> None:
    assert not replace(CLEAN, verified=Verified(3, 12, 10, 1)).is_clean


def test_a_statement_that_was_taken_and_never_decided_spoils_the_run() -> None:
    lost = replace(CLEAN, published=13)
    assert (lost.undecided, lost.is_clean) == (1, False)


def test_a_refusal_that_nobody_provoked_spoils_the_run() -> None:
    assert not replace(CLEAN, surprises=("no_grant",)).is_clean


def test_nothing_has_no_percentile() -> None:
    assert percentile([], 0.5) is None


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=40), st.sampled_from([0.01, 0.5, 0.99, 1.0]))
def test_a_percentile_is_the_smallest_sample_that_covers_its_share(samples: list[float], share: float) -> None:
    found = percentile(samples, share)
    covered = [sample for sample in sorted(set(samples)) if sum(s <= sample for s in samples) >= share * len(samples)]
    assert found == covered[0]


@pytest.mark.parametrize("share", [0, -1, 1.01])
def test_a_share_out_of_range_is_the_callers_mistake(share: float) -> None:
    with pytest.raises(ValueError, match="share"):
        percentile([1.0], share)
