from __future__ import annotations

import tomllib
from importlib.resources import files

import pytest

from carenet.encoding.ids import is_name
from carenet.errors import ResourceError
from carenet.fhir.compartments import COMPARTMENTS, compartment_of, event_type_of, is_reference_type

# The types of the R4 patient compartment (CompartmentDefinition/patient, 4.0.1): all that can be about a patient.
ABOUT_A_PATIENT = [
    "Account",
    "AdverseEvent",
    "AllergyIntolerance",
    "Appointment",
    "AppointmentResponse",
    "AuditEvent",
    "Basic",
    "BodyStructure",
    "CarePlan",
    "CareTeam",
    "ChargeItem",
    "Claim",
    "ClaimResponse",
    "ClinicalImpression",
    "Communication",
    "CommunicationRequest",
    "Composition",
    "Condition",
    "Consent",
    "Coverage",
    "CoverageEligibilityRequest",
    "CoverageEligibilityResponse",
    "DetectedIssue",
    "DeviceRequest",
    "DeviceUseStatement",
    "DiagnosticReport",
    "DocumentManifest",
    "DocumentReference",
    "Encounter",
    "EnrollmentRequest",
    "EpisodeOfCare",
    "ExplanationOfBenefit",
    "FamilyMemberHistory",
    "Flag",
    "Goal",
    "Group",
    "ImagingStudy",
    "Immunization",
    "ImmunizationEvaluation",
    "ImmunizationRecommendation",
    "Invoice",
    "List",
    "MeasureReport",
    "Media",
    "MedicationAdministration",
    "MedicationDispense",
    "MedicationRequest",
    "MedicationStatement",
    "MolecularSequence",
    "NutritionOrder",
    "Observation",
    "Patient",
    "Person",
    "Procedure",
    "Provenance",
    "QuestionnaireResponse",
    "RelatedPerson",
    "RequestGroup",
    "ResearchSubject",
    "RiskAssessment",
    "Schedule",
    "ServiceRequest",
    "Specimen",
    "SupplyDelivery",
    "SupplyRequest",
    "VisionPrescription",
]


@pytest.mark.parametrize("resource_type", ABOUT_A_PATIENT)
def test_every_type_that_can_be_about_a_patient_has_a_compartment_and_an_event_type(resource_type: str):
    assert compartment_of(resource_type) in COMPARTMENTS
    assert is_name(event_type_of(resource_type))


@pytest.mark.parametrize(
    ("resource_type", "compartment"),
    [
        ("Observation", "clinical"),
        ("Encounter", "clinical"),
        ("MedicationDispense", "medication"),
        ("AllergyIntolerance", "medication"),
        ("Patient", "identity"),
        ("ExplanationOfBenefit", "identity"),
    ],
)
def test_a_type_goes_where_those_who_need_it_read(resource_type: str, compartment: str):
    assert compartment_of(resource_type) == compartment


def test_an_event_type_is_the_resource_type_in_lower_case():
    assert event_type_of("MedicationRequest") == "care.medicationrequest"


@pytest.mark.parametrize("resource_type", ["", "observation", "Bundle", "Nonsense"])
def test_an_unknown_type_is_refused_rather_than_guessed(resource_type: str):
    with pytest.raises(ResourceError):
        compartment_of(resource_type)
    with pytest.raises(ResourceError):
        event_type_of(resource_type)


def test_no_type_stands_in_two_compartments_or_twice_in_one():
    table = tomllib.loads(files("carenet.fhir").joinpath("compartments.toml").read_text("utf-8"))
    listed = [name for compartment in COMPARTMENTS for name in table[compartment]["types"]]
    assert len(listed) == len(set(listed))


def test_reference_types_have_a_compartment_too_since_they_may_stand_in_a_patients_bundle():
    table = tomllib.loads(files("carenet.fhir").joinpath("compartments.toml").read_text("utf-8"))
    for name in table["reference"]["types"]:
        assert is_reference_type(name)
        assert compartment_of(name)
    assert not is_reference_type("Observation")
