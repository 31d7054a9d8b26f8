"""The tree by its recursive definition: every hash computed anew, nothing kept."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence


def sha256(data: bytes) -> bytes:
    """SHA-256."""
    return hashlib.sha256(data).digest()


def naive_root(leaves: Sequence[bytes]) -> bytes:
    """The Merkle tree hash of a list of entries.

    Source: RFC 6962 section 2.1, word for word.
    """
    if not leaves:
        return sha256(b"")
    if len(leaves) == 1:
        return sha256(b"\x00" + leaves[0])
    k = _split(len(leaves))
    return sha256(b"\x01" + naive_root(leaves[:k]) + naive_root(leaves[k:]))


def naive_path(index: int, leaves: Sequence[bytes]) -> list[bytes]:
    """The audit path of a leaf.

    Source: RFC 6962 section 2.1.1, word for word.
    """
    if len(leaves) == 1:
        return []
    k = _split(len(leaves))
    if index < k:
        return [*naive_path(index, leaves[:k]), naive_root(leaves[k:])]
    return [*naive_path(index - k, leaves[k:]), naive_root(leaves[:k])]


def _split(count: int) -> int:
    k = 1
    while k * 2 < count:
        k *= 2
    return k
