from __future__ import annotations

import pytest

from carenet.errors import ProofError
from carenet.ledger.hashes import HASH_BYTES, hash_leaf, hash_node
from carenet.ledger.prover import (
    consistency_path,
    derive_tile,
    inclusion_path,
    tiles_for_consistency,
    tiles_for_inclusion,
)
from carenet.ledger.tree import Tree

LEAVES = [hash_leaf(b"%d" % n) for n in range(700)]


def tiles_at(size: int) -> dict[tuple[int, int], bytes]:
    tree = Tree()
    for leaf in LEAVES[:size]:
        tree.append(leaf)
    return {(tile.level, tile.index): tile.hashes for tile in tree.drain_tiles()} | tree.partial_tiles()


def test_small_proofs_are_those_of_the_specification() -> None:
    a, b, c = LEAVES[:3]
    tiles = tiles_at(3)
    assert inclusion_path(0, 3, tiles) == [b, c]
    assert inclusion_path(2, 3, tiles) == [hash_node(a, b)]
    assert inclusion_path(0, 1, tiles) == []
    assert consistency_path(1, 3, tiles) == [b, c]
    assert consistency_path(2, 3, tiles) == [c]
    assert consistency_path(0, 3, tiles) == consistency_path(3, 3, tiles) == []


def test_a_proof_takes_few_tiles_however_large_the_log() -> None:
    assert tiles_for_inclusion(0, 1) == set()
    assert tiles_for_inclusion(300, 700) == {(0, 1), (0, 2), (1, 0)}
    for index in (0, 123_456_789, 2**40 - 1):
        assert len(tiles_for_inclusion(index, 2**40)) <= 5
        assert len(tiles_for_inclusion(index, 2**40 + 12_345)) <= 12
    assert len(tiles_for_consistency(2**39 + 12_345, 2**40 + 12_345)) <= 12


def test_wider_tiles_of_a_larger_log_give_the_same_proof() -> None:
    wide, narrow = tiles_at(700), tiles_at(600)
    for index in (0, 255, 256, 511, 512, 599):
        assert inclusion_path(index, 600, wide) == inclusion_path(index, 600, narrow)
    assert consistency_path(257, 600, wide) == consistency_path(257, 600, narrow)


def test_exactly_the_tiles_asked_for_suffice() -> None:
    tiles = tiles_at(700)
    for index in (0, 255, 256, 699):
        wanted = tiles_for_inclusion(index, 700)
        assert inclusion_path(index, 700, {at: tiles[at] for at in wanted})
        for at in wanted:
            with pytest.raises(ProofError, match=f"tile {at[0]}/{at[1]} is missing"):
                inclusion_path(index, 700, {other: tiles[other] for other in wanted - {at}})


def test_a_tile_that_is_too_short_is_said_so() -> None:
    tiles = tiles_at(700)
    tiles[0, 2] = tiles[0, 2][:-1]
    with pytest.raises(ProofError, match="tile 0/2"):
        inclusion_path(0, 700, tiles)


def test_a_higher_tile_can_be_derived_from_the_full_ones_below() -> None:
    tiles = tiles_at(700)
    assert derive_tile([tiles[0, 0], tiles[0, 1]]) == tiles[1, 0]
    assert derive_tile([]) == b""
    with pytest.raises(ProofError, match="full tiles"):
        derive_tile([tiles[0, 2]])
    with pytest.raises(ProofError, match="256"):
        derive_tile([bytes(256 * HASH_BYTES)] * 257)


@pytest.mark.parametrize(("index", "size"), [(-1, 1), (1, 1), (0, 0)])
def test_a_leaf_outside_the_tree_is_misuse(index: int, size: int) -> None:
    with pytest.raises(ValueError, match="outside"):
        tiles_for_inclusion(index, size)
    with pytest.raises(ValueError, match="outside"):
        inclusion_path(index, size, {})


@pytest.mark.parametrize(("old_size", "new_size"), [(-1, 1), (2, 1)])
def test_sizes_the_wrong_way_round_are_misuse(old_size: int, new_size: int) -> None:
    with pytest.raises(ValueError, match="does not continue"):
        tiles_for_consistency(old_size, new_size)
    with pytest.raises(ValueError, match="does not continue"):
        consistency_path(old_size, new_size, {})
