from __future__ import annotations

import pytest

from carenet.demo.mischief import TRICKS
from carenet.demo.script import FLOW_S, scale_delays, spread_tricks
from carenet.fhir.story import Story


@pytest.mark.parametrize(("patients", "pace"), [(3, 1.0), (6, 1.0), (60, 1.0), (6, 4.0), (6, 0.5)])
def test_a_story_flows_as_long_as_its_pace_says_however_many_it_is_about(patients: int, pace: float) -> None:
    scenes = list(Story(1, patients))
    scale = scale_delays(scenes, pace)
    assert sum(act.delay_s * scale for scene in scenes for act in scene.acts) == pytest.approx(FLOW_S / pace)


def test_a_story_without_pauses_stays_without() -> None:
    assert scale_delays([], 1.0) == 0.0


def test_a_pace_of_nothing_is_the_callers_mistake() -> None:
    with pytest.raises(ValueError, match="pace"):
        scale_delays([], 0)


@pytest.mark.parametrize("scenes", [1, 2, 5, 21, 42, 500])
def test_every_trick_is_tried_once_in_the_second_half_of_any_story(scenes: int) -> None:
    places = spread_tricks(scenes)
    assert [trick for number in sorted(places) for trick in places[number]] == list(TRICKS)
    assert all(scenes // 2 <= number < scenes for number in places)


def test_each_trick_is_due_another_reason() -> None:
    assert len({trick.due for trick in TRICKS}) == len(TRICKS)
