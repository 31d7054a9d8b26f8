"""The records of a node's own entries topic: `[1, partition, index, entry, statement]`, key = the subject's id as text.

The node publishes every accepted statement there after its commit (at least once, in order within a partition), and
its stream processors read it. Bodies stay in PostgreSQL: an erased body must be erased in one place only.
"""

from __future__ import annotations

from dataclasses import dataclass

from carenet.encoding import cbor
from carenet.errors import EncodingError

FEED_VERSION = 1
_ITEMS = 5
_UNSIGNED, _BYTES = 0, 2  # CBOR major types
_HEAD = b"\x85\x01"  # array of five, version 1


@dataclass(frozen=True, slots=True)
class FeedRecord:
    """An accepted statement on its way to the stream processors.

    Attributes:
        partition: the log.
        index: its place in that log.
        entry: the entry's bytes.
        statement: the statement's bytes.
    """

    partition: int
    index: int
    entry: bytes
    statement: bytes

    def encode(self) -> bytes:
        """The record's value: `cbor.encode` of its list, written out because it is made of every entry."""
        return b"".join(
            (
                _HEAD,
                cbor.encode_head(_UNSIGNED, self.partition),
                cbor.encode_head(_UNSIGNED, self.index),
                cbor.encode_head(_BYTES, len(self.entry)),
                self.entry,
                cbor.encode_head(_BYTES, len(self.statement)),
                self.statement,
            )
        )


def decode_feed_record(data: bytes) -> FeedRecord:
    """Read a record's value.

    Raises:
        EncodingError: not deterministic CBOR of that shape, or another version.
    """
    items = cbor.decode(data)
    if not isinstance(items, list) or len(items) != _ITEMS:
        raise EncodingError("a feed record is an array of five")
    version, partition, index, entry, statement = items
    if not (_is_count(version) and version == FEED_VERSION):
        raise EncodingError(f"a feed record's version is {FEED_VERSION}")
    if not (_is_count(partition) and _is_count(index) and isinstance(entry, bytes) and isinstance(statement, bytes)):
        raise EncodingError("a feed record holds two numbers and two byte strings")
    return FeedRecord(partition, index, entry, statement)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
