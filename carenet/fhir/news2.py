"""The National Early Warning Score 2 (Royal College of Physicians, 2017), for the story's deterioration.

For the demo's invented patients only: breathing air, alert, SpO₂ scale 1. It is no medical device.

    >>> score_news2(Vitals(heart_rate=112, respiratory_rate=25, spo2=91, temperature=38.4, systolic=105))
    10
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass

# (upper limits of the bands, inclusive; the bands' points, one more for what lies above the last limit)
_RESPIRATORY_RATE = ((8, 11, 20, 24), (3, 1, 0, 2, 3))
_SPO2 = ((91, 93, 95), (3, 2, 1, 0))
_SYSTOLIC = ((90, 100, 110, 219), (3, 2, 1, 0, 3))
_HEART_RATE = ((40, 50, 90, 110, 130), (3, 1, 0, 1, 2, 3))
_TEMPERATURE = ((35.0, 36.0, 38.0, 39.0), (3, 1, 0, 1, 2))

MEDIUM_RISK, HIGH_RISK = 5, 7  # the score's own thresholds for an urgent and an emergency response


@dataclass(frozen=True, slots=True)
class Vitals:
    """One set of vital signs.

    Attributes:
        heart_rate: beats a minute.
        respiratory_rate: breaths a minute.
        spo2: per cent.
        temperature: °C.
        systolic: blood pressure, mmHg.
    """

    heart_rate: int
    respiratory_rate: int
    spo2: int
    temperature: float
    systolic: int


def score_news2(vitals: Vitals) -> int:
    """The aggregate score, 0 to 15 here (no points for oxygen or consciousness)."""
    return (
        _points(_RESPIRATORY_RATE, vitals.respiratory_rate)
        + _points(_SPO2, vitals.spo2)
        + _points(_SYSTOLIC, vitals.systolic)
        + _points(_HEART_RATE, vitals.heart_rate)
        + _points(_TEMPERATURE, vitals.temperature)
    )


def _points(bands: tuple[tuple[float, ...], tuple[int, ...]], value: float) -> int:
    limits, points = bands
    return points[bisect_left(limits, value)]
