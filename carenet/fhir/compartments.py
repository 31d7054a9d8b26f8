"""Which compartment and which event type a FHIR R4 resource type has; the table itself is `compartments.toml`.

>>> compartment_of("AllergyIntolerance"), event_type_of("Observation")
('medication', 'care.observation')
"""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files

from carenet.errors import ResourceError

COMPARTMENTS = ("clinical", "medication", "identity")

_REFERENCE = "reference"


def compartment_of(resource_type: str) -> str:
    """The compartment that a resource of this type is sealed into: one of `COMPARTMENTS`.

    Args:
        resource_type: as in `resourceType`, exactly so written.

    Raises:
        ResourceError: the table does not list the type.
    """
    compartment = _load_compartments().get(resource_type)
    if compartment is None:
        raise ResourceError("resourceType is none that compartments.toml lists")
    return compartment


def event_type_of(resource_type: str) -> str:
    """The event type of a care statement with this resource: `care.` and the type in lower case.

    Raises:
        ResourceError: the table does not list the type.
    """
    compartment_of(resource_type)
    return f"care.{resource_type.lower()}"


def is_reference_type(resource_type: str) -> bool:
    """Whether the type may stand in a bundle without any patient (hospitals, practitioners, catalogues)."""
    return resource_type in _load_reference_types()


@cache
def _load_table() -> dict[str, dict[str, list[str]]]:
    return tomllib.loads(files("carenet.fhir").joinpath("compartments.toml").read_text("utf-8"))


@cache
def _load_compartments() -> dict[str, str]:
    table = _load_table()
    return {name: compartment for compartment in COMPARTMENTS for name in table[compartment]["types"]}


@cache
def _load_reference_types() -> frozenset[str]:
    return frozenset(_load_table()[_REFERENCE]["types"])
