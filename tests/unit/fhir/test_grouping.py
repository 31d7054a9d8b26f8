from __future__ import annotations

import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carenet.errors import ResourceError
from carenet.fhir.bundles import read_source
from carenet.fhir.resources import PatientBundle, ReferenceData

ADA = {"resourceType": "Patient", "id": "ada"}
BEN = {"resourceType": "Patient", "id": "ben"}


def refer(resource_type: str, **references: str | list[str]) -> dict[str, Any]:
    members: dict[str, Any] = {"resourceType": resource_type}
    for name, value in references.items():
        if isinstance(value, str):
            members[name] = {"reference": value}
        else:
            members[name] = [{"reference": item} for item in value]
    return members


def split(*resources: dict[str, Any], allow_external: bool = False) -> dict[str, list[str]]:
    """The types in each group, by the patient's id; reference data under "shared"."""
    entries = [{"resource": resource} for resource in resources]
    text = json.dumps({"resourceType": "Bundle", "entry": entries})
    groups: dict[str, list[str]] = {}
    for group in read_source(io.BytesIO(text.encode()), allow_external=allow_external):
        key = "shared" if isinstance(group, ReferenceData) else json.loads(group.patients[0].body)["id"]
        groups[key] = [resource.type for resource in group.resources]
    return groups


def test_resources_go_to_the_patient_that_they_name():
    groups = split(
        refer("Observation", subject="Patient/ben"),
        ADA,
        refer("Claim", patient="Patient/ada"),
        BEN,
        refer("Coverage", beneficiary="Patient/ada", subscriber="Patient/ben"),
        refer("Observation", subject="Patient/ada", focus=["Patient/ben"]),
    )
    assert groups == {"ada": ["Patient", "Claim", "Coverage", "Observation"], "ben": ["Patient", "Observation"]}


def test_a_resource_without_a_subject_goes_where_its_references_lead():
    observation = {**refer("Observation", subject="Patient/ben"), "id": "o"}
    entry_list = {"resourceType": "List", "id": "l", "entry": [{"item": {"reference": "Observation/o"}}]}
    provenance = refer("Provenance", target=["List/l"])
    assert split(ADA, BEN, provenance, entry_list, observation)["ben"] == [
        "Patient",
        "Provenance",
        "List",
        "Observation",
    ]


def test_hospitals_and_practitioners_of_several_patients_are_reference_data():
    assert split(ADA, {"resourceType": "Organization"}, BEN) == {
        "shared": ["Organization"],
        "ada": ["Patient"],
        "ben": ["Patient"],
    }


def test_hospitals_and_practitioners_of_one_patient_are_events_of_its_bundle():
    assert split({"resourceType": "Organization"}, ADA) == {"ada": ["Patient", "Organization"]}


@pytest.mark.parametrize(
    ("resource", "rule"),
    [
        (refer("Observation"), "does not say which"),
        (refer("Provenance", target=["Patient/ada", "Patient/ben"]), "does not say which"),
        (refer("Account", subject=["Patient/ada", "Patient/ben"]), "several patients"),
        (refer("Observation", subject="Patient/cat"), "one outside"),
        (refer("Observation", subject="Patient/cat", encounter="Encounter/e"), "one outside"),
    ],
)
def test_a_resource_that_may_be_anothers_is_refused(resource: dict[str, Any], rule: str):
    encounter = {**refer("Encounter", subject="Patient/ada"), "id": "e"}
    with pytest.raises(ResourceError, match=rule):
        split(ADA, BEN, encounter, resource, allow_external=True)


def test_what_a_later_find_makes_ambiguous_is_refused_too():
    # The first List leads to Ada at once, and, by way of the second, to Ben as well.
    first = {"resourceType": "List", "entry": [{"item": {"reference": n}} for n in ("Patient/ada", "List/second")]}
    second = {"resourceType": "List", "id": "second", "entry": [{"item": {"reference": "Patient/ben"}}]}
    with pytest.raises(ResourceError, match="does not say which"):
        split(ADA, BEN, first, second)


def test_two_patients_of_one_name_are_never_merged():
    with pytest.raises(ResourceError, match="same name"):
        split(ADA, {**ADA, "gender": "female"})


@given(st.lists(st.sampled_from(["ada", "ben", "cho"]), max_size=30), st.randoms(use_true_random=False))
def test_every_resource_reaches_its_own_patient_and_no_other(owners: list[str], random: Any):
    resources = [{"resourceType": "Patient", "id": key} for key in ("ada", "ben", "cho")]
    resources += [{**refer("Observation", subject=f"Patient/{key}"), "note": key} for key in owners]
    random.shuffle(resources)
    text = "\n".join(map(json.dumps, resources))
    groups = [group for group in read_source(io.BytesIO(text.encode())) if isinstance(group, PatientBundle)]
    assert sum(len(group.resources) for group in groups) == len(resources)
    for group in groups:
        owner = json.loads(group.patients[0].body)["id"]
        assert {json.loads(resource.body).get("note", owner) for resource in group.resources} == {owner}
