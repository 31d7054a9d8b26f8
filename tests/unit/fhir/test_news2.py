from __future__ import annotations

from dataclasses import replace

import pytest

from carenet.fhir.news2 import Vitals, score_news2

WELL = Vitals(heart_rate=70, respiratory_rate=16, spo2=98, temperature=36.8, systolic=125)


def test_who_is_well_scores_nothing():
    assert score_news2(WELL) == 0


@pytest.mark.parametrize(
    ("name", "points"),
    # The chart of the Royal College of Physicians: each band by its two ends.
    [
        ("respiratory_rate", {8: 3, 9: 1, 11: 1, 12: 0, 20: 0, 21: 2, 24: 2, 25: 3}),
        ("spo2", {91: 3, 92: 2, 93: 2, 94: 1, 95: 1, 96: 0, 100: 0}),
        ("systolic", {90: 3, 91: 2, 100: 2, 101: 1, 110: 1, 111: 0, 219: 0, 220: 3}),
        ("heart_rate", {40: 3, 41: 1, 50: 1, 51: 0, 90: 0, 91: 1, 110: 1, 111: 2, 130: 2, 131: 3}),
        ("temperature", {35.0: 3, 35.1: 1, 36.0: 1, 36.1: 0, 38.0: 0, 38.1: 1, 39.0: 1, 39.1: 2}),
    ],
)
def test_each_sign_scores_as_on_the_chart(name: str, points: dict[float, int]):
    assert {value: score_news2(replace(WELL, **{name: value})) for value in points} == points
