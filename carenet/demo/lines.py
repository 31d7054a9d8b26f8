"""From an update to one line on a screen: who, what in words, and how alarming it is.

These lines are clinical plaintext, made where the update was opened: they go to a screen and never to a log.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from carenet.client.updates import Update
from carenet.encoding.ids import encode_id
from carenet.fhir.summary import headline

_ABNORMAL, _CRITICAL = frozenset({"H", "L", "A", "HU", "LU"}), frozenset({"HH", "LL", "AA"})
_EMERGENCY = "EMER"


class Tone(StrEnum):
    """How a line is coloured."""

    NORMAL = "normal"
    ABNORMAL = "abnormal"
    CRITICAL = "critical"
    CONTROL = "control"


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a screen.

    Attributes:
        patient: what the demo calls the patient.
        text: one line for people; may hold `[`: escape it for markup.
        tone: how alarming it is.
        latency_ms: from the publish call to the opened update, if it was published here.
    """

    patient: str
    text: str = field(repr=False)
    tone: Tone
    latency_ms: float | None = None


def describe_update(
    update: Update, patients: Mapping[bytes, str], participants: Mapping[bytes, str], latency_ms: float | None
) -> Line:
    """The line of an update.

    Args:
        update: opened, if the watcher holds the key.
        patients: the demo's names of subjects.
        participants: names of participants.
        latency_ms: see `Line`.
    """
    patient = patients.get(update.entry.subject) or f"{update.patient[:8]}…"
    if update.statement.is_control:
        text = _describe_control(update.type, update.statement.control, participants)
        return Line(patient, text, Tone.CONTROL, latency_ms)
    resource = update.resource
    if resource is None:
        return Line(patient, update.fault or update.type, Tone.CONTROL, latency_ms)
    return Line(patient, headline(resource), find_tone(resource), latency_ms)


def find_tone(resource: Mapping[str, Any]) -> Tone:
    """How alarming a FHIR resource is: by its interpretation codes, or because it is an emergency."""
    kind = resource.get("class")
    if isinstance(kind, Mapping) and kind.get("code") == _EMERGENCY:
        return Tone.CRITICAL
    found = _interpretations(resource)
    if found & _CRITICAL:
        return Tone.CRITICAL
    return Tone.ABNORMAL if found & _ABNORMAL else Tone.NORMAL


def _interpretations(resource: Mapping[str, Any]) -> set[str]:
    concepts = [each for each in _list(resource.get("interpretation")) if isinstance(each, Mapping)]
    codings = [each for concept in concepts for each in _list(concept.get("coding")) if isinstance(each, Mapping)]
    return {code for coding in codings if isinstance(code := coding.get("code"), str)}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _describe_control(event_type: str, payload: Mapping[str, Any], participants: Mapping[bytes, str]) -> str:
    grantee = payload.get("grantee")
    whom = participants.get(grantee) or f"{encode_id(grantee)[:8]}…" if isinstance(grantee, bytes) else ""
    if event_type == "subject.open":
        return "timeline opened"
    if event_type == "grant.give":
        return f"{whom} may {', '.join(payload.get('actions', ()))}"
    if event_type == "grant.withdraw":
        return f"{whom}: access withdrawn, new keys begin"
    if event_type == "key.share":
        return "earlier keys handed on"
    return event_type
