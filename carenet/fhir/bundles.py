"""Real FHIR R4 input, read lazily: `.json`, `.ndjson`, either as `.gz`, a folder of them, or a byte stream.

    for group in read_source(Path("bundles/")):
        match group:
            case ReferenceData(): ...                 # hospitals and practitioners: said to be so, no events
            case PatientBundle(): ...                 # each of its resources is one event

A folder is read in a stable order: what holds no patient first, since patients' bundles may refer to it; then its
NDJSON files, which together are one bulk export; then one patient's bundle after the other. An error in one file ends
the reading; what was yielded before stands, and reading again yields the same places, hence the same ctis.
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Iterable, Iterator
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import orjson

from carenet.errors import ResourceError
from carenet.fhir.documents import Document, join_lines, read_document
from carenet.fhir.grouping import Rules, group_document
from carenet.fhir.resources import PatientBundle, ReferenceData

MAX_SOURCE_BYTES = 256 * 1024 * 1024  # of one file, unpacked; it is held in memory
SUFFIXES = (".json", ".ndjson", ".json.gz", ".ndjson.gz")

_GZIP_MAGIC = b"\x1f\x8b"
_BOM = "\ufeff"
_PATIENT = re.compile(rb'"resourceType"\s*:\s*"Patient"')

Groups = Iterator[PatientBundle | ReferenceData]


def read_source(source: Path | str | BinaryIO, *, allow_external: bool = False, of_patient: bool = False) -> Groups:
    """Read patients' bundles and reference data.

    Args:
        source: a file, a folder (searched to any depth), or an open byte stream.
        allow_external: accept references that resolve neither inside the bundle nor in reference data beside it.
        of_patient: the caller says whose the source is: no Patient resource is needed, all must be one patient's.

    Raises:
        ResourceError: while iterating: not readable, not JSON, not FHIR, no patient, truncated, too large, or
            referring outside; names the file and the place.
    """
    if not isinstance(source, str | Path):
        return _read_stream(source, Rules(allow_external, of_patient))
    path = Path(source)
    if path.is_dir():
        if of_patient:
            raise ResourceError(f"{path.name}: a folder may hold several patients: name the files of this one")
        return _read_folder(path, allow_external)
    return _read_file(path, path.name, Rules(allow_external, of_patient))


def list_files(source: Path | str) -> list[Path]:
    """The files that `read_source` reads for a path, sorted; hidden ones and other suffixes are passed over.

    Raises:
        ResourceError: a folder without any.
    """
    path = Path(source)
    if not path.is_dir():
        return [path]
    found = sorted(
        child
        for child in path.rglob("*")
        if child.name.endswith(SUFFIXES) and child.is_file() and not _is_hidden(child.relative_to(path))
    )
    if not found:
        raise ResourceError(f"{path.name}: no {', '.join(SUFFIXES)} in this folder")
    return found


def count_resources(source: Path | str) -> int:
    """How many resources a path holds, reference data included, for a progress bar.

    Only as exact as the input is right: what is not JSON counts as none, and `read_source` says what is wrong with it.

    Raises:
        ResourceError: a file that cannot be read or unpacked.
    """
    total = 0
    for path in list_files(source):
        data = _read_bytes(path, path.name)
        pieces = data.split(b"\n") if _is_ndjson(path.name, data) else [data]
        total += sum(_count_in(piece) for piece in pieces)
    return total


def _read_file(path: Path, name: str, rules: Rules) -> Groups:
    yield from _group_all(_parse(name, _read_bytes(path, name)), rules)


def _read_stream(stream: BinaryIO, rules: Rules) -> Groups:
    name = "standard input"
    yield from _group_all(_parse(name, _unpack(name, _read_limited(name, stream))), rules)


def _read_folder(folder: Path, allow_external: bool) -> Groups:
    early: list[Document] = []  # without a patient: reference data, or refused before anything is yielded
    late: list[tuple[Path, str]] = []  # read again when their turn comes, so that one bundle at a time is held
    lines: list[Document] = []
    for path in list_files(folder):
        name = path.relative_to(folder).as_posix()
        data = _read_bytes(path, name)
        if _is_ndjson(name, data):
            lines.extend(_parse_lines(name, data))
        elif _PATIENT.search(data):
            late.append((path, name))
        else:
            early.extend(_parse(name, data))
    early.extend(_join(lines, folder.name))
    names = (item.names for document in early for item in document.items if item.is_reference)
    rules = Rules(allow_external, known=frozenset().union(*names))
    groups = list(_group_all(early, rules))
    yield from (group for group in groups if isinstance(group, ReferenceData))
    yield from (group for group in groups if isinstance(group, PatientBundle))
    for path, name in late:
        yield from _read_file(path, name, rules)


def _group_all(documents: Iterable[Document], rules: Rules) -> Groups:
    for document in documents:
        yield from group_document(document, rules)


def _parse(name: str, data: bytes) -> list[Document]:
    if _is_ndjson(name, data):
        return _join(_parse_lines(name, data), name)
    return [read_document(_decode(name, data), name)]


def _parse_lines(name: str, data: bytes) -> list[Document]:
    return [
        read_document(_decode(name, line, number), name, f"line {number}", number)
        for number, line in enumerate(data.split(b"\n"), 1)
        if line.strip()
    ]


def _join(documents: list[Document], name: str) -> list[Document]:
    """Bundles on lines stay each their own; resources on lines become one document, to be grouped by reference."""
    bundles = [document for document in documents if document.is_closed]
    singles = [document for document in documents if not document.is_closed]
    return [*bundles, join_lines(singles, name)] if singles else bundles


def _is_ndjson(name: str, data: bytes) -> bool:
    if name.endswith((".ndjson", ".ndjson.gz")):
        return True
    if name.endswith((".json", ".json.gz")):
        return False
    first, _, rest = data.strip().partition(b"\n")  # a stream: NDJSON if its first line is JSON, and not all of it
    try:
        orjson.loads(first)
    except orjson.JSONDecodeError:
        return False
    return bool(rest)


def _decode(name: str, data: bytes, first_line: int = 1) -> str:
    try:
        return data.decode().removeprefix(_BOM)
    except UnicodeDecodeError as exc:
        line = first_line + data.count(b"\n", 0, exc.start)
        raise ResourceError(f"{name}: not UTF-8 at line {line}") from None


def _read_bytes(path: Path, name: str) -> bytes:
    try:
        with path.open("rb") as stream:
            data = _read_limited(name, stream)
    except OSError as exc:
        raise ResourceError(f"{name}: cannot be read: {exc.strerror}") from exc
    if name.endswith(".gz") and not data.startswith(_GZIP_MAGIC):
        raise ResourceError(f"{name}: not gzip")
    return _unpack(name, data)


def _read_limited(name: str, stream: BinaryIO | gzip.GzipFile) -> bytes:
    data = stream.read(MAX_SOURCE_BYTES + 1)
    if len(data) > MAX_SOURCE_BYTES:
        raise ResourceError(f"{name}: too large: at most {MAX_SOURCE_BYTES // 1024 // 1024} MiB, unpacked")
    return data


def _unpack(name: str, data: bytes) -> bytes:
    if not data.startswith(_GZIP_MAGIC):
        return data
    try:
        with gzip.GzipFile(fileobj=BytesIO(data)) as unpacked:
            return _read_limited(name, unpacked)
    except EOFError:
        raise ResourceError(f"{name}: truncated gzip") from None
    except (gzip.BadGzipFile, zlib.error):
        raise ResourceError(f"{name}: damaged gzip") from None


def _count_in(data: bytes) -> int:
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError:
        return 0
    if not isinstance(value, dict):
        return 0
    entries = value.get("entry")
    return len(entries) if value.get("resourceType") == "Bundle" and isinstance(entries, list) else 1


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)
