"""What a Kafka record of the events topic holds, and where it belongs (ARCHITECTURE section 4).

Key: the subject's id as text. Value: deterministic CBOR `[statement, body | null]`, or with a third item, the proof,
when a node relays a network statement from partition 0 to another partition.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from carenet.encoding import cbor
from carenet.errors import EncodingError

MAX_RECORD_BYTES = 900 * 1024  # of the value; Kafka's own limit is 1 MiB with its framing
NETWORK_PARTITION = 0
_PLAIN_ITEMS, _RELAY_ITEMS, _PROOF_ITEMS = 2, 3, 4
_MAX_PATH = 64
_BYTES = 2  # the CBOR major type of byte strings
_PLAIN_HEAD, _NULL = b"\x82", b"\xf6"
_KEPT_PLACES = 20_000  # about 4 MB: hashing a key anew costs as much as reading its record


@dataclass(frozen=True, slots=True)
class RelayProof:
    """That partition 0 accepted a network statement.

    Attributes:
        entry: the entry's bytes in partition 0.
        index: its place in partition 0's log.
        path: the inclusion path to the root of `checkpoint`, 32 bytes each.
        checkpoint: a signed note of partition 0 that covers the entry, with a quorum's lines.
    """

    entry: bytes
    index: int
    path: tuple[bytes, ...]
    checkpoint: str


@dataclass(frozen=True, slots=True)
class RecordValue:
    """A record's value, taken apart but not read."""

    statement: bytes
    body: bytes | None
    proof: RelayProof | None = None


def encode_record(value: RecordValue) -> bytes:
    """The bytes of a record's value."""
    proof = value.proof
    if proof is not None:
        shown = [proof.entry, proof.index, list(proof.path), proof.checkpoint]
        return cbor.encode([value.statement, value.body, shown])
    # Without the general encoder, which takes twice as long: every event is written here.
    head = _PLAIN_HEAD + cbor.encode_head(_BYTES, len(value.statement)) + value.statement
    return head + _NULL if value.body is None else head + cbor.encode_head(_BYTES, len(value.body)) + value.body


def decode_record(data: bytes) -> RecordValue:
    """Take a record's value apart.

    Raises:
        EncodingError: not deterministic CBOR of the shape above. The caller checks the size first.
    """
    items = cbor.decode(data)
    if not isinstance(items, list) or len(items) not in {_PLAIN_ITEMS, _RELAY_ITEMS}:
        raise EncodingError("a record is [statement, body] or [statement, body, proof]")
    statement, body = items[:2]
    if not isinstance(statement, bytes) or not (body is None or isinstance(body, bytes)):
        raise EncodingError("a record's statement is bytes, its body bytes or null")
    proof = _decode_proof(items[2]) if len(items) == _RELAY_ITEMS else None
    return RecordValue(statement, body, proof)


def _decode_proof(items: Any) -> RelayProof:
    if not isinstance(items, list) or len(items) != _PROOF_ITEMS:
        raise EncodingError("a relay's proof is [entry, index, path, checkpoint]")
    entry, index, path, checkpoint = items
    if not isinstance(entry, bytes) or not isinstance(checkpoint, str) or not isinstance(path, list):
        raise EncodingError("a relay's proof is [bytes, integer, array, text]")
    if not isinstance(index, int) or isinstance(index, bool) or index < 0 or len(path) > _MAX_PATH:
        raise EncodingError("a relay's index is not negative and its path has at most 64 hashes")
    if not all(isinstance(step, bytes) for step in path):
        raise EncodingError("a relay's path is an array of bytes")
    return RelayProof(entry, index, tuple(path), checkpoint)


@lru_cache(maxsize=_KEPT_PLACES)
def partition_of(subject_key: str, network_key: str, partitions: int) -> int:
    """The partition of a subject: murmur2 as Kafka's clients compute it, but 0 for the network's own subject.

    Args:
        subject_key: the subject's id as text, which is the record's key.
        network_key: the network's id as text.
        partitions: the topic's partition count.
    """
    if subject_key == network_key:
        return NETWORK_PARTITION
    return (murmur2(subject_key.encode()) & 0x7FFFFFFF) % partitions


def murmur2(data: bytes) -> int:
    """Kafka's murmur2 hash with seed 0x9747b28c, as an unsigned 32-bit integer."""
    mask, m = 0xFFFFFFFF, 0x5BD1E995
    h = (0x9747B28C ^ len(data)) & mask
    whole = len(data) & ~3
    for at in range(0, whole, 4):
        k = (int.from_bytes(data[at : at + 4], "little") * m) & mask
        k = ((k ^ (k >> 24)) * m) & mask
        h = ((h * m) & mask) ^ k
    if whole < len(data):
        h = ((h ^ int.from_bytes(data[whole:], "little")) * m) & mask
    h = ((h ^ (h >> 13)) * m) & mask
    return h ^ (h >> 15)
