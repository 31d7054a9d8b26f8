from __future__ import annotations

import pytest

from carenet.errors import EncodingError
from carenet.ledger.hashes import EMPTY_ROOT, hash_leaf, hash_node, hash_perfect_subtree
from carenet.ledger.tree import Tile, Tree


def grow(size: int) -> Tree:
    tree = Tree()
    for n in range(size):
        tree.append(hash_leaf(b"%d" % n))
    return tree


def test_the_first_trees_are_those_of_the_specification() -> None:
    a, b, c = (hash_leaf(b"%d" % n) for n in range(3))
    assert grow(0).root() == EMPTY_ROOT
    assert grow(1).root() == a
    assert grow(2).root() == hash_node(a, b)
    assert grow(3).root() == hash_node(hash_node(a, b), c)


def test_a_full_tile_is_handed_out_once() -> None:
    tree = grow(255)
    assert tree.drain_tiles() == []
    tree.append(hash_leaf(b"255"))
    hashes = b"".join(hash_leaf(b"%d" % n) for n in range(256))
    assert tree.drain_tiles() == [Tile(0, 0, hashes)]
    assert tree.drain_tiles() == []
    assert tree.partial_tiles() == {(1, 0): hash_perfect_subtree(hashes)}
    assert tree.root() == hash_perfect_subtree(hashes)


def test_tiles_of_higher_levels_are_handed_out_after_those_below() -> None:
    tree = grow(65_536)
    tiles = tree.drain_tiles()
    assert [(tile.level, tile.index) for tile in tiles] == [*((0, n) for n in range(256)), (1, 0)]
    assert tiles[-1].hashes == b"".join(hash_perfect_subtree(tile.hashes) for tile in tiles[:-1])
    assert tree.partial_tiles() == {(2, 0): tree.root()}


def test_the_frontier_restores_the_tree() -> None:
    for size in (0, 1, 255, 256, 257, 700):
        tree = grow(size)
        again = Tree.decode(size, tree.encode())
        assert (again.size, again.root(), again.encode()) == (size, tree.root(), tree.encode())
        for each in (tree, again):
            each.drain_tiles()
            for n in range(300):
                each.append(hash_leaf(b"more %d" % n))
        assert again.root() == tree.root()
        assert again.drain_tiles() == tree.drain_tiles()


@pytest.mark.parametrize(("size", "length"), [(0, 32), (1, 0), (1, 31), (1, 64), (256, 0), (255, 254 * 32), (-1, 0)])
def test_a_frontier_of_another_length_is_refused(size: int, length: int) -> None:
    with pytest.raises(EncodingError, match="frontier"):
        Tree.decode(size, bytes(length))


def test_a_copy_grows_on_its_own() -> None:
    tree = grow(255)
    before = tree.root()
    twin = tree.copy()
    twin.append(hash_leaf(b"x"))
    assert (tree.size, tree.root(), tree.drain_tiles()) == (255, before, [])
    third = twin.copy()
    assert twin.drain_tiles() == third.drain_tiles() != []


def test_a_leaf_hash_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        Tree().append(b"short")


def test_the_representation_says_how_far_it_is() -> None:
    assert repr(grow(300)) == "<Tree of 300 leaves, 1 full tiles to drain>"
