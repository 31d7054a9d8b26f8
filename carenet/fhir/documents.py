"""One JSON text into items: each resource cut out as it came, with what grouping needs to know about it.

Checks are structural: JSON, an object with a known `resourceType`, `id` a text, a size. Not done here: whose a
resource is, and whether its references resolve (`grouping`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from carenet.errors import ResourceError
from carenet.fhir.compartments import compartment_of, is_reference_type
from carenet.fhir.json_cursor import JsonCursor
from carenet.fhir.references import collect_references, collect_subjects, names_of
from carenet.fhir.resources import MAX_BODY_BYTES, Resource
from carenet.fhir.times import claimed_time_ms

_TYPE_NAME = re.compile(r"[A-Z][A-Za-z]{1,63}\Z")


@dataclass(frozen=True, slots=True)
class Item:
    """A resource and its links.

    Attributes:
        resource: the resource.
        names: what references to it may say.
        subjects: the references that say whom it is about.
        references: all its references.
    """

    resource: Resource
    names: frozenset[str]
    subjects: tuple[str, ...]
    references: frozenset[str]

    @property
    def is_patient(self) -> bool:
        """Whether it is the Patient itself."""
        return self.resource.type == "Patient"

    @property
    def is_reference(self) -> bool:
        """Whether it may stand without a patient."""
        return is_reference_type(self.resource.type)


@dataclass(frozen=True, slots=True)
class Document:
    """What one JSON text, or a run of NDJSON lines, holds.

    Attributes:
        source: the file's name, for people.
        identifier: the bundle's identifier as `system|value`, or None.
        items: its resources.
        is_closed: whether references must resolve (a bundle, NDJSON), or not (a resource on its own).
    """

    source: str
    identifier: str | None
    items: tuple[Item, ...]
    is_closed: bool


def read_document(text: str, source: str, position: str = "", first_line: int = 1) -> Document:
    """Read a Bundle, or a resource on its own.

    Args:
        text: the JSON.
        source: the file's name.
        position: where in the file the text stands (`line 7`), empty for the whole file.
        first_line: the line number of the text's first line.

    Raises:
        ResourceError: not JSON, not FHIR, an unknown resource type, or too large; names the file and the place.
    """
    outline = _read_outline(JsonCursor(text, source, first_line), _Where(source, position))
    if outline.resource_type == "Bundle":
        return Document(source, outline.identifier, tuple(_number_places(outline.items)), is_closed=True)
    cursor = JsonCursor(text, source, first_line)
    value, start, end = cursor.take_value()
    item = _make_item(value, text[start:end], None, _Where(source, position or "the resource"))
    return Document(source, None, (item,), is_closed=False)


def join_lines(documents: Iterable[Document], source: str) -> Document:
    """One document of resources that stood on lines of their own, in one file or in several of a folder."""
    items = (_name_file(item, document.source, source) for document in documents for item in document.items)
    return Document(source, None, tuple(_number_places(items)), is_closed=True)


def _name_file(item: Item, file: str, source: str) -> Item:
    if file == source:
        return item
    resource = item.resource
    position = f"{file} {resource.position}"
    place = position if resource.place == resource.position else resource.place
    return replace(item, resource=replace(resource, position=position, place=place))


@dataclass(frozen=True, slots=True)
class _Where:
    source: str
    position: str

    def fail(self, rule: str) -> ResourceError:
        return ResourceError(f"{self.source}: {self.position}: {rule}" if self.position else f"{self.source}: {rule}")

    def entry(self, index: int) -> _Where:
        prefix = f"{self.position} " if self.position else ""
        return _Where(self.source, f"{prefix}entry {index + 1}")


@dataclass(slots=True)
class _Outline:
    resource_type: object
    identifier: str | None
    items: list[Item]


def _read_outline(cursor: JsonCursor, where: _Where) -> _Outline:
    """The members of the document; entries of a Bundle are cut out on the way, whatever order the members have."""
    if not cursor.text.startswith("{", cursor.at):
        value_start = cursor.at
        cursor.take_value()  # broken JSON is told as such, with its place
        raise where.fail(f"not FHIR: the JSON at character {value_start + 1} is no object")
    outline = _Outline(None, None, [])
    entries_at = None
    for key in cursor.members():
        if key == "entry" and outline.resource_type in {None, "Bundle"} and cursor.text.startswith("[", cursor.at):
            entries_at = cursor.at
            outline.items = _read_entries(cursor, where) if outline.resource_type else _skip_value(cursor)
            continue
        value, _, _ = cursor.take_value()
        if key == "resourceType":
            outline.resource_type = value
        elif key == "identifier":
            outline.identifier = _read_identifier(value)
    cursor.expect_end()
    if not isinstance(outline.resource_type, str):
        raise where.fail("not FHIR: no resourceType")
    if outline.resource_type == "Bundle" and entries_at is not None and not outline.items:
        cursor.at = entries_at  # `entry` stood before `resourceType`
        outline.items = _read_entries(cursor, where)
    return outline


def _skip_value(cursor: JsonCursor) -> list[Item]:
    cursor.take_value()
    return []


def _read_identifier(value: object) -> str | None:
    if not isinstance(value, dict) or not isinstance(value.get("value"), str):
        return None
    system = value.get("system")
    return f"{system if isinstance(system, str) else ''}|{value['value']}"


def _read_entries(cursor: JsonCursor, where: _Where) -> list[Item]:
    items = []
    for index in cursor.items():
        item = _read_entry(cursor, where.entry(index))
        if item is not None:
            items.append(item)
    return items


def _read_entry(cursor: JsonCursor, where: _Where) -> Item | None:
    resource: tuple[Any, int, int] | None = None
    members: dict[str, Any] = {}
    if not cursor.text.startswith("{", cursor.at):
        raise where.fail("not FHIR: an entry is an object")
    for key in cursor.members():
        taken = cursor.take_value()
        if key == "resource":
            resource = taken
        else:
            members[key] = taken[0]
    search = members.get("search")
    if isinstance(search, dict) and search.get("mode") == "outcome":
        return None  # a server's remark on the search, about nobody
    if resource is None:
        raise where.fail("the entry has no resource")
    full_url = members.get("fullUrl")
    if full_url is not None and not isinstance(full_url, str):
        raise where.fail("fullUrl is text")
    value, start, end = resource
    return _make_item(value, cursor.text[start:end], full_url, where)


def _make_item(value: Any, text: str, full_url: str | None, where: _Where) -> Item:
    if not isinstance(value, dict):
        raise where.fail("not FHIR: a resource is an object")
    resource_type = _check_type(value.get("resourceType"), where)
    resource_id = value.get("id")
    if resource_id is not None and not isinstance(resource_id, str):
        raise where.fail(f"the id of this {resource_type} is not text")
    body = text.encode()  # cannot fail: the text was decoded from UTF-8
    if len(body) > MAX_BODY_BYTES:
        limit = MAX_BODY_BYTES // 1024
        raise where.fail(f"this {resource_type} is too large: {len(body) // 1024} KiB of at most {limit} KiB")
    url = full_url or (f"{resource_type}/{resource_id}" if resource_id else None)
    resource = Resource(resource_type, url, body, claimed_time_ms(value), where.position, url or where.position)
    return Item(
        resource,
        names_of(resource_type, resource_id, full_url),
        tuple(collect_subjects(value)),
        frozenset(collect_references(value)),
    )


def _check_type(resource_type: object, where: _Where) -> str:
    if not isinstance(resource_type, str) or not resource_type:
        raise where.fail("not FHIR: no resourceType")
    try:
        compartment_of(resource_type)
    except ResourceError as exc:
        # What stands there is shown only where it can be no more than a type's name.
        shown = f" ({resource_type})" if _TYPE_NAME.match(resource_type) else ""
        raise where.fail(f"{exc}{shown}") from None
    return resource_type


def _number_places(items: Iterable[Item]) -> list[Item]:
    """Give items whose fullUrl is not unique (versions in a history) their position as place: each has its own."""
    listed = list(items)
    uses = Counter(item.resource.place for item in listed)
    return [
        item
        if uses[item.resource.place] == 1
        else replace(item, resource=replace(item.resource, place=f"{item.resource.place} {item.resource.position}"))
        for item in listed
    ]
