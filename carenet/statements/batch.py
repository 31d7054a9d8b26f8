"""Ed25519 over a batch (alg -65537): one signature for up to 1,024 statements (ARCHITECTURE section 4).

The publisher builds an RFC 6962 tree over the Sig_structures of its statements and signs the root; each statement
carries the root's signature and, in its unprotected header, its place in the tree. A verifier

1. reads the place: 1 <= size <= 1024, 0 <= index < size, and a path of exactly the length that both call for, so that
   a statement has one form for each place (`read_place`, or `match_place` from bytes);
2. computes the root from the leaf and the path, which needs no key and no state (`compute_batch_root`);
3. checks the root's signature, once for each distinct (key, network, size, root, signature) (`is_root_signed`).

The unprotected header is not signed, but nothing in it can be changed: another index, size or step leads to another
root. It is part of the statement's bytes, hence of its digest.

Not done here: which statements carry a place (`carenet.statements.statement`).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Sequence
from functools import lru_cache
from hashlib import sha256
from typing import Any, NamedTuple

from carenet.encoding.cbor import encode_head
from carenet.encoding.ed25519 import SigningKey, is_valid_signature
from carenet.errors import StatementError
from carenet.ledger.hashes import HASH_BYTES, hash_leaf, hash_node
from carenet.statements.keys import domain

MAX_BATCH = 1024

_LABEL = "batch"
_START = b"\xa1\x65batch\x83"  # {"batch": [three items]}
_UNSIGNED, _ARRAY = 0, 4  # CBOR major types
_STEP_HEAD = b"\x58\x20"  # of a byte string of 32
_STEP_BYTES = len(_STEP_HEAD) + HASH_BYTES
_MAX_STEPS = 10  # of a path in a batch of 1,024
_STEPS = [struct.Struct(f"{len(_STEP_HEAD)}x{HASH_BYTES}s" * count) for count in range(_MAX_STEPS + 1)]
_KEPT_ROOTS = 4096  # some 2 MB; a bulk publisher's batches follow one another, and many publishers may be under way
_DOMAIN = domain("batch")
# Index, size and the path's head in their shortest forms. Bounds are checked on the numbers.
_PLACE = re.compile(
    re.escape(_START)
    + rb"([\x00-\x17]|\x18[\x18-\xff]|\x19[\x01-\x03].)([\x01-\x17]|\x18[\x18-\xff]|\x19[\x01-\x04].)([\x80-\x8a])",
    re.DOTALL,
)


class BatchPlace(NamedTuple):
    """Where a statement stands in its batch; a named tuple because one is made for each statement that is folded.

    Attributes:
        leaf_index: 0 <= leaf_index < size.
        size: statements in the batch, 1 to 1,024.
        path: sibling hashes, the leaf's own sibling first; 32 bytes each.
    """

    leaf_index: int
    size: int
    path: tuple[bytes, ...]


def path_length(index: int, size: int) -> int:
    """How many steps lead from a leaf to the root: the levels where it has a sibling.

    Source: RFC 9162 section 2.1.3.2, whose loop ends with sn = 0 after exactly that many.
    """
    inner = (index ^ (size - 1)).bit_length()  # up to here the path differs from the last leaf's
    return inner + (index >> inner).bit_count()  # above, only siblings on the left


def read_place(unprotected: Any) -> BatchPlace:
    """The place in a decoded unprotected header.

    Raises:
        StatementError: it is not exactly `{"batch": [index, size, [path]]}` within the bounds.
    """
    items = unprotected.get(_LABEL) if isinstance(unprotected, dict) and len(unprotected) == 1 else None
    if not isinstance(items, list) or [type(item) for item in items] != [int, int, list]:
        raise StatementError('the unprotected header of a batch signature is {"batch": [index, size, [path]]}')
    index, size, path = items
    if not 0 <= index < size <= MAX_BATCH:
        raise StatementError(f"a batch has 1 to {MAX_BATCH} statements, and an index below its size")
    if len(path) != path_length(index, size):
        raise StatementError(f"the path of index {index} in a batch of {size} has {path_length(index, size)} steps")
    if not all(isinstance(step, bytes) and len(step) == HASH_BYTES for step in path):
        raise StatementError("each step of a batch's path has 32 bytes")
    return BatchPlace(index, size, tuple(path))


def match_place(data: bytes, at: int) -> tuple[BatchPlace, int] | None:
    """The place whose encoding begins at a byte, and where it ends; several times faster than decoding it.

    Returns:
        None where the bytes are anything else: `read_place` of the decoded header says what is wrong with them.
    """
    found = _PLACE.match(data, at)
    if found is None:
        return None
    written_index, written_size, written_count = found.groups()
    index = written_index[0] if len(written_index) == 1 else int.from_bytes(written_index[1:], "big")
    size = written_size[0] if len(written_size) == 1 else int.from_bytes(written_size[1:], "big")
    count, start = written_count[0] & 15, found.end()
    end = start + count * _STEP_BYTES
    if not index < size <= MAX_BATCH or count != path_length(index, size) or end > len(data):
        return None
    if data[start:end:_STEP_BYTES] != b"\x58" * count or data[start + 1 : end : _STEP_BYTES] != b"\x20" * count:
        return None
    return BatchPlace(index, size, _STEPS[count].unpack_from(data, start)), end


def encode_place(place: BatchPlace) -> bytes:
    """The unprotected header's bytes."""
    head = _START + encode_head(_UNSIGNED, place.leaf_index) + encode_head(_UNSIGNED, place.size)
    return head + encode_head(_ARRAY, len(place.path)) + b"".join([_STEP_HEAD + step for step in place.path])


