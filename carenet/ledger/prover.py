"""Making proofs from tiles that somebody else fetched.

First ask which tiles a proof needs, fetch them, then make it:

    wanted = tiles_for_inclusion(index, size)
    path = inclusion_path(index, size, {at: stored[at] for at in wanted})

A tile is named (level, index) and may be given wider than a tree of `size` leaves has it: the rest is not looked at.
So full tiles, and the tails of `Tree.partial_tiles` for what is not full yet, serve for every size up to the present.
A proof touches O(log size) tiles. Nothing here vouches for the tiles: verify the proof against a checkpoint before it
is sent on.

Source: RFC 9162 sections 2.1.3.1 and 2.1.4.1.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import chain

from carenet.errors import ProofError
from carenet.ledger.hashes import HASH_BYTES, hash_node, hash_perfect_subtree
from carenet.ledger.tiles import TILE_BITS, TILE_WIDTH

TileAt = tuple[int, int]  # (level, index)
_Range = tuple[int, int]  # leaves [start, end): one node of the tree
_Node = tuple[int, int]  # (height, index): the perfect subtree over leaves [index << height, (index + 1) << height)


def tiles_for_inclusion(index: int, size: int) -> set[TileAt]:
    """Which tiles `inclusion_path` needs.

    Args:
        index: 0 <= index < size.
        size: leaves in the tree.

    Raises:
        ValueError: an index outside the tree.
    """
    return _tiles_of(_inclusion_ranges(index, size))


def inclusion_path(index: int, size: int, tiles: Mapping[TileAt, bytes]) -> list[bytes]:
    """The hashes that lead from leaf `index` to the root of the tree of `size` leaves, the leaf's sibling first.

    Args:
        index: 0 <= index < size.
        size: leaves in the tree.
        tiles: at least `tiles_for_inclusion(index, size)`.

    Raises:
        ValueError: an index outside the tree.
        ProofError: a tile is missing or too short.
    """
    return [_hash_range(each, tiles) for each in _inclusion_ranges(index, size)]


def tiles_for_consistency(old_size: int, new_size: int) -> set[TileAt]:
    """Which tiles `consistency_path` needs.

    Args:
        old_size: 0 <= old_size <= new_size.
        new_size: leaves in the new tree.

    Raises:
        ValueError: sizes the wrong way round.
    """
    return _tiles_of(_consistency_ranges(old_size, new_size))


def consistency_path(old_size: int, new_size: int, tiles: Mapping[TileAt, bytes]) -> list[bytes]:
    """The hashes that show that the tree of `old_size` leaves is the beginning of the one of `new_size`.

    Args:
        old_size: 0 <= old_size <= new_size; empty path for 0 and for equal sizes.
        new_size: leaves in the new tree.
        tiles: at least `tiles_for_consistency(old_size, new_size)`.

    Raises:
        ValueError: sizes the wrong way round.
        ProofError: a tile is missing or too short.
    """
    return [_hash_range(each, tiles) for each in _consistency_ranges(old_size, new_size)]


def derive_tile(lower_tiles: Iterable[bytes]) -> bytes:
    """The hashes of a tile, full or partial, from the full tiles of the level below it, in order.

    Raises:
        ProofError: one of them is not full; its root must not stand in a tile.
    """
    lower = list(lower_tiles)
    if len(lower) > TILE_WIDTH or any(len(tile) != TILE_WIDTH * HASH_BYTES for tile in lower):
        raise ProofError("a tile is made of at most 256 full tiles of the level below")
    return b"".join(map(hash_perfect_subtree, lower))


def _inclusion_ranges(index: int, size: int) -> list[_Range]:
    if not 0 <= index < size:
        raise ValueError(f"index {index} is outside a tree of {size} leaves")
    start, end = 0, size
    siblings = []
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            siblings.append((middle, end))
            end = middle
        else:
            siblings.append((start, middle))
            start = middle
    return siblings[::-1]


def _consistency_ranges(old_size: int, new_size: int) -> list[_Range]:
    if not 0 <= old_size <= new_size:
        raise ValueError(f"a tree of {new_size} leaves does not continue one of {old_size}")
    if old_size in {0, new_size}:
        return []
    start, end = 0, new_size
    ranges = []
    while end != old_size:
        middle = start + _split(end - start)
        if old_size <= middle:
            ranges.append((middle, end))
            end = middle
        else:
            ranges.append((start, middle))
            start = middle
    if start:  # else the old tree is itself a node of the new one, and the verifier has its root
        ranges.append((start, end))
    return ranges[::-1]


def _split(count: int) -> int:
    """The largest power of two below `count`."""
    return 1 << ((count - 1).bit_length() - 1)


def _perfect_nodes(leaves: _Range) -> list[_Node]:
    """The perfect subtrees that make up a node of the tree, from left to right, hence from large to small."""
    start, end = leaves
    nodes = []
    while start < end:
        height = (end - start).bit_length() - 1
        nodes.append((height, start >> height))
        start += 1 << height
    return nodes


def _tile_of(node: _Node) -> tuple[TileAt, int, int]:
    """The tile in which a perfect subtree's hashes lie, the first one's place there, and their number."""
    height, index = node
    level, rest = divmod(height, TILE_BITS)
    first = index << rest
    return (level, first // TILE_WIDTH), first % TILE_WIDTH, 1 << rest


def _tiles_of(ranges: list[_Range]) -> set[TileAt]:
    return {_tile_of(node)[0] for node in chain.from_iterable(map(_perfect_nodes, ranges))}


def _hash_range(leaves: _Range, tiles: Mapping[TileAt, bytes]) -> bytes:
    *larger, smallest = (_hash_perfect_node(node, tiles) for node in _perfect_nodes(leaves))
    root = smallest
    for left in reversed(larger):
        root = hash_node(left, root)
    return root


def _hash_perfect_node(node: _Node, tiles: Mapping[TileAt, bytes]) -> bytes:
    at, first, count = _tile_of(node)
    hashes = tiles.get(at, b"")[first * HASH_BYTES : (first + count) * HASH_BYTES]
    if len(hashes) != count * HASH_BYTES:
        raise ProofError(f"tile {at[0]}/{at[1]} is missing or too short")
    return hash_perfect_subtree(hashes)
