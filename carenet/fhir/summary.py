"""One line for people about any FHIR resource, for `watch` and the demo's screens.

A headline is clinical plaintext: it is made where the resource was opened, and goes to a screen, never to a log.
It holds no control characters, but may hold `[` and `]`: escape it for a markup language.

    >>> headline({"resourceType": "Observation", "code": {"coding": [{"code": "59408-5"}]},
    ...           "valueQuantity": {"value": 91, "unit": "%"}})
    'SpO₂ 91 %'
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from carenet.fhir.phrases import (
    LONGEST,
    codes,
    concept,
    first,
    human_name,
    interpretation,
    join,
    member,
    number,
    quantity,
    target,
    text,
)

_WORDS = re.compile(r"(?<=[a-z])(?=[A-Z])")
_CLASSES = {
    "AMB": "ambulatory",
    "EMER": "emergency",
    "IMP": "inpatient",
    "ACUTE": "inpatient, acute",
    "OBSENC": "observation",
    "VR": "virtual",
    "HH": "home visit",
    "SS": "short stay",
    "FLD": "in the field",
}
_ENTERED_IN_ERROR = "entered-in-error"


def headline(resource: Mapping[str, Any]) -> str:
    """One line about a resource, at most `LONGEST` characters; never raises over what stands in it.

    Args:
        resource: a FHIR resource as decoded JSON; numbers may be float, int or Decimal.
    """
    kind = text(member(resource, "resourceType")) or "Resource"
    describe = _BY_TYPE.get(kind)
    line = describe(resource) if describe else ""
    if not line:
        line = join(_spell(kind), _find_name(resource), by=": ")
    if member(resource, "status") == _ENTERED_IN_ERROR:
        line = f"Entered in error: {line}"
    return text(line)


def _observation(resource: Mapping[str, Any]) -> str:
    name = concept(member(resource, "code")) or "Observation"
    value = _value(resource) or _components(resource)
    if not value:
        reason = concept(member(resource, "dataAbsentReason"))
        value = f"({reason})" if reason else ""
    return join(join(name, value, by=" "), interpretation(member(resource, "interpretation")))


def _value(holder: object) -> str:
    """The value[x] of an Observation or of one of its components."""
    answer = member(holder, "valueBoolean")
    if isinstance(answer, bool):
        return "yes" if answer else "no"
    low, high = (quantity(member(holder, "valueRange", end)) for end in ("low", "high"))
    parts = [quantity(member(holder, "valueRatio", part)) for part in ("numerator", "denominator")]
    return (
        quantity(member(holder, "valueQuantity"))
        or concept(member(holder, "valueCodeableConcept"))
        or text(member(holder, "valueString"))
        or number(member(holder, "valueInteger"))
        or text(member(holder, "valueDateTime"))
        or text(member(holder, "valueTime"))
        or join(low, high, by=" – ")
        or join(*parts, by=" / ")
    )


def _components(resource: Mapping[str, Any]) -> str:
    listed = member(resource, "component")
    components = [item for item in listed if isinstance(item, Mapping)] if isinstance(listed, list) else []
    by_code = {code: item for item in components for code in codes(member(item, "code"))}
    if "8480-6" in by_code and "8462-4" in by_code:  # systolic and diastolic: written as everyone writes them
        systolic, diastolic = (member(by_code[code], "valueQuantity") for code in ("8480-6", "8462-4"))
        unit = text(member(diastolic, "unit")).replace("mm[Hg]", "mmHg")
        return f"{number(member(systolic, 'value'))}/{number(member(diastolic, 'value'))} {unit}".strip()
    return join(*(join(concept(member(item, "code")), _value(item), by=" ") for item in components))


def _encounter(resource: Mapping[str, Any]) -> str:
    code = member(resource, "class", "code")
    kind = _CLASSES.get(code) if isinstance(code, str) else None
    kind = kind or text(member(resource, "class", "display"))
    reason = concept(member(resource, "reasonCode")) or concept(member(resource, "type"))
    status = text(member(resource, "status"))
    return join(f"Encounter: {kind or 'visit'}", reason, status if status != "finished" else "ended")


def _condition(resource: Mapping[str, Any]) -> str:
    status = concept(member(resource, "clinicalStatus")).lower()
    name = concept(member(resource, "code"))
    return join(f"Problem: {name}", status if status != "active" else "") if name else ""


def _allergy(resource: Mapping[str, Any]) -> str:
    name = concept(member(resource, "code"))
    reaction = concept(member(resource, "reaction", "manifestation"))
    risk = "high risk" if member(resource, "criticality") == "high" else ""
    lead = name if "allerg" in name.lower() else f"Allergy: {name}"
    return join(lead, reaction, risk) if name else ""


def _medication(verb: str) -> Callable[[Mapping[str, Any]], str]:
    def describe(resource: Mapping[str, Any]) -> str:
        name = (
            concept(member(resource, "medicationCodeableConcept"))
            or target(member(resource, "medicationReference"))
            or "a medicine"
        )
        dose = text(member(resource, "dosageInstruction", "text")) or text(member(resource, "dosage", "text"))
        status = text(member(resource, "status"))
        notable = status if status in {"stopped", "cancelled", "on-hold", "declined", "not-done"} else ""
        amount = quantity(member(resource, "quantity"))
        return join(f"{verb} {name} × {amount}" if amount else f"{verb} {name}", dose, notable)

    return describe


def _immunization(resource: Mapping[str, Any]) -> str:
    verb = "Not vaccinated" if member(resource, "status") == "not-done" else "Vaccinated"
    return join(verb, concept(member(resource, "vaccineCode")), by=": ")


def _report(resource: Mapping[str, Any]) -> str:
    results = member(resource, "result")
    found = len(results) if isinstance(results, list) else 0
    count = f"{found} result{'s' if found > 1 else ''}" if found else ""
    status = text(member(resource, "status"))
    name = concept(member(resource, "code"))
    conclusion = text(member(resource, "conclusion"))
    return join(f"Report: {name}" if name else "Report", count, conclusion, status if status != "final" else "")


def _patient(resource: Mapping[str, Any]) -> str:
    born = text(member(resource, "birthDate"))
    details = (text(member(resource, "gender")), f"born {born}" if born else "")
    return join(f"Patient: {human_name(member(resource, 'name')) or 'no name'}", *details)


def _person(resource: Mapping[str, Any]) -> str:
    name = human_name(member(resource, "name"))
    role = concept(member(resource, "relationship"))
    return join(f"{_spell(text(member(resource, 'resourceType')))}: {name}", role) if name else ""


def _goal(resource: Mapping[str, Any]) -> str:
    name = concept(member(resource, "description"))
    return join(f"Goal: {name}", concept(member(resource, "achievementStatus"))) if name else ""


def _plan(resource: Mapping[str, Any]) -> str:
    name = text(member(resource, "title")) or concept(member(resource, "category"))
    listed = member(resource, "activity")
    activities = listed if isinstance(listed, list) else []
    return join("Care plan", join(name, *(concept(member(item, "detail", "code")) for item in activities)), by=": ")


def _imaging(resource: Mapping[str, Any]) -> str:
    series = first(member(resource, "series"))
    what = join(concept(member(series, "modality")), concept(member(series, "bodySite")))
    return join("Imaging", what or text(member(resource, "description")), by=": ")


def _bill(resource: Mapping[str, Any]) -> str:
    total = first(member(resource, "total"))
    amount = member(total, "amount") if isinstance(member(total, "amount"), Mapping) else total
    money = join(number(member(amount, "value")), text(member(amount, "currency")), by=" ")
    kind = _spell(text(member(resource, "resourceType")))
    return join(kind, join(concept(member(resource, "type")), money), by=": ")


def _find_name(resource: Mapping[str, Any]) -> str:
    """What a resource of any other type is called, by the elements in which R4 names things."""
    return (
        concept(member(resource, "code"))
        or text(member(resource, "title"))
        or text(member(resource, "name"))
        or human_name(member(resource, "name"))
        or text(member(resource, "description"))
        or concept(member(resource, "type"))
        or concept(member(resource, "category"))
        or text(member(resource, "status"))
    )


def _spell(kind: str) -> str:
    """ServiceRequest → Service request."""
    words = _WORDS.sub(" ", kind[:LONGEST])
    return words[:1] + words[1:].lower()


_BY_TYPE: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "AllergyIntolerance": _allergy,
    "CarePlan": _plan,
    "Claim": _bill,
    "Condition": _condition,
    "DiagnosticReport": _report,
    "Encounter": _encounter,
    "ExplanationOfBenefit": _bill,
    "Goal": _goal,
    "ImagingStudy": _imaging,
    "Immunization": _immunization,
    "MedicationAdministration": _medication("Given"),
    "MedicationDispense": _medication("Dispensed"),
    "MedicationRequest": _medication("Prescribed"),
    "MedicationStatement": _medication("Takes"),
    "Observation": _observation,
    "Patient": _patient,
    "Person": _person,
    "Practitioner": _person,
    "RelatedPerson": _person,
}
