from __future__ import annotations

import pytest

from carenet.fhir.references import collect_references, collect_subjects, is_self_contained, names_of, target_type


def test_references_are_found_at_any_depth_and_in_contained_resources():
    resource = {
        "subject": {"reference": "Patient/1"},
        "contained": [{"requester": {"reference": "#p"}}],
        "extension": [{"valueReference": {"reference": "Organization/2/_history/3"}}],
        "reference": {"display": "no text"},
    }
    assert sorted(collect_references(resource)) == ["#p", "Organization/2", "Patient/1"]


def test_subjects_are_those_that_say_whom_it_is_about():
    resource = {
        "patient": {"reference": "Patient/1"},
        "subject": [{"reference": "Patient/2"}, {"display": "someone"}],
        "subscriber": {"reference": "Patient/3"},
        "beneficiary": "Patient/4",
    }
    assert sorted(collect_subjects(resource)) == ["Patient/1", "Patient/2"]


def test_a_resource_answers_to_its_full_url_and_to_type_and_id():
    assert names_of("Patient", "1", "urn:uuid:a") == {"urn:uuid:a", "Patient/1"}
    assert names_of("Patient", None, "https://x.example/fhir/Patient/9") == {
        "https://x.example/fhir/Patient/9",
        "Patient/9",
    }
    assert names_of("Patient", None, None) == frozenset()


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("#a", True),
        ("Practitioner?identifier=x|1", True),
        ("Patient/1", False),
        ("urn:uuid:a", False),
        ("?x", False),
        ("https://x.example/Patient?identifier=1", False),
    ],
)
def test_contained_and_conditional_references_need_nothing_else(reference: str, expected: bool):
    assert is_self_contained(reference) is expected


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("Patient/1", "Patient"),
        ("https://x.example/fhir/Group/1", "Group"),
        ("urn:uuid:a", None),
        ("Group/a b", "Group"),
    ],
)
def test_a_reference_names_its_type_or_not(reference: str, expected: str | None):
    assert target_type(reference) == expected
