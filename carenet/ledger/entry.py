"""An accepted statement's place: its sequence number in its subject's chain, and (by position) its index in the log.

An entry's bytes are a Merkle leaf. They are deterministic CBOR, `[1, subject, seq, prev, statement digest, log time]`,
and `prev` is the leaf hash of the subject's previous entry, so chain and tree share one hash. Whether `prev` is the
right one is the fold's to know.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from carenet.encoding import cbor
from carenet.encoding.ids import ID_BYTES
from carenet.errors import EncodingError
from carenet.ledger.hashes import HASH_BYTES, hash_leaf

ENTRY_VERSION = 1
NO_PREV = bytes(HASH_BYTES)  # what the first entry of a subject has for `prev`

_UNSIGNED = 0
_ITEMS = 6
_HEAD = b"\x86\x01\x58\x20"  # array of 6, version 1, byte string of 32
_BYTES_32 = b"\x58\x20"
# Nearly every entry: seq below 2**32, log time from 2**32 ms on, which was in 1970.
_USUAL = re.compile(
    rb"\x86\x01\x58\x20(.{32})" + cbor.UINT32 + rb"\x58\x20(.{32})\x58\x20(.{32})\x1b(?!\x00{4})(\x00[\x00-\x1f].{6})",
    re.DOTALL,
)


@dataclass(slots=True, unsafe_hash=True)  # never changed; not frozen, which costs a microsecond for each entry
class Entry:
    """One accepted statement's entry.

    Attributes:
        subject: 32 bytes, whose chain this is.
        seq: place in that chain, 0 for the first.
        prev: leaf hash of the chain's previous entry, 32 bytes; `NO_PREV` at seq 0 and only there.
        digest: SHA-256 of the encoded statement, 32 bytes.
        log_time_ms: the partition's time at acceptance, milliseconds since 1970 UTC.

    Raises:
        ValueError: a field of another length or outside its range.
    """

    subject: bytes
    seq: int
    prev: bytes
    digest: bytes
    log_time_ms: int

    def __post_init__(self) -> None:
        if not len(self.subject) == ID_BYTES == len(self.prev) == len(self.digest):
            raise ValueError("an entry's subject, prev and digest have 32 bytes each")
        if not (0 <= self.seq <= cbor.MAX_INT and 0 <= self.log_time_ms <= cbor.MAX_INT):
            raise ValueError("an entry's seq and log time lie within 0..2**53 - 1")
        if (self.seq == 0) != (self.prev == NO_PREV):
            raise ValueError("an entry has an empty prev at seq 0 and only there")

    def encode(self) -> bytes:
        """The entry's bytes: exactly `cbor.encode` of its list, written out because the fold is in a hurry."""
        return b"".join(
            (
                _HEAD,
                self.subject,
                cbor.encode_head(_UNSIGNED, self.seq),
                _BYTES_32,
                self.prev,
                _BYTES_32,
                self.digest,
                cbor.encode_head(_UNSIGNED, self.log_time_ms),
            )
        )

    @property
    def leaf_hash(self) -> bytes:
        """The hash of `encode()`: the tree's leaf and the next entry's `prev`. Computed anew at each use."""
        return hash_leaf(self.encode())


def decode_entry(data: bytes) -> Entry:
    """Read an entry's bytes.

    Raises:
        EncodingError: not deterministic CBOR, another version, or a field that breaks a rule of `Entry`.
    """
    found = _USUAL.fullmatch(data)
    if found is None:
        return _decode_unusual(data)
    subject, seq, prev, digest, log_time_ms = found.groups()
    return _make(subject, cbor.read_uint32(seq), prev, digest, int.from_bytes(log_time_ms, "big"))


def _decode_unusual(data: bytes) -> Entry:
    """Read it by the general codec, which alone decides what is right and tells what is wrong."""
    items = cbor.decode(data)
    if not isinstance(items, list) or len(items) != _ITEMS:
        raise EncodingError("an entry is an array of six")
    version, subject, seq, prev, digest, log_time_ms = items
    if not _is_int(version) or version != ENTRY_VERSION:
        raise EncodingError(f"an entry's version is {ENTRY_VERSION}")
    if not (isinstance(subject, bytes) and isinstance(prev, bytes) and isinstance(digest, bytes)):
        raise EncodingError("an entry's subject, prev and digest are byte strings")
    if not (_is_int(seq) and _is_int(log_time_ms)):
        raise EncodingError("an entry's seq and log time are integers")
    return _make(subject, seq, prev, digest, log_time_ms)


def _make(subject: bytes, seq: int, prev: bytes, digest: bytes, log_time_ms: int) -> Entry:
    try:
        return Entry(subject, seq, prev, digest, log_time_ms)
    except ValueError as exc:
        raise EncodingError(str(exc)) from exc


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)  # True == 1, but is no 1
