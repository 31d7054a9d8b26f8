"""The records of a node's own entries topic: `[2, partition, [[index, entry, statement], …]]`, key = the subject's id.

The node publishes every accepted statement there after its commit (at least once), and its stream processors read it.
A record holds what was accepted of one subject at about the same time, in log order: one entry when little happens,
many under load, so that a stream processor's cost for a record does not fall on each entry.
Bodies stay in PostgreSQL: an erased body must be erased in one place only.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from carenet.bus.publishing import Record
from carenet.encoding import cbor
from carenet.encoding.ids import encode_id
from carenet.errors import EncodingError

FEED_VERSION = 2
_ITEMS, _ENTRY_ITEMS = 3, 3
_UNSIGNED, _BYTES, _ARRAY = 0, 2, 4  # CBOR major types
_HEAD = b"\x83\x02"  # array of three, version 2
_ENTRY_HEAD = b"\x83"
# What nearly every record and entry begins with: numbers below 2**32, an entry of 24 to 255 bytes.
_USUAL_RECORD = re.compile(_HEAD + cbor.UINT32 + rb"(?:([\x81-\x97])|\x98([\x18-\xff]))", re.DOTALL)
_USUAL_ENTRY = re.compile(_ENTRY_HEAD + cbor.UINT32 + rb"\x58([\x18-\xff])", re.DOTALL)
_USUAL_STATEMENT = b"\x59"  # the initial byte of a byte string of 256 to 65,535 bytes
_LONG = 256  # below it a byte string's length stands in one byte
_MOST_ENTRIES = 200  # of a record: its items stay below `cbor.MAX_ITEMS`
_MOST_BYTES = 256 * 1024  # of its statements, but for a single larger one; Kafka takes 1 MiB


@dataclass(slots=True)
class FeedEntry:
    """An accepted statement on its way to the stream processors; never changed.

    Attributes:
        index: its place in the log.
        entry: the entry's bytes.
        statement: the statement's bytes.
    """

    index: int
    entry: bytes
    statement: bytes


@dataclass(slots=True)
class FeedRecord:
    """Entries of one subject, in log order; never changed.

    Attributes:
        partition: the log.
        entries: at least one.
    """

    partition: int
    entries: list[FeedEntry]

    def encode(self) -> bytes:
        """The record's value: `cbor.encode` of its list, written out because it holds every entry."""
        parts = [
            _HEAD,
            cbor.encode_head(_UNSIGNED, self.partition),
            cbor.encode_head(_ARRAY, len(self.entries)),
        ]
        for each in self.entries:
            parts += (
                _ENTRY_HEAD,
                cbor.encode_head(_UNSIGNED, each.index),
                cbor.encode_head(_BYTES, len(each.entry)),
                each.entry,
                cbor.encode_head(_BYTES, len(each.statement)),
                each.statement,
            )
        return b"".join(parts)


def build_feed_records(partition: int, entries: Iterable[tuple[bytes, FeedEntry]]) -> Iterator[Record]:
    """Put what was accepted in one partition into as few records as may be, a subject's in log order.

    Args:
        partition: the log.
        entries: (subject, entry), in log order.
    """
    by_subject: dict[bytes, list[FeedEntry]] = {}
    for subject, entry in entries:
        by_subject.setdefault(subject, []).append(entry)
    for subject, of_subject in by_subject.items():
        key = encode_id(subject).encode()
        for some in _cut(of_subject):
            yield Record(key, FeedRecord(partition, some).encode())


def _cut(entries: list[FeedEntry]) -> Iterator[list[FeedEntry]]:
    some: list[FeedEntry] = []
    size = 0
    for each in entries:
        if some and (len(some) == _MOST_ENTRIES or size + len(each.statement) > _MOST_BYTES):
            yield some
            some, size = [], 0
        some.append(each)
        size += len(each.statement)
    if some:
        yield some


def decode_feed_record(data: bytes) -> FeedRecord:
    """Read a record's value.

    Raises:
        EncodingError: not deterministic CBOR of that shape, or another version.
    """
    return _decode_usual(data) or _decode_unusual(data)


def _decode_usual(data: bytes) -> FeedRecord | None:
    """Read a record of entries as they nearly all are, in a third of the time; None if it is any other."""
    head = _USUAL_RECORD.match(data)
    if head is None:
        return None
    partition, few, many = head.groups()
    at, entries = head.end(), []
    for _ in range(many[0] if many else few[0] & 0x1F):
        found = _USUAL_ENTRY.match(data, at)
        if found is None:
            return None
        index, length = found.groups()
        entry_at = found.end()
        entry_end = entry_at + length[0]
        statement_at = entry_end + 3
        at = statement_at + int.from_bytes(data[entry_end + 1 : statement_at], "big")
        if data[entry_end : entry_end + 1] != _USUAL_STATEMENT or at - statement_at < _LONG:
            return None
        entries.append(FeedEntry(cbor.read_uint32(index), data[entry_at:entry_end], data[statement_at:at]))
    return FeedRecord(cbor.read_uint32(partition), entries) if at == len(data) else None


def _decode_unusual(data: bytes) -> FeedRecord:
    """Read it by the general codec, which alone decides what is right and tells what is wrong."""
    items = cbor.decode(data)
    if not isinstance(items, list) or len(items) != _ITEMS:
        raise EncodingError("a feed record is an array of three")
    version, partition, entries = items
    if not (_is_count(version) and version == FEED_VERSION):
        raise EncodingError(f"a feed record's version is {FEED_VERSION}")
    if not (_is_count(partition) and isinstance(entries, list) and entries):
        raise EncodingError("a feed record holds a partition and at least one entry")
    return FeedRecord(partition, [_read_entry(each) for each in entries])


def _read_entry(value: object) -> FeedEntry:
    if not isinstance(value, list) or len(value) != _ENTRY_ITEMS:
        raise EncodingError("an entry of a feed record is an array of three")
    index, entry, statement = value
    if not (_is_count(index) and isinstance(entry, bytes) and isinstance(statement, bytes)):
        raise EncodingError("an entry of a feed record holds a number and two byte strings")
    return FeedEntry(index, entry, statement)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
