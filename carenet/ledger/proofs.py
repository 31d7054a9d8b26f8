"""Checking that a leaf is in a tree, and that one tree is the beginning of another.

Paths must have exactly the length that the sizes call for; a proof is checked against roots that the caller got from
a signed checkpoint, and proves nothing without one. The size must come from there too: one path can verify at several
sizes.

Source: RFC 9162 sections 2.1.3.2 and 2.1.4.2. Making proofs: `carenet.ledger.prover`.
"""

from __future__ import annotations

from collections.abc import Sequence

from carenet.errors import ProofError
from carenet.ledger.hashes import EMPTY_ROOT, HASH_BYTES, hash_node


def root_from_inclusion(leaf_hash: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes:
    """The root that a path leads to.

    Args:
        leaf_hash: 32 bytes.
        index: 0 <= index < size.
        size: leaves in the tree.
        path: sibling hashes, the leaf's own sibling first.

    Raises:
        ProofError: an index outside the tree, a path of another length, or a hash that has not 32 bytes.

    Source: RFC 9162 section 2.1.3.2.
    """
    if not 0 <= index < size:
        raise ProofError(f"index {index} is outside a tree of {size} leaves")
    _check_hashes([leaf_hash, *path])  # at size 1 the leaf is the root: nothing else would look at its length
    node, last, root = index, size - 1, leaf_hash
    for sibling in path:
        if last == 0:
            raise ProofError("the inclusion path is too long")
        if node & 1 or node == last:
            root = hash_node(sibling, root)
            node, last = _skip_lone_parents(node, last)
        else:
            root = hash_node(root, sibling)
        node >>= 1
        last >>= 1
    if last != 0:
        raise ProofError("the inclusion path is too short")
    return root


def verify_inclusion(leaf_hash: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> None:
    """Check that the tree with this root has this leaf at this index. Arguments as in `root_from_inclusion`.

    Raises:
        ProofError: it does not, or the proof is malformed.
    """
    if root_from_inclusion(leaf_hash, index, size, path) != root:
        raise ProofError(f"the inclusion path of index {index} does not lead to the root at size {size}")


def verify_consistency(old_size: int, new_size: int, old_root: bytes, new_root: bytes, path: Sequence[bytes]) -> None:
    """Check that the old tree is the beginning of the new one.

    Equal sizes want equal roots and an empty path. Of the empty tree every tree is a continuation: from size 0 the
    path is empty and the old root must be the empty tree's.

    Args:
        old_size: 0 <= old_size <= new_size.
        new_size: leaves in the new tree.
        old_root: 32 bytes.
        new_root: 32 bytes.
        path: as RFC 9162 section 2.1.4.1 orders it.

    Raises:
        ProofError: it is not, or the proof is malformed.

    Source: RFC 9162 section 2.1.4.2.
    """
    if not 0 <= old_size <= new_size:
        raise ProofError(f"a tree of {new_size} leaves does not continue one of {old_size}")
    _check_hashes(path)
    if old_size == 0:
        # A new root that is no hash at all would pass here, where nothing is hashed.
        is_consistent = not path and old_root == EMPTY_ROOT and len(new_root) == HASH_BYTES
        if not is_consistent or (new_size == 0 and new_root != EMPTY_ROOT):
            raise ProofError("from size 0 the path is empty and the old root is the empty tree's")
    elif old_size == new_size:
        if path or old_root != new_root:
            raise ProofError(f"at the same size {old_size} the roots are equal and the path is empty")
    elif _roots_from_consistency(old_size, new_size, old_root, path) != (old_root, new_root):
        raise ProofError(f"the consistency path does not join the roots at sizes {old_size} and {new_size}")


def _roots_from_consistency(
    old_size: int, new_size: int, old_root: bytes, path: Sequence[bytes]
) -> tuple[bytes, bytes]:
    steps = list(path)
    if old_size & (old_size - 1) == 0:  # a perfect old tree is a node of the new one: the path leaves it out
        steps.insert(0, old_root)
    if not steps:
        raise ProofError("the consistency path is too short")
    node, last = old_size - 1, new_size - 1
    while node & 1:
        node >>= 1
        last >>= 1
    old = new = steps[0]
    for sibling in steps[1:]:
        if last == 0:
            raise ProofError("the consistency path is too long")
        if node & 1 or node == last:
            old, new = hash_node(sibling, old), hash_node(sibling, new)
            node, last = _skip_lone_parents(node, last)
        else:
            new = hash_node(new, sibling)
        node >>= 1
        last >>= 1
    if last != 0:
        raise ProofError("the consistency path is too short")
    return old, new


def _skip_lone_parents(node: int, last: int) -> tuple[int, int]:
    """Climb past the levels where the rightmost node has no sibling and so stands for itself."""
    while node and not node & 1:
        node >>= 1
        last >>= 1
    return node, last


def _check_hashes(hashes: Sequence[bytes]) -> None:
    if any(len(each) != HASH_BYTES for each in hashes):
        raise ProofError("a leaf hash and each hash of a path have 32 bytes")
