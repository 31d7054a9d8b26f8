"""What the events of a bench say: a FHIR Observation of a fixed length, and where it goes."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass, field, replace
from pathlib import Path

from carenet.encoding.cose import EDDSA
from carenet.encoding.ids import decode_id, encode_id
from carenet.sealing.identity import Identity
from carenet.statements.header import ED25519_OVER_BATCH, Header
from carenet.statements.keys import compute_epoch_id
from carenet.statements.statement import compute_tag

CONTENT_BYTES = 600  # with its length and Padmé's zeros 608, and 1,744 once it is sealed
COMPARTMENT = "clinical"

_EVENT_TYPE, _MEDIA_TYPE = "care.observation", "application/fhir+json"


@dataclass(frozen=True, slots=True)
class Patient:
    """A patient and the epoch that its events are sealed to.

    Attributes:
        subject: 32 bytes.
        public: the epoch's public key, 1,216 bytes.
        epoch: its id, 16 bytes.
    """

    subject: bytes
    public: bytes = field(repr=False)
    epoch: bytes


def write_patients(path: Path, patients: list[tuple[bytes, bytes]]) -> None:
    """Keep subjects and public keys for the processes that publish."""
    path.write_text(json.dumps([[encode_id(subject), public.hex()] for subject, public in patients]), encoding="utf-8")


def read_patients(path: Path) -> list[Patient]:
    """The patients that were kept."""
    kept = [(decode_id(text), bytes.fromhex(public)) for text, public in json.loads(path.read_text(encoding="utf-8"))]
    return [Patient(subject, public, compute_epoch_id(public)) for subject, public in kept]


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


def draft_header(patient: Patient, identity: Identity, content: bytes, now_s: int, *, in_batch: bool = False) -> Header:
    """The header of an event, whole with the tag by which its publisher knows it again.

    Args:
        patient: whom it is about.
        identity: who says it.
        content: what will be sealed.
        now_s: seconds since 1970.
        in_batch: whether it will be signed as one of a batch.
    """
    bare = Header(
        network=identity.network,
        type=_EVENT_TYPE,
        issuer=identity.id,
        subject=patient.subject,
        iat_s=now_s,
        cti=secrets.token_bytes(16),
        kid=identity.kid,
        content_type=_MEDIA_TYPE,
        compartment=COMPARTMENT,
        epoch=patient.epoch,
        alg=ED25519_OVER_BATCH if in_batch else EDDSA,
    )
    return replace(bare, tag=compute_tag(identity.tag_secret, bare, content))
