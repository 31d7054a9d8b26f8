from __future__ import annotations

from carenet.demo.summary import WatcherCount
from carenet.demo.tally import Tally


def test_pushes_of_earlier_runs_are_not_counted_in_this_one() -> None:
    tally = Tally({0: 5})
    assert not tally.note((0, 4), is_opened=True)
    assert tally.note((0, 5), is_opened=True)
    assert tally.note((1, 0), is_opened=True)
    assert (tally.pushed, tally.earlier) == (2, 1)


def test_a_push_that_came_twice_is_doubled_once() -> None:
    tally = Tally({})
    for _ in range(2):
        tally.note((0, 0), is_opened=True)
    assert tally.count({(0, 0)}) == WatcherCount(pushed=2, expected=1, lost=0, doubled=1)


def test_what_was_expected_and_did_not_come_is_lost() -> None:
    tally = Tally({})
    tally.note((0, 0), is_opened=True)
    expected = {(0, 0), (0, 1), (3, 7)}
    assert tally.missing(expected) == 2
    assert tally.count(expected) == WatcherCount(pushed=1, expected=3, lost=2, doubled=0)


def test_what_came_and_was_not_expected_is_named_apart_and_hides_no_loss() -> None:
    tally = Tally({})
    tally.note((0, 0), is_opened=True)
    assert tally.count({(0, 1)}) == WatcherCount(pushed=1, expected=1, lost=1, doubled=0, unasked=1)


def test_what_could_not_be_opened_is_counted() -> None:
    tally = Tally({})
    tally.note((0, 0), is_opened=False)
    assert tally.count({(0, 0)}).unopened == 1
