"""Writes the story's FHIR R4 resources for one patient, with ids, references and times that belong together."""

from __future__ import annotations

import tomllib
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import Any

LOINC = "http://loinc.org"
SNOMED = "http://snomed.info/sct"
RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
UCUM = "http://unitsofmeasure.org"

_TERMINOLOGY = "http://terminology.hl7.org/CodeSystem"
_NEWS2 = ("1104051000000101", "Royal College of Physicians NEWS2 (National Early Warning Score 2) total score")
_INTERPRETATIONS = {"L": "Low", "H": "High", "LL": "Critical low", "HH": "Critical high"}
_MINUTE_MS = 60_000

ACTORS = {
    "dr-lee": "Dr. Hana Lee",
    "dr-okafor": "Dr. Chidi Okafor",
    "lab": "Riverside Laboratory",
    "pharmacy": "Corner Pharmacy",
}

Json = dict[str, Any]


@cache
def load_catalogue() -> Json:
    """`story.toml`: people, problems, medications, allergies, panels, tests, vitals."""
    return tomllib.loads(files("carenet.fhir").joinpath("story.toml").read_text("utf-8"))


class ChartWriter:
    """Makes one patient's resources, in the order of the story.

    Args:
        key: the patient's name in the story (`ada-byrne`), also its id.
        series: part of every other id, so that another story about the same people writes new resources.
        now_ms: the story's clock, ms since 1970; `advance` moves it.
    """

    def __init__(self, key: str, series: str, now_ms: int) -> None:
        self._key = key
        self._series = series
        self._count = 0
        self._now_ms = now_ms
        self._encounter: str | None = None

    def advance(self, minutes: int) -> None:
        """Let time pass."""
        self._now_ms += minutes * _MINUTE_MS

    def leave(self) -> None:
        """End the encounter: what follows belongs to none."""
        self._encounter = None

    def patient(self, person: Json) -> Json:
        """The Patient; its id is the story's name for them."""
        return {
            "resourceType": "Patient",
            "id": self._key,
            "active": True,
            "name": [{"use": "official", "family": person["family"], "given": [person["given"]]}],
            "gender": person["gender"],
            "birthDate": person["born"],
        }

    def encounter(self, kind: str, display: str, actor: str) -> Json:
        """An Encounter that is under way; what follows belongs to it. `kind` is a v3 ActCode: AMB, VR, EMER."""
        resource = self._start("Encounter") | {
            "status": "in-progress",
            "class": _coding(f"{_TERMINOLOGY}/v3-ActCode", kind, display),
            "subject": self._subject(),
            "participant": [{"individual": _actor(actor)}],
            "period": {"start": self._now()},
        }
        self._encounter = f"Encounter/{resource['id']}"
        return resource

    def vital(self, name: str, value: float, actor: str) -> Json:
        """A vital sign of the catalogue."""
        return self._observation("vital-signs", load_catalogue()["vitals"][name], value, actor)

    def test(self, name: str, value: float, actor: str, order: Json | None = None) -> Json:
        """A laboratory result of the catalogue."""
        resource = self._observation("laboratory", load_catalogue()["tests"][name], value, actor)
        if order is not None:
            resource["basedOn"] = [_reference(order)]
        return resource

    def blood_pressure(self, systolic: int, diastolic: int, actor: str) -> Json:
        """A blood pressure panel."""
        parts = (("8480-6", "Systolic blood pressure", systolic), ("8462-4", "Diastolic blood pressure", diastolic))
        resource = self._base_observation("vital-signs", _concept(LOINC, "85354-9", "Blood pressure panel"), actor)
        resource["component"] = [
            {"code": _concept(LOINC, code, display), "valueQuantity": _quantity(value, "mmHg", "mm[Hg]")}
            for code, display, value in parts
        ]
        return resource

    def news2(self, score: int, risk: str, sources: list[Json], actor: str) -> Json:
        """A NEWS2 score with the vital signs that it comes from. risk: a v3 interpretation code, or empty."""
        resource = self._base_observation("survey", _concept(SNOMED, *_NEWS2, text="NEWS2 score"), actor)
        resource["valueQuantity"] = _quantity(score, "{score}", "{score}")
        resource["derivedFrom"] = [_reference(source) for source in sources]
        return _interpret(resource, risk)

    def condition(self, name: str, actor: str) -> Json:
        """A problem of the catalogue, active and confirmed."""
        problem = load_catalogue()["problems"][name]
        return self._start("Condition") | {
            "clinicalStatus": {"coding": [_coding(f"{_TERMINOLOGY}/condition-clinical", "active", "Active")]},
            "verificationStatus": {
                "coding": [_coding(f"{_TERMINOLOGY}/condition-ver-status", "confirmed", "Confirmed")]
            },
            "code": _concept(SNOMED, problem["code"], problem["display"]),
            "subject": self._subject(),
            **self._in_encounter(),
            "recordedDate": self._now(),
            "recorder": _actor(actor),
        }

    def allergy(self, allergy: Json, actor: str) -> Json:
        """An allergy of the catalogue, active and confirmed."""
        system = f"{_TERMINOLOGY}/allergyintolerance"
        return self._start("AllergyIntolerance") | {
            "clinicalStatus": {"coding": [_coding(f"{system}-clinical", "active", "Active")]},
            "verificationStatus": {"coding": [_coding(f"{system}-verification", "confirmed", "Confirmed")]},
            "type": "allergy",
            "category": [allergy["category"]],
            "criticality": allergy["criticality"],
            "code": _concept(SNOMED, allergy["code"], allergy["display"]),
            "patient": self._subject(),
            "recordedDate": self._now(),
            "recorder": _actor(actor),
        }

    def order(self, panel: str, actor: str) -> Json:
        """The order of a laboratory panel of the catalogue."""
        chosen = load_catalogue()["panels"][panel]
        return self._start("ServiceRequest") | {
            "status": "active",
            "intent": "order",
            "code": _concept(LOINC, chosen["code"], chosen["display"]),
            "subject": self._subject(),
            **self._in_encounter(),
            "authoredOn": self._now(),
            "requester": _actor(actor),
        }

    def report(self, panel: str, order: Json, results: list[Json], actor: str) -> Json:
        """The DiagnosticReport that answers an order with its results."""
        chosen = load_catalogue()["panels"][panel]
        return self._start("DiagnosticReport") | {
            "basedOn": [_reference(order)],
            "status": "final",
            "category": [{"coding": [_coding(f"{_TERMINOLOGY}/v2-0074", "LAB", "Laboratory")]}],
            "code": _concept(LOINC, chosen["code"], chosen["display"]),
            "subject": self._subject(),
            **self._in_encounter(),
            "effectiveDateTime": self._now(),
            "issued": self._now(),
            "performer": [_actor(actor)],
            "result": [_reference(result) for result in results],
        }

    def prescription(self, name: str, actor: str) -> Json:
        """A MedicationRequest for a medication of the catalogue."""
        chosen = load_catalogue()["medications"][name]
        return self._start("MedicationRequest") | {
            "status": "active",
            "intent": "order",
            "medicationCodeableConcept": _medication(chosen),
            "subject": self._subject(),
            **self._in_encounter(),
            "authoredOn": self._now(),
            "requester": _actor(actor),
            "dosageInstruction": [{"text": chosen["dose"]}],
            "dispenseRequest": {"numberOfRepeatsAllowed": 1, "quantity": {"value": chosen["supply"]}},
        }

    def dispense(self, prescription: Json, name: str, actor: str) -> Json:
        """A MedicationDispense that fills a prescription."""
        chosen = load_catalogue()["medications"][name]
        return self._start("MedicationDispense") | {
            "status": "completed",
            "medicationCodeableConcept": _medication(chosen),
            "subject": self._subject(),
            "performer": [{"actor": _actor(actor)}],
            "authorizingPrescription": [_reference(prescription)],
            "quantity": {"value": chosen["supply"]},
            "whenHandedOver": self._now(),
            "dosageInstruction": [{"text": chosen["dose"]}],
        }

    def _observation(self, category: str, kind: Json, value: float, actor: str) -> Json:
        code = _concept(LOINC, kind["code"], kind["display"])
        if "also" in kind:
            code["coding"].append(_coding(LOINC, kind["also"], "Oxygen saturation in Arterial blood"))
        resource = self._base_observation(category, code, actor)
        number: float = round(value, kind["digits"]) if kind["digits"] else round(value)
        resource["valueQuantity"] = _quantity(number, kind["unit"], kind["ucum"])
        low, high = (_quantity(kind[end], kind["unit"], kind["ucum"]) for end in ("low", "high"))
        resource["referenceRange"] = [{"low": low, "high": high}]
        return _interpret(resource, _judge(number, kind))

    def _base_observation(self, category: str, code: Json, actor: str) -> Json:
        system = f"{_TERMINOLOGY}/observation-category"
        return self._start("Observation") | {
            "status": "final",
            "category": [{"coding": [_coding(system, category, category.replace("-", " ").title())]}],
            "code": code,
            "subject": self._subject(),
            **self._in_encounter(),
            "effectiveDateTime": self._now(),
            "performer": [_actor(actor)],
        }

    def _start(self, resource_type: str) -> Json:
        self._count += 1
        return {"resourceType": resource_type, "id": f"{self._key}-{self._series}-{self._count}"}

    def _subject(self) -> Json:
        return {"reference": f"Patient/{self._key}"}

    def _in_encounter(self) -> Json:
        return {"encounter": {"reference": self._encounter}} if self._encounter else {}

    def _now(self) -> str:
        return datetime.fromtimestamp(self._now_ms / 1000, UTC).isoformat(timespec="seconds")


