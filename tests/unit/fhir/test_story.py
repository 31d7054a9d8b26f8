from __future__ import annotations

import json
import re
from itertools import pairwise

import pytest

from carenet.fhir.compartments import compartment_of
from carenet.fhir.references import collect_references, collect_subjects
from carenet.fhir.story import MIN_EVENTS, START_MS, Act, Story
from carenet.fhir.story_resources import ACTORS, load_catalogue
from carenet.fhir.summary import headline
from carenet.fhir.times import claimed_time_ms

KINDS = {"visit", "labs", "prescriptions", "watching", "deterioration", "arrival", "follow-up"}
REQUIRED = {  # what R4 requires of each type that the story writes
    "Patient": [],
    "Encounter": ["status", "class"],
    "Observation": ["status", "code"],
    "Condition": ["subject"],
    "AllergyIntolerance": ["patient"],
    "ServiceRequest": ["status", "intent", "subject"],
    "DiagnosticReport": ["status", "code"],
    "MedicationRequest": ["status", "intent", "medicationCodeableConcept", "subject"],
    "MedicationDispense": ["status", "medicationCodeableConcept"],
}


def acts(story: Story) -> list[Act]:
    return [act for scene in story for act in scene.acts]


def test_a_seed_tells_the_same_story_byte_for_byte():
    first, second = (json.dumps([act.resource for act in acts(Story(seed=7))]) for _ in range(2))
    assert first == second
    assert first != json.dumps([act.resource for act in acts(Story(seed=8))])


def test_another_seed_writes_new_resources_about_the_same_people():
    ids = [{act.resource["id"] for act in acts(Story(seed=seed))} for seed in (1, 2)]
    assert ids[0] & ids[1] == {person.key for person in Story(seed=1).patients}


@pytest.mark.parametrize(("patients", "events"), [(6, MIN_EVENTS), (1, 47), (30, 41)])
def test_each_patient_has_as_many_events_as_asked(patients: int, events: int):
    story = Story(seed=3, patients=patients, events=events)
    told = [act.patient for act in acts(story)]
    assert len(set(told)) == patients
    assert all(told.count(person.key) == events for person in story.patients)


def test_one_patient_is_enough_for_a_deterioration_and_an_arrival():
    kinds = {scene.kind for scene in Story(seed=1, patients=1)}
    assert {"visit", "labs", "prescriptions", "deterioration", "arrival"} <= kinds
    assert {scene.kind for scene in Story(seed=1)} == KINDS


def test_every_resource_has_what_r4_requires_a_compartment_and_its_headline():
    for act in acts(Story(seed=5, patients=12)):
        kind = act.resource["resourceType"]
        assert all(name in act.resource for name in REQUIRED[kind])
        assert re.fullmatch(r"[A-Za-z0-9.-]{1,64}", act.resource["id"])
        assert compartment_of(kind)
        assert act.headline == headline(act.resource)
        assert act.actor in ACTORS
        assert act.delay_s > 0


def test_references_lead_to_what_was_told_before_and_never_to_another_patient():
    told: dict[str, str] = {}
    for act in acts(Story(seed=5, patients=12)):
        name = f"{act.resource['resourceType']}/{act.resource['id']}"
        assert name not in told
        told[name] = act.patient
        for reference in collect_references(act.resource):
            if not reference.startswith(("Practitioner/", "Organization/")):
                assert told[reference] == act.patient
        assert set(collect_subjects(act.resource)) <= {f"Patient/{act.patient}"}


def test_the_clinical_times_of_a_patient_go_forward_from_the_start():
    for person in Story(seed=5).patients:
        times = [claimed_time_ms(act.resource) for act in acts(Story(seed=5)) if act.patient == person.key]
        stated = [time for time in times if time is not None]
        assert len(stated) == MIN_EVENTS - 1  # all but the Patient
        assert all(earlier <= later for earlier, later in pairwise(stated))
        assert stated[0] >= START_MS


@pytest.mark.parametrize("seed", range(20))
def test_who_deteriorates_does_so_round_by_round_and_arrives_at_the_emergency_room(seed: int):
    story = Story(seed=seed, patients=12)
    for person in story.patients:
        scenes = [scene for scene in story if scene.patient == person.key]
        rounds = [scene.acts for scene in scenes if scene.kind == "deterioration"]
        assert bool(rounds) == (person.arc == "worse")
        if rounds:
            spo2, heart_rate = ([acts[i].resource["valueQuantity"]["value"] for acts in rounds] for i in (0, 1))
            assert spo2 == sorted(spo2, reverse=True)
            assert heart_rate == sorted(heart_rate)
            assert rounds[-1][-1].resource["valueQuantity"]["value"] >= 7
            assert scenes[-1].acts[0].resource["class"]["code"] == "EMER"


def test_the_lab_and_the_pharmacy_publish_what_is_theirs():
    authors = {(act.actor, act.resource["resourceType"]) for act in acts(Story(seed=1, patients=12))}
    assert {kind for actor, kind in authors if actor == "pharmacy"} == {"MedicationDispense"}
    assert {kind for actor, kind in authors if actor == "lab"} == {"Observation", "DiagnosticReport"}
    assert ("dr-lee", "MedicationDispense") not in authors


def test_people_beyond_the_catalogue_have_keys_and_names_of_their_own():
    people = Story(seed=0, patients=400).patients
    assert len({person.key for person in people}) == 400
    assert people[0].key == "ada-byrne"
    assert all(re.fullmatch(r"[a-z0-9-]+", person.key) for person in people)


def test_the_catalogue_names_only_what_it_holds():
    catalogue = load_catalogue()
    for person in catalogue["people"]:
        assert person["problem"] in catalogue["problems"]
        assert person["arc"] in {"worse", "better"}
    for problem in catalogue["problems"].values():
        assert problem["panel"] in catalogue["panels"]
        assert set(problem["medications"]) <= set(catalogue["medications"])
    assert all(set(panel["tests"]) <= set(catalogue["tests"]) for panel in catalogue["panels"].values())


@pytest.mark.parametrize("arguments", [{"seed": -1}, {"seed": 0, "patients": 0}, {"seed": 0, "events": 39}])
def test_a_story_that_cannot_be_told_is_refused(arguments: dict[str, int]):
    with pytest.raises(ValueError, match="a story has"):
        Story(**arguments)
