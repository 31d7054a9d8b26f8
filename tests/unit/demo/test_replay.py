from __future__ import annotations

from carenet.demo.cast import CAST
from carenet.demo.replay import choose_author, is_on_the_way, name_patient
from carenet.encoding.ids import is_name
from carenet.fhir.compartments import event_type_of
from carenet.fhir.resources import PatientBundle
from carenet.rules.roles import is_allowed


def _bundle(identity: str) -> PatientBundle:
    return PatientBundle("file.json", identity, (), ())


def test_a_bundle_always_gets_the_same_name_and_two_bundles_get_two() -> None:
    assert name_patient(_bundle("urn:uuid:1")) == name_patient(_bundle("urn:uuid:1"))
    assert name_patient(_bundle("urn:uuid:1")) != name_patient(_bundle("urn:uuid:2"))


def test_a_patients_name_is_a_name_and_tells_nothing_of_what_the_bundle_says() -> None:
    name = name_patient(_bundle("Müller, Anna \ud800"))
    assert is_name(name)
    assert "anna" not in name.lower()


def test_every_author_has_a_role_that_allows_what_it_is_given_to_write() -> None:
    roles = {each.name: each.roles for each in CAST}
    for resource_type in ("Observation", "DiagnosticReport", "ImagingStudy", "Immunization", "Claim", "Patient"):
        author = choose_author(resource_type, "fhir-0123456789")
        assert any(is_allowed(role, event_type_of(resource_type)) for role in roles[author]), resource_type


def test_a_patients_author_stays_and_the_team_shares_the_patients() -> None:
    patients = [f"fhir-{number}" for number in range(40)]
    assert [choose_author("Encounter", each) for each in patients] == [
        choose_author("Claim", each) for each in patients
    ]
    assert {choose_author("Encounter", each) for each in patients} == {"dr-lee", "dr-okafor"}


def test_some_patients_are_on_the_way_and_others_are_not() -> None:
    assert {is_on_the_way(f"fhir-{number}") for number in range(40)} == {True, False}