def compute_batch_root(leaf_hash: bytes, place: BatchPlace) -> bytes:
    """The root that a place leads to, 32 bytes.

    Args:
        leaf_hash: `hash_leaf` of the Sig_structure, 32 bytes.
        place: as `read_place` or `match_place` checked it.

    Source: RFC 9162 section 2.1.3.2, its two kinds of levels one after the other.
    """
    index, size, path = place
    inner = (index ^ (size - 1)).bit_length()
    node = leaf_hash
    for sibling in path[:inner]:  # hashed in place of `hash_node`: this runs ten times for each statement
        node = sha256(b"\x01" + sibling + node if index & 1 else b"\x01" + node + sibling).digest()
        index >>= 1
    for sibling in path[inner:]:
        node = sha256(b"\x01" + sibling + node).digest()
    return node


@lru_cache(maxsize=_KEPT_ROOTS)
def is_root_signed(public: bytes, network: bytes, size: int, root: bytes, signature: bytes) -> bool:
    """Whether a batch's signature holds; remembered, also where it does not.

    Two threads that ask at the same moment may both verify; the answer is the same.

    Args:
        public: Ed25519, 32 bytes.
        network: the network's id, 32 bytes.
        size: statements in the batch.
        root: 32 bytes.
        signature: 64 bytes.
    """
    return is_valid_signature(public, signature, encode_batch(network, size, root))


def encode_batch(network: bytes, size: int, root: bytes) -> bytes:
    """The bytes that a batch's signature covers; size as four bytes, most significant first."""
    return _DOMAIN + network + size.to_bytes(4, "big") + root


def sign_root(network: bytes, size: int, root: bytes, key: SigningKey) -> bytes:
    """The signature of a batch, 64 bytes."""
    return key.sign(encode_batch(network, size, root))


def sign_together(
    network: bytes, sig_structures: Sequence[bytes], key: SigningKey
) -> tuple[bytes, Iterator[BatchPlace]]:
    """The signature of a batch, and the place of each of its statements.

    Args:
        network: the network's id, which every statement names.
        sig_structures: 1 to 1,024.
        key: the issuer's signing key.

    Raises:
        ValueError: none, or too many.
    """
    root, places = build_batch([hash_leaf(each) for each in sig_structures])
    return sign_root(network, len(sig_structures), root, key), places


def build_batch(leaf_hashes: Sequence[bytes]) -> tuple[bytes, Iterator[BatchPlace]]:
    """The root over some leaves, and the place of each.

    Args:
        leaf_hashes: 1 to 1,024 of `hash_leaf`.

    Raises:
        ValueError: none, or too many.

    Source: RFC 6962 section 2.1; a node without a sibling stands for itself on the level above.
    """
    size = len(leaf_hashes)
    if not 0 < size <= MAX_BATCH:
        raise ValueError(f"a batch has 1 to {MAX_BATCH} statements")
    levels = [list(leaf_hashes)]
    while len(row := levels[-1]) > 1:
        pairs = [hash_node(left, right) for left, right in zip(row[::2], row[1::2], strict=False)]
        levels.append(pairs + row[len(pairs) * 2 :])
    return levels.pop()[0], (BatchPlace(index, size, _path(levels, index)) for index in range(size))


def _path(levels: list[list[bytes]], index: int) -> tuple[bytes, ...]:
    siblings = []
    for row in levels:
        if index ^ 1 < len(row):
            siblings.append(row[index ^ 1])
        index >>= 1
    return tuple(siblings)
