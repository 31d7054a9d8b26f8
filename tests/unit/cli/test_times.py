from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carenet.cli.times import parse_time, parse_until, show_time
from carenet.errors import BadInputError

NOON = 1_795_867_200_000  # 2026-11-28T12:00:00Z


@pytest.mark.parametrize(
    ("typed", "ms"),
    [
        ("2026-11-28T12:00:00Z", NOON),
        ("2026-11-28T12:00", NOON),
        ("2026-11-28 12:00:00.250", NOON + 250),
        ("2026-11-28T14:00+02:00", NOON),
        ("2026-11-28", NOON - 12 * 3_600_000),
        ("90s", NOON - 90_000),
        ("15m", NOON - 900_000),
        ("2h", NOON - 7_200_000),
        ("3d", NOON - 3 * 86_400_000),
    ],
)
def test_a_moment_is_read(typed: str, ms: int) -> None:
    assert parse_time(typed, now=NOON) == ms


@pytest.mark.parametrize("typed", ["", "noon", "12", "2026-13-01", "15 minutes", "-3d", "2026-11-28T25:00"])
def test_anything_else_is_refused_with_an_example(typed: str) -> None:
    with pytest.raises(BadInputError, match="15m for 15 minutes ago"):
        parse_time(typed, now=NOON)


@given(st.integers(0, 253_402_300_799_000))
def test_what_is_shown_is_read_back(ms: int) -> None:
    assert parse_time(show_time(ms)) == ms


def test_an_end_may_be_so_long_from_now() -> None:
    assert parse_until("2h", now=NOON) == NOON + 7_200_000
    assert parse_until("2026-11-28T12:00Z", now=0) == NOON
    assert parse_until(None) is None


def test_a_bad_end_is_refused_with_an_example_of_an_end() -> None:
    with pytest.raises(BadInputError, match="12h for in 12 hours"):
        parse_until("12parsec", now=NOON)
