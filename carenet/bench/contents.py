"""What the events of a bench say: a FHIR Observation of a fixed length, and where it goes."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from carenet.client.drafts import CTI_BYTES, Care
from carenet.client.subjects import Epoch
from carenet.encoding.ids import decode_id, encode_id
from carenet.statements.keys import compute_epoch_id

CONTENT_BYTES = 600  # with its length and Padmé's zeros 608, and 1,744 once it is sealed
COMPARTMENT = "clinical"

_PUBLIC_KEYS = "SELECT DISTINCT subject, public FROM epochs WHERE compartment = $1 ORDER BY subject"
_EVENT_TYPE, _MEDIA_TYPE = "care.observation", "application/fhir+json"


@dataclass(frozen=True, slots=True)
class Patient:
    """A patient and the epoch that its events are sealed to.

    Attributes:
        subject: 32 bytes.
        epoch: the current one of its compartment.
    """

    subject: bytes
    epoch: Epoch


def write_patients(path: Path, patients: list[tuple[bytes, bytes]]) -> None:
    """Keep subjects and public keys for the processes that publish."""
    path.write_text(json.dumps([[encode_id(subject), public.hex()] for subject, public in patients]), encoding="utf-8")


async def keep_patients(connection: Any, path: Path) -> None:
    """Keep the patients of a node's database, for the processes that publish.

    Args:
        connection: asyncpg's, to that database.
        path: the file.
    """
    found = await connection.fetch(_PUBLIC_KEYS, COMPARTMENT)
    write_patients(path, [(row["subject"], row["public"]) for row in found])


def read_patients(path: Path) -> list[Patient]:
    """The patients that were kept."""
    kept = [(decode_id(text), bytes.fromhex(public)) for text, public in json.loads(path.read_text(encoding="utf-8"))]
    return [Patient(subject, Epoch(COMPARTMENT, compute_epoch_id(public), public, 0)) for subject, public in kept]


def draft_content(number: int) -> bytes:
    """A heart rate in `CONTENT_BYTES` bytes of FHIR JSON."""
    coding = {"system": "http://loinc.org", "code": "8867-4", "display": "Heart rate"}
    resource = {
        "resourceType": "Observation",
        "id": f"o{number}",
        "status": "final",
        "code": {"coding": [coding]},
        "effectiveDateTime": "2026-01-09T08:30:00Z",
        "valueQuantity": {"value": 60 + number % 60, "unit": "/min", "system": "http://unitsofmeasure.org"},
        "note": [{"text": ""}],
    }
    bare = json.dumps(resource, separators=(",", ":"))
    return bare.replace('"text":""', f'"text":"{"x" * (CONTENT_BYTES - len(bare))}"').encode()


def draft_event(number: int, patient: Patient) -> Care:
    """An event about a patient, to be sealed and signed."""
    cti = secrets.token_bytes(CTI_BYTES)
    return Care(patient.subject, _EVENT_TYPE, COMPARTMENT, draft_content(number), cti, content_type=_MEDIA_TYPE)
