"""Pieces of FHIR as short text for people: concepts, quantities, names, dates, references.

Every function takes whatever stands in a resource and answers "" when that is not of the expected shape, so that a
screen never fails over somebody's data.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

LONGEST = 160  # characters of one line on a screen

# What clinicians say, by LOINC or SNOMED CT code; the display that came serves for everything else.
_SHORT_NAMES = {
    "59408-5": "SpO₂",
    "2708-6": "SpO₂",
    "8867-4": "Heart rate",
    "9279-1": "Respiratory rate",
    "8310-5": "Temperature",
    "8331-1": "Temperature",
    "85354-9": "Blood pressure",
    "55284-4": "Blood pressure",
    "8480-6": "systolic",
    "8462-4": "diastolic",
    "29463-7": "Weight",
    "8302-2": "Height",
    "39156-5": "BMI",
    "4548-4": "HbA1c",
    "1988-5": "CRP",
    "6690-2": "White cells",
    "718-7": "Haemoglobin",
    "777-3": "Platelets",
    "2160-0": "Creatinine",
    "38483-4": "Creatinine",
    "2345-7": "Glucose",
    "2339-0": "Glucose",
    "2823-3": "Potassium",
    "6298-4": "Potassium",
    "2951-2": "Sodium",
    "2947-0": "Sodium",
    "2524-7": "Lactate",
    "33914-3": "eGFR",
    "1104051000000101": "NEWS2",
}
_INTERPRETATIONS = {
    "H": "high",
    "HH": "critically high",
    "HU": "high",
    "L": "low",
    "LL": "critically low",
    "LU": "low",
    "A": "abnormal",
    "AA": "critically abnormal",
    "POS": "positive",
    "NEG": "negative",
    "R": "resistant",
    "S": "susceptible",
    "I": "intermediate",
}
_SNOMED_TAG = re.compile(r" \((?:disorder|finding|procedure|situation|regime/therapy|observable entity)\)\Z")
_PLAIN_UNITS = {"{score}": "", "1": "", "{#}": ""}
_SMALL = 0.01  # below this, two decimals would show nothing
_LARGE = 1e15  # above this, digits are noise
_DECIMALS = 2


def first(value: object) -> object:
    """The first item of a list, or the value itself."""
    if isinstance(value, list):
        return value[0] if value else None
    return value


def member(value: object, *path: str) -> Any:
    """What stands at a path of members, looking into the first item of each list; None if nothing does."""
    for name in path:
        value = first(value)
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def text(value: object) -> str:
    """A string on one line, without control or formatting characters (a terminal must not obey data)."""
    if not isinstance(value, str):
        return ""
    kept = (" " if unicodedata.category(c)[0] in "CZ" else c for c in value[: 4 * LONGEST])
    line = " ".join("".join(kept).split())
    return line if len(line) <= LONGEST else line[: LONGEST - 1] + "…"


def concept(value: object) -> str:
    """A CodeableConcept or Coding: a short name if we have one, else its text, display or code."""
    value = first(value)
    codings = member(value, "coding")
    listed = codings if isinstance(codings, list) else [value]
    for coding in listed:
        code = member(coding, "code")
        if isinstance(code, str) and code in _SHORT_NAMES:
            return _SHORT_NAMES[code]
    shown = (
        text(member(value, "text"))
        or text(member(first(listed), "display"))
        or text(member(value, "display"))
        or text(member(first(listed), "code"))
    )
    return _SNOMED_TAG.sub("", shown)


def codes(value: object) -> list[str]:
    """All codes of a CodeableConcept, or of a list of them."""
    concepts = value if isinstance(value, list) else [value]
    found = []
    for item in concepts:
        codings = member(item, "coding")
        found += [member(coding, "code") for coding in (codings if isinstance(codings, list) else [])]
    return [code for code in found if isinstance(code, str)]


def interpretation(value: object) -> str:
    """An Observation's interpretation in words, or "" when it is normal or none."""
    return next((_INTERPRETATIONS[code] for code in codes(value) if code in _INTERPRETATIONS), "")


def number(value: object) -> str:
    """A number with at most two decimals; one that came with two or fewer (as Decimal) keeps them."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return ""
    if isinstance(value, Decimal) and value.is_finite() and -_DECIMALS <= int(value.as_tuple().exponent) <= 0:
        return str(value)
    try:
        size = abs(float(value))
    except OverflowError:
        return "very large"
    if not math.isfinite(size):
        return ""
    if size and (size < _SMALL or size > _LARGE):
        return f"{float(value):.2g}"
    return f"{float(value):.{_DECIMALS}f}".rstrip("0").rstrip(".")


def quantity(value: object) -> str:
    """A Quantity with its comparator and unit: `< 7 %`."""
    amount = number(member(value, "value"))
    unit = text(member(value, "unit")) or text(member(value, "code"))
    parts = (text(member(value, "comparator")), amount, _PLAIN_UNITS.get(unit, unit))
    return " ".join(part for part in parts if part) if amount else ""


def human_name(value: object) -> str:
    """A HumanName, or the first of a list."""
    value = first(value)
    given = member(value, "given")
    names = given if isinstance(given, list) else [given]
    parts = [text(first(member(value, "prefix"))), *(text(name) for name in names), text(member(value, "family"))]
    return text(member(value, "text")) or " ".join(part for part in parts if part)


def target(value: object) -> str:
    """What a Reference shows: its display."""
    return text(member(value, "display"))


def join(*parts: str, by: str = ", ") -> str:
    """The parts that are not empty."""
    return by.join(part for part in parts if part)
