"""The references inside a resource, and the names by which others refer to it (FHIR R4 sections 2.3.0 and 2.36.4.1)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

# Top-level elements that say whom a resource is about, over all R4 types that have one. `subscriber` and `focus` are
# not among them: they may name a parent.
_SUBJECTS = ("subject", "patient", "beneficiary", "individual", "candidate", "for")

_VERSION = re.compile(r"/_history/[^/]*\Z")
_TYPED_END = re.compile(r"(?:\A|/)([A-Z][A-Za-z]{1,63}/[A-Za-z0-9.-]{1,64})\Z")
_CONDITIONAL = re.compile(r"[A-Z][A-Za-z]{1,63}\?")
_RELATIVE = re.compile(r"([A-Z][A-Za-z]{1,63})/")


def collect_references(resource: Mapping[str, Any]) -> Iterator[str]:
    """Every `reference` of a resource at any depth, contained resources included, without its version."""
    pending: list[Any] = [resource]
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            target = value.get("reference")
            if isinstance(target, str):
                yield strip_version(target)
            pending.extend(value.values())
        elif isinstance(value, list):
            pending.extend(value)


def collect_subjects(resource: Mapping[str, Any]) -> Iterator[str]:
    """The references that say whom a resource is about, without their version."""
    for name in _SUBJECTS:
        value = resource.get(name)
        for item in value if isinstance(value, list) else [value]:
            target = item.get("reference") if isinstance(item, dict) else None
            if isinstance(target, str):
                yield strip_version(target)


def names_of(resource_type: str, resource_id: str | None, full_url: str | None) -> frozenset[str]:
    """All that a reference to this resource may say: its fullUrl, and `Type/id`."""
    names = set()
    if resource_id is not None:
        names.add(f"{resource_type}/{resource_id}")
    if full_url is not None:
        names.add(strip_version(full_url))
        typed = _TYPED_END.search(full_url)
        if typed:
            names.add(typed[1])
    return frozenset(names)


def strip_version(reference: str) -> str:
    """The reference without `/_history/…`."""
    return _VERSION.sub("", reference)


def is_self_contained(reference: str) -> bool:
    """Whether a reference needs nothing else: contained (`#x`), or conditional (`Type?identifier=…`)."""
    return reference.startswith("#") or _CONDITIONAL.match(reference) is not None


def target_type(reference: str) -> str | None:
    """The resource type that a reference names, or None if it does not (urn:uuid)."""
    typed = _TYPED_END.search(reference)
    if typed:
        return typed[1].partition("/")[0]
    relative = _RELATIVE.match(reference)
    return relative[1] if relative else None
