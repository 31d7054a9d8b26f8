from __future__ import annotations

import pytest

from carenet.errors import ProofError
from carenet.ledger.hashes import EMPTY_ROOT, hash_leaf, hash_node
from carenet.ledger.proofs import root_from_inclusion, verify_consistency, verify_inclusion

A, B, C = (hash_leaf(letter) for letter in (b"a", b"b", b"c"))
AB = hash_node(A, B)
ABC = hash_node(AB, C)


def test_each_leaf_of_three_is_found_at_its_place_and_nowhere_else() -> None:
    for leaf, index, path in ((A, 0, [B, C]), (B, 1, [A, C]), (C, 2, [AB])):
        verify_inclusion(leaf, index, 3, path, ABC)
        assert root_from_inclusion(leaf, index, 3, path) == ABC
        for other in {0, 1, 2} - {index}:
            with pytest.raises(ProofError):
                verify_inclusion(leaf, other, 3, path, ABC)


def test_the_only_leaf_is_its_own_root() -> None:
    verify_inclusion(A, 0, 1, [], A)
    with pytest.raises(ProofError, match="does not lead"):
        verify_inclusion(A, 0, 1, [], B)


def test_a_path_of_another_length_is_refused() -> None:
    with pytest.raises(ProofError, match="too short"):
        root_from_inclusion(A, 0, 3, [B])
    with pytest.raises(ProofError, match="too long"):
        root_from_inclusion(A, 0, 3, [B, C, A])
    with pytest.raises(ProofError, match="too short"):
        root_from_inclusion(A, 0, 2, [])


@pytest.mark.parametrize(("index", "size"), [(-1, 3), (3, 3), (0, 0), (0, -1)])
def test_an_index_outside_the_tree_is_refused(index: int, size: int) -> None:
    with pytest.raises(ProofError, match="outside"):
        root_from_inclusion(A, index, size, [])


def test_a_hash_of_another_length_is_refused() -> None:
    with pytest.raises(ProofError, match="32 bytes"):
        root_from_inclusion(A, 0, 2, [B + b"\0"])
    with pytest.raises(ProofError, match="32 bytes"):
        verify_inclusion(b"", 0, 1, [], b"")
    with pytest.raises(ProofError, match="32 bytes"):
        verify_consistency(2, 3, AB, ABC, [C[:-1]])


def test_a_tree_continues_its_beginnings() -> None:
    verify_consistency(1, 3, A, ABC, [B, C])
    verify_consistency(2, 3, AB, ABC, [C])
    verify_consistency(1, 2, A, AB, [B])


def test_a_tree_does_not_continue_what_is_not_its_beginning() -> None:
    for old_size, old_root, path in ((2, hash_node(B, A), [C]), (1, B, [A, C]), (2, AB, [A])):
        with pytest.raises(ProofError, match="does not join"):
            verify_consistency(old_size, 3, old_root, ABC, path)


def test_equal_sizes_want_equal_roots_and_no_path() -> None:
    verify_consistency(3, 3, ABC, ABC, [])
    for root, path in ((AB, []), (ABC, [A])):
        with pytest.raises(ProofError, match="same size"):
            verify_consistency(3, 3, ABC, root, path)


def test_every_tree_continues_the_empty_one() -> None:
    verify_consistency(0, 0, EMPTY_ROOT, EMPTY_ROOT, [])
    verify_consistency(0, 3, EMPTY_ROOT, ABC, [])
    for old_root, new_size, new_root, path in (
        (A, 3, ABC, []),
        (EMPTY_ROOT, 3, ABC, [A]),
        (EMPTY_ROOT, 3, b"no hash", []),
        (EMPTY_ROOT, 0, A, []),
    ):
        with pytest.raises(ProofError, match="size 0"):
            verify_consistency(0, new_size, old_root, new_root, path)


def test_a_smaller_tree_continues_nothing_larger() -> None:
    for old_size, new_size in ((3, 2), (-1, 2), (1, 0)):
        with pytest.raises(ProofError, match="does not continue"):
            verify_consistency(old_size, new_size, A, A, [])


def test_a_consistency_path_of_another_length_is_refused() -> None:
    with pytest.raises(ProofError, match="too short"):
        verify_consistency(2, 3, AB, ABC, [])
    with pytest.raises(ProofError, match="too long"):
        verify_consistency(2, 3, AB, ABC, [C, A])
    with pytest.raises(ProofError, match="too short"):
        verify_consistency(3, 4, ABC, A, [])
