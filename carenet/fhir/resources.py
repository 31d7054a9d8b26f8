"""What reading yields: resources in the bytes that came, grouped by patient, and reference data."""

from __future__ import annotations

from dataclasses import dataclass, field

MAX_BODY_BYTES = 800 * 1024  # a Kafka record is at most 900 KiB after sealing, padding (12 %) and signing


@dataclass(frozen=True, slots=True)
class Resource:
    """One FHIR resource, unparsed.

    Attributes:
        type: its `resourceType`; the compartment table lists it.
        full_url: the entry's `fullUrl`, else `Type/id`, else None.
        body: the resource's bytes exactly as they stand in the source (UTF-8); at most `MAX_BODY_BYTES`.
        claimed_time: the clinical time that it states, ms since 1970, or None.
        position: where it stands, for people: `entry 3`, `line 7`.
        place: what names it within its source for `derive_cti`: the fullUrl if it is unique there, else the position.
    """

    type: str
    full_url: str | None
    body: bytes = field(repr=False)
    claimed_time: int | None
    position: str
    place: str


@dataclass(frozen=True, slots=True)
class PatientBundle:
    """Everything that one source says about one patient; each resource becomes one event.

    Attributes:
        source: the file's name, for people.
        identity: what names the bundle for `derive_cti`: its identifier, else the Patient's fullUrl, else a hash.
        patients: the Patient resource; empty only where the caller said whose the source is (`of_patient`).
        resources: all resources in source order, the Patient (first) among them.
    """

    source: str
    identity: str
    patients: tuple[Resource, ...]
    resources: tuple[Resource, ...]

    def __repr__(self) -> str:
        return f"PatientBundle({len(self.resources)} resources, {len(self.patients)} patient)"


@dataclass(frozen=True, slots=True)
class ReferenceData:
    """Hospitals, practitioners and catalogues that patients' bundles refer to; about no patient, hence no event.

    Attributes:
        source: the file's name, for people.
        resources: what it holds, in source order.
    """

    source: str
    resources: tuple[Resource, ...]

    def __repr__(self) -> str:
        return f"ReferenceData({len(self.resources)} resources)"
