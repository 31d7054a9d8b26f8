from __future__ import annotations

import hashlib

from carenet.ledger.hashes import EMPTY_ROOT, hash_leaf, hash_node, hash_perfect_subtree


def test_the_empty_tree_has_the_hash_of_nothing() -> None:
    assert EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_leaves_and_nodes_are_hashed_under_different_prefixes() -> None:
    left, right = hash_leaf(b"left"), hash_leaf(b"right")
    assert hash_leaf(b"") == hashlib.sha256(b"\0").digest()
    assert hash_node(left, right) == hashlib.sha256(b"\1" + left + right).digest()
    assert hash_node(left, right) != hash_leaf(left + right)
    assert hash_node(left, right) != hash_node(right, left)


def test_a_perfect_subtree_is_hashed_pair_by_pair() -> None:
    a, b, c, d = (hash_leaf(bytes((n,))) for n in range(4))
    assert hash_perfect_subtree(a) == a
    assert hash_perfect_subtree(a + b) == hash_node(a, b)
    assert hash_perfect_subtree(a + b + c + d) == hash_node(hash_node(a, b), hash_node(c, d))