def _actor(key: str) -> Json:
    kind = "Practitioner" if key.startswith("dr-") else "Organization"
    return {"reference": f"{kind}/{key}", "display": ACTORS[key]}


def _reference(resource: Json) -> Json:
    return {"reference": f"{resource['resourceType']}/{resource['id']}"}


def _coding(system: str, code: str, display: str) -> Json:
    return {"system": system, "code": code, "display": display}


def _concept(system: str, code: str, display: str, text: str = "") -> Json:
    return {"coding": [_coding(system, code, display)], "text": text or display}


def _medication(chosen: Json) -> Json:
    return _concept(RXNORM, chosen["code"], chosen["display"], text=chosen["text"])


def _quantity(value: float, unit: str, ucum: str) -> Json:
    return {"value": value, "unit": unit, "system": UCUM, "code": ucum}


def _judge(value: float, kind: Json) -> str:
    """The v3 interpretation code of a value against the catalogue's limits, empty within the reference range."""
    if value < kind["low"]:
        return "LL" if value <= kind.get("critical_low", -1) else "L"
    if value > kind["high"]:
        return "HH" if value >= kind.get("critical_high", value + 1) else "H"
    return ""


def _interpret(resource: Json, code: str) -> Json:
    if code:
        system = f"{_TERMINOLOGY}/v3-ObservationInterpretation"
        resource["interpretation"] = [{"coding": [_coding(system, code, _INTERPRETATIONS[code])]}]
    return resource
