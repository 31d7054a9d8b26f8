from __future__ import annotations

from typing import Any

import pytest

from carenet.demo.lines import Tone, find_tone


def _interpreted(*codes: str) -> dict[str, Any]:
    return {"resourceType": "Observation", "interpretation": [{"coding": [{"code": code} for code in codes]}]}


@pytest.mark.parametrize(
    ("resource", "tone"),
    [
        ({}, Tone.NORMAL),
        (_interpreted("N"), Tone.NORMAL),
        (_interpreted("H"), Tone.ABNORMAL),
        (_interpreted("L"), Tone.ABNORMAL),
        (_interpreted("H", "HH"), Tone.CRITICAL),
        ({"resourceType": "Encounter", "class": {"code": "EMER"}}, Tone.CRITICAL),
        ({"resourceType": "Encounter", "class": {"code": "AMB"}}, Tone.NORMAL),
    ],
)
def test_a_line_is_as_alarming_as_the_resource_says(resource: dict[str, Any], tone: Tone) -> None:
    assert find_tone(resource) is tone


@pytest.mark.parametrize(
    "resource",
    [
        {"interpretation": "H"},
        {"interpretation": [None, "H", {"coding": None}, {"coding": [None, {"code": 7}]}]},
        {"interpretation": [{"coding": "HH"}]},
        {"interpretation": [{"coding": 5}, {"coding": True}]},
        {"class": [1]},
    ],
)
def test_a_resource_that_is_not_as_it_should_be_is_shown_plainly(resource: dict[str, Any]) -> None:
    assert find_tone(resource) is Tone.NORMAL
