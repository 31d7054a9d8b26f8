"""Whose each resource is, and whether a document refers outside itself.

The danger here is a resource in another patient's chart, so nothing is guessed: a document with one Patient is that
patient's, and none of its resources may be about somebody else; with several, each resource must say whose it is by
its subject, or by referring only to one patient's resources; otherwise the document is refused.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from carenet.encoding.ids import sha256
from carenet.errors import ResourceError
from carenet.fhir.documents import Document, Item
from carenet.fhir.references import is_self_contained, target_type
from carenet.fhir.resources import PatientBundle, ReferenceData


@dataclass(frozen=True, slots=True)
class Rules:
    """What the caller allows.

    Attributes:
        allow_external: references that resolve nowhere are no reason to refuse.
        of_patient: the caller says whose the source is, so it needs no Patient resource.
        known: names of reference data beside the document.
    """

    allow_external: bool = False
    of_patient: bool = False
    known: AbstractSet[str] = frozenset()


def group_document(document: Document, rules: Rules) -> list[PatientBundle | ReferenceData]:
    """Split a document into its patients' bundles, reference data first.

    Raises:
        ResourceError: no patient, a resource that does not say whose it is or is about somebody else, or a reference
            that leaves the document.
    """
    items = document.items
    patients = [item for item in items if item.is_patient]
    if not patients and items and all(item.is_reference for item in items) and not rules.of_patient:
        _check_references(document, rules, frozenset())
        return [ReferenceData(document.source, tuple(item.resource for item in items))]
    if len(patients) > 1:
        if rules.of_patient:
            raise ResourceError(f"{document.source}: {len(patients)} patients where one was named")
        _check_references(document, rules, frozenset())
        return _split(document, patients)
    if not items or not (patients or rules.of_patient):
        raise ResourceError(f"{document.source}: no patient: neither a Patient resource nor only reference data")
    subject = _check_subjects(document, bool(patients))
    _check_references(document, rules, frozenset() if patients else subject)
    return [_make_bundle(document, items)]


def _check_subjects(document: Document, has_patient: bool) -> frozenset[str]:
    """Refuse resources about somebody else; without a Patient resource all must name one and the same patient."""
    names = _names(document.items)
    outside: set[str] = set()
    for item in document.items:
        outside.update(_outside_patients(item, names))
        if outside and (has_patient or len(outside) > 1):
            raise _fail(document, item, "is about another patient than the rest")
    return frozenset(outside)


def _outside_patients(item: Item, names: Container[str]) -> list[str]:
    """Subjects that are, or may be, patients whom the document does not hold."""
    return [
        subject
        for subject in item.subjects
        if subject not in names and not is_self_contained(subject) and target_type(subject) in {None, "Patient"}
    ]


def _check_references(document: Document, rules: Rules, also: frozenset[str]) -> None:
    if rules.allow_external or not document.is_closed:
        return
    names = _names(document.items)
    for item in document.items:
        for reference in item.references - names - also:
            if reference in rules.known or is_self_contained(reference):
                continue
            kind = target_type(reference) or "a resource"
            raise _fail(document, item, f"refers outside the bundle, to {kind}; --allow-external accepts that")


def _split(document: Document, patients: list[Item]) -> list[PatientBundle | ReferenceData]:
    owners = _find_owners(document)
    shared = tuple(item.resource for i, item in enumerate(document.items) if i not in owners)
    groups: list[PatientBundle | ReferenceData] = [ReferenceData(document.source, shared)] if shared else []
    held: dict[int, list[Item]] = {}
    for i, item in enumerate(document.items):
        if i in owners:
            held.setdefault(owners[i], []).append(item)
    if len(held) != len(patients):
        raise ResourceError(f"{document.source}: two Patient resources have the same name")
    groups.extend(_make_bundle(document, held[owner]) for owner in sorted(held))
    return groups


def _find_owners(document: Document) -> dict[int, int]:
    """For each item that is a patient's: the index of that Patient."""
    items = document.items
    index = {name: i for i, item in reversed(list(enumerate(items))) for name in item.names}
    owners: dict[int, int] = {i: _first_index(item, index, i) for i, item in enumerate(items) if item.is_patient}
    for i, item in enumerate(items):
        if item.is_patient:
            continue
        named = {index[subject] for subject in item.subjects if subject in index and items[index[subject]].is_patient}
        if len(named) > 1 or _outside_patients(item, index):
            raise _fail(document, item, "is about several patients, or about one outside")
        if named:
            owners[i] = named.pop()
    pending = [i for i, item in enumerate(items) if i not in owners and not item.is_reference]
    _follow_references(document, pending, index, owners)
    return owners


def _first_index(item: Item, index: dict[str, int], default: int) -> int:
    return min((index[name] for name in item.names), default=default)


def _follow_references(document: Document, pending: list[int], index: dict[str, int], owners: dict[int, int]) -> None:
    """An item without a subject belongs to the one patient whose resources it refers to."""

    def referred(i: int) -> set[int]:
        targets = (index[reference] for reference in document.items[i].references if reference in index)
        return {owners[target] for target in targets if target in owners and target != i}

    left = pending
    while left:
        found = {i: referred(i).pop() for i in left if len(referred(i)) == 1}
        owners.update(found)
        if not found:
            break
        left = [i for i in left if i not in found]
    for i in pending:
        if i in left or len(referred(i)) != 1:  # a later find may show that the first one was not the only one
            raise _fail(document, document.items[i], "does not say which of the patients it is about")


def _make_bundle(document: Document, items: Iterable[Item]) -> PatientBundle:
    ordered = sorted(items, key=lambda item: not item.is_patient)  # stable: the Patient first, the rest as it came
    resources = tuple(item.resource for item in ordered)
    patients = tuple(item.resource for item in ordered if item.is_patient)
    identity = document.identifier or (patients[0].full_url if patients else None)
    if identity is None:
        bodies = b"".join(sha256(resource.body) for resource in resources)
        identity = f"sha256:{sha256(bodies).hex()}"  # nothing names it, so its content does
    return PatientBundle(document.source, identity, patients, resources)


def _names(items: Iterable[Item]) -> frozenset[str]:
    return frozenset().union(*(item.names for item in items))


def _fail(document: Document, item: Item, rule: str) -> ResourceError:
    return ResourceError(f"{document.source}: {item.resource.position} ({item.resource.type}) {rule}")
