"""The three hashes of an RFC 6962 tree. One leaf hash also serves the subject's chain: `prev` is the leaf hash before.

Leaves and nodes are hashed under different prefixes, so that no entry can pass for an inner node.
"""

from __future__ import annotations

import hashlib

HASH_BYTES = 32
EMPTY_ROOT = hashlib.sha256(b"").digest()  # the root of a tree without leaves


def hash_leaf(entry: bytes) -> bytes:
    """The 32-byte hash of a leaf: SHA-256(0x00 ‖ entry).

    Source: RFC 6962 section 2.1.
    """
    return hashlib.sha256(b"\x00" + entry).digest()


def hash_node(left: bytes, right: bytes) -> bytes:
    """The 32-byte hash of an inner node: SHA-256(0x01 ‖ left ‖ right).

    Args:
        left: 32 bytes.
        right: 32 bytes.

    Source: RFC 6962 section 2.1.
    """
    return hashlib.sha256(b"\x01" + left + right).digest()


def hash_perfect_subtree(hashes: bytes) -> bytes:
    """The root of a perfect subtree.

    Args:
        hashes: the concatenated hashes of one row below it, 32 bytes each; their number is a power of two.
    """
    while len(hashes) > HASH_BYTES:
        hashes = b"".join(
            hashlib.sha256(b"\x01" + hashes[at : at + 2 * HASH_BYTES]).digest()
            for at in range(0, len(hashes), 2 * HASH_BYTES)
        )
    return hashes
