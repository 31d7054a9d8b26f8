from __future__ import annotations

from collections.abc import Callable

import pytest

from carenet.gateway.pressure import MAX_RETRY_AFTER_S, Pressure

STEP_S = 0.25


def run(
    pressure: Pressure,
    offered: Callable[[float], float],
    folded: Callable[[float], float],
    seconds: float,
    start: tuple[float, float, float] = (0, 0, 0),
) -> tuple[list[bool], tuple[float, float, float]]:
    """Looks at a topic that grows and a fold that follows it, each at a rate; what was said at each look."""
    now, end, decided = start
    said = []
    for _ in range(int(seconds / STEP_S)):
        now, end = now + STEP_S, end + offered(now) * STEP_S
        decided = min(end, decided + folded(now) * STEP_S)
        pressure.observe(now, {0: int(end)}, {0: int(decided)})
        said.append(pressure.is_on)
    return said, (now, end, decided)


def test_a_fold_that_keeps_up_is_never_behind() -> None:
    pressure = Pressure(2.0)
    said, _ = run(pressure, lambda _: 1000, lambda _: 5000, 60)
    assert not any(said)
    assert (pressure.retry_after_s, pressure.wait_s) == (0, 0)


def test_a_few_events_now_and_then_are_no_reason_to_slow_down() -> None:
    pressure = Pressure(2.0)
    for look in range(400):  # each waits for one look and is decided before the next
        pressure.observe(look * STEP_S, {0: look // 2 + 1}, {0: (look + 1) // 2})
        assert not pressure.is_on
    pressure.observe(100, {0: 700}, {0: 200})  # and then comes a burst
    assert not pressure.is_on


def test_twice_what_can_be_folded_is_found_before_the_wait_exceeds_the_bound_by_much() -> None:
    pressure = Pressure(2.0)
    said, (_, end, decided) = run(pressure, lambda _: 2000, lambda _: 1000, 2.5)
    assert said[-1]
    assert not said[3]
    assert (end - decided) / 1000 <= 2.5, "seconds that the last record will wait"
    assert pressure.rate == pytest.approx(1000)


def test_offered_twice_the_rate_by_those_who_listen_the_wait_stays_bounded_and_ends() -> None:
    pressure = Pressure(2.0)
    waits: list[float] = []

    def offered(_: float) -> float:
        waits.append(pressure.undecided / 1000)
        return 0 if pressure.is_on else 2000

    said, at = run(pressure, offered, lambda _: 1000, 60)
    assert max(waits) <= 2.75
    assert any(said)
    assert not all(said[8:]), "and in between it takes more"
    said, _ = run(pressure, lambda _: 0, lambda _: 1000, 5, at)
    assert not said[-1]
    assert pressure.undecided == 0


def test_a_fold_that_stands_still_is_found_by_the_age_of_what_waits() -> None:
    pressure = Pressure(2.0)
    _, at = run(pressure, lambda _: 100, lambda _: 1000, 5)
    said, at = run(pressure, lambda _: 10, lambda _: 0, 3, at)
    assert said[-1]
    said, at = run(pressure, lambda _: 10, lambda _: 0, 600, at)
    assert pressure.wait_s == pytest.approx(603, abs=2)
    assert pressure.retry_after_s == MAX_RETRY_AFTER_S
    said, _ = run(pressure, lambda _: 10, lambda _: 100_000, 1, at)
    assert not said[-1]


def test_one_partition_that_is_behind_counts_whatever_the_others_do() -> None:
    pressure = Pressure(2.0)
    for look in range(20):
        pressure.observe(look * STEP_S, {0: look * 1000, 1: 5}, {0: look * 1000, 1: 4})
    assert pressure.is_on


def test_between_half_the_bound_and_the_bound_it_says_what_it_said() -> None:
    pressure = Pressure(2.0)
    pressure.observe(0, {0: 1}, {0: 0})
    pressure.observe(1.5, {0: 1}, {0: 0})
    assert not pressure.is_on
    pressure.observe(2.5, {0: 2}, {0: 0})
    assert pressure.is_on
    pressure.observe(3.9, {0: 2}, {0: 1})  # what waits now came at 2.5
    assert pressure.is_on
    pressure.observe(4.0, {0: 3}, {0: 2})
    assert not pressure.is_on


def test_when_nothing_is_known_nothing_is_said() -> None:
    pressure = Pressure(2.0)
    run(pressure, lambda _: 100, lambda _: 0, 10)
    assert pressure.is_on
    pressure.forget()
    assert (pressure.is_on, pressure.undecided, pressure.retry_after_s) == (False, 0, 0)


def test_the_wait_is_said_in_whole_seconds_until_half_the_bound_is_reached() -> None:
    pressure = Pressure(2.0)
    run(pressure, lambda _: 10, lambda _: 0, 4)
    assert pressure.retry_after_s == 3
