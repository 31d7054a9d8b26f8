from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carenet.fhir import summary
from carenet.fhir.phrases import LONGEST, number
from carenet.fhir.summary import headline


def coded(text: str, code: str = "") -> dict[str, Any]:
    return {"coding": [{"code": code, "display": text}]}


@pytest.mark.parametrize(
    ("resource", "expected"),
    [
        (
            {
                "resourceType": "Observation",
                "code": coded("Oxygen saturation in Arterial blood by Pulse oximetry", "59408-5"),
                "valueQuantity": {"value": 91, "unit": "%"},
                "interpretation": [coded("Low", "L")],
            },
            "SpO₂ 91 %, low",
        ),
        (
            {
                "resourceType": "Observation",
                "code": coded("Blood pressure", "85354-9"),
                "component": [
                    {"code": coded("Diastolic", "8462-4"), "valueQuantity": {"value": 75.2, "unit": "mm[Hg]"}},
                    {"code": coded("Systolic", "8480-6"), "valueQuantity": {"value": 126, "unit": "mm[Hg]"}},
                ],
            },
            "Blood pressure 126/75.2 mmHg",
        ),
        ({"resourceType": "Observation", "code": coded("Smoker"), "valueBoolean": False}, "Smoker no"),
        (
            {"resourceType": "Observation", "code": coded("Culture"), "valueCodeableConcept": coded("MRSA")},
            "Culture MRSA",
        ),
        ({"resourceType": "Observation", "code": coded("pH"), "dataAbsentReason": coded("Unknown")}, "pH (Unknown)"),
        ({"resourceType": "Observation", "status": "entered-in-error"}, "Entered in error: Observation"),
        (
            {
                "resourceType": "MedicationRequest",
                "medicationCodeableConcept": {"text": "lisinopril 10 mg"},
                "dosageInstruction": [{"text": "1 tablet once daily"}],
            },
            "Prescribed lisinopril 10 mg, 1 tablet once daily",
        ),
        (
            {
                "resourceType": "MedicationDispense",
                "medicationReference": {"display": "insulin"},
                "quantity": {"value": 3, "unit": "pens"},
            },
            "Dispensed insulin × 3 pens",
        ),
        ({"resourceType": "Encounter", "class": {"code": "EMER"}, "status": "finished"}, "Encounter: emergency, ended"),
        ({"resourceType": "Condition", "code": coded("Viral sinusitis (disorder)")}, "Problem: Viral sinusitis"),
        (
            {"resourceType": "AllergyIntolerance", "code": coded("Allergy to nut"), "criticality": "high"},
            "Allergy to nut, high risk",
        ),
        ({"resourceType": "Immunization", "vaccineCode": coded("Td"), "status": "not-done"}, "Not vaccinated: Td"),
        (
            {"resourceType": "Patient", "name": [{"given": ["Ada"], "family": "Byrne"}], "birthDate": "1951"},
            "Patient: Ada Byrne, born 1951",
        ),
        (
            {"resourceType": "DiagnosticReport", "code": coded("Lipids"), "result": [{}, {}]},
            "Report: Lipids, 2 results",
        ),
        (
            {"resourceType": "Claim", "type": coded("pharmacy"), "total": {"value": 255, "currency": "USD"}},
            "Claim: pharmacy, 255 USD",
        ),
        ({"resourceType": "ServiceRequest", "code": coded("CBC")}, "Service request: CBC"),
        ({"resourceType": "NeverHeardOf", "status": "active"}, "Never heard of: active"),
        ({}, "Resource"),
    ],
)
def test_a_headline_says_what_matters(resource: dict[str, Any], expected: str):
    assert headline(resource) == expected


def test_a_headline_carries_no_control_or_direction_characters_to_a_terminal():
    line = headline({"resourceType": "Condition", "code": {"text": "a\x1b[2Jb\r\nc\u202ed\x07"}})
    assert line == "Problem: a [2Jb c d"


def test_a_long_text_is_cut():
    line = headline({"resourceType": "Condition", "code": {"text": "x" * 10_000}})
    assert len(line) == LONGEST
    assert line.endswith("…")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (7, "7"),
        (7.0, "7"),
        (7.126, "7.13"),
        (Decimal("1.50"), "1.50"),
        (Decimal("1.500"), "1.5"),
        (0.0004, "0.0004"),
        (0, "0"),
        (10**400, "very large"),
        (float("nan"), ""),
        (Decimal("NaN"), ""),
        (True, ""),
        ("7", ""),
        (None, ""),
        (-36.6, "-36.6"),
        (1e20, "1e+20"),
        (Decimal("1E+3"), "1000"),
        (100, "100"),
    ],
)
def test_a_number_is_short_and_not_wrong(value: object, expected: str):
    assert number(value) == expected


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.decimals() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                sorted(
                    [
                        "coding",
                        "code",
                        "text",
                        "display",
                        "value",
                        "unit",
                        "valueQuantity",
                        "low",
                        "high",
                        "given",
                        "family",
                        "start",
                        "class",
                        "status",
                        "detail",
                        "activity",
                        "series",
                        "modality",
                        "manifestation",
                        "reaction",
                        "total",
                        "amount",
                        "type",
                    ]
                )
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=10,
)
MEMBERS = st.sampled_from(
    [
        "code",
        "status",
        "class",
        "type",
        "name",
        "component",
        "valueQuantity",
        "valueRange",
        "valueRatio",
        "valueInteger",
        "interpretation",
        "result",
        "medicationCodeableConcept",
        "medicationReference",
        "dosageInstruction",
        "dosage",
        "quantity",
        "vaccineCode",
        "clinicalStatus",
        "reaction",
        "criticality",
        "series",
        "activity",
        "category",
        "title",
        "description",
        "total",
        "birthDate",
        "gender",
        "resourceType",
    ]
)


@given(st.sampled_from([*sorted(summary._BY_TYPE), "Basic"]), st.dictionaries(MEMBERS, JSON, max_size=8))
def test_whatever_stands_in_a_resource_there_is_one_line_about_it(kind: str, members: dict[str, Any]):
    line = headline({"resourceType": kind, **members})
    assert line
    assert len(line) <= LONGEST
    assert line.isprintable()


def test_numbers_that_json_spells_large_are_no_reason_to_fail():
    resource = json.loads('{"resourceType": "Observation", "valueQuantity": {"value": 1e400, "unit": "g"}}')
    assert headline(resource) == "Observation"
