"""The tree, its tiles and its proofs against RFC 6962's own recursive definitions, for random sizes."""

from __future__ import annotations

import hashlib
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carenet.errors import ProofError
from carenet.ledger.hashes import hash_leaf
from carenet.ledger.proofs import root_from_inclusion, verify_consistency, verify_inclusion
from carenet.ledger.prover import (
    consistency_path,
    inclusion_path,
    tiles_for_consistency,
    tiles_for_inclusion,
)
from carenet.ledger.tiles import compute_tile_width, partial_widths
from carenet.ledger.tree import Tree

MOST = 1_400  # several full tiles at level 0, so a partial one at level 1
DATA = [b"leaf %d" % n for n in range(MOST)]

# Half of the sizes near a power of two, where the off-by-ones live.
sizes = st.integers(1, MOST) | st.builds(
    lambda power, step: max(1, 2**power + step), st.integers(0, 10), st.integers(-2, 2)
)


def split(count: int) -> int:
    k = 1
    while k * 2 < count:
        k *= 2
    return k


@cache
def naive_root(start: int, end: int) -> bytes:
    """MTH(D[start:end]), RFC 6962 section 2.1."""
    if end == start:
        return hashlib.sha256(b"").digest()
    if end - start == 1:
        return hashlib.sha256(b"\x00" + DATA[start]).digest()
    middle = start + split(end - start)
    return hashlib.sha256(b"\x01" + naive_root(start, middle) + naive_root(middle, end)).digest()


def naive_inclusion(index: int, start: int, end: int) -> list[bytes]:
    """PATH(m, D[start:end]), RFC 6962 section 2.1.1."""
    if end - start == 1:
        return []
    middle = start + split(end - start)
    if index < middle - start:
        return [*naive_inclusion(index, start, middle), naive_root(middle, end)]
    return [*naive_inclusion(index - (middle - start), middle, end), naive_root(start, middle)]


def naive_consistency(old: int, start: int, end: int, *, whole: bool = True) -> list[bytes]:
    """SUBPROOF(m, D[start:end], b), RFC 6962 section 2.1.2."""
    if old == end - start:
        return [] if whole else [naive_root(start, end)]
    middle = start + split(end - start)
    if old <= middle - start:
        return [*naive_consistency(old, start, middle, whole=whole), naive_root(middle, end)]
    return [*naive_consistency(old - (middle - start), middle, end, whole=False), naive_root(start, middle)]


def build_naive_tiles(size: int) -> dict[tuple[int, int], bytes]:
    tiles = {}
    level, span = 0, 1
    while size // span:
        hashes = [naive_root(at, at + span) for at in range(0, size - span + 1, span)]
        for index in range(0, len(hashes), 256):
            tiles[level, index // 256] = b"".join(hashes[index : index + 256])
        level, span = level + 1, span * 256
    return tiles


def grow(size: int, batches: int = 1) -> tuple[Tree, dict[tuple[int, int], bytes]]:
    """A tree grown in batches, stored and restored between them, with all its tiles."""
    tree, tiles = Tree(), {}
    for batch in range(batches):
        for leaf in DATA[size * batch // batches : size * (batch + 1) // batches]:
            tree.append(hash_leaf(leaf))
        tiles |= {(tile.level, tile.index): tile.hashes for tile in tree.drain_tiles()}
        tree = Tree.decode(tree.size, tree.encode())
    return tree, tiles | tree.partial_tiles()


LARGEST, ALL_TILES = grow(MOST)


@given(sizes | st.just(0), st.integers(1, 9))
def test_the_grown_tree_has_the_root_and_the_tiles_of_the_definition(size: int, batches: int) -> None:
    tree, tiles = grow(size, batches)
    assert tree.root() == naive_root(0, size)
    assert tiles == build_naive_tiles(size)
    assert tree.encode() == grow(size)[0].encode()


@given(sizes)
def test_tile_widths_are_those_of_the_definition(size: int) -> None:
    tiles = build_naive_tiles(size)
    for (level, index), hashes in tiles.items():
        assert compute_tile_width(level, index, size) == len(hashes) // 32
    for level, width in enumerate(partial_widths(size)):
        partial = tiles.get((level, (size >> 8 * level) // 256), b"")
        assert width == len(partial) // 32
        assert compute_tile_width(level, (size >> 8 * level) // 256 + 1, size) == 0


@given(sizes, st.data())
def test_every_leaf_has_the_inclusion_proof_of_the_definition(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    tiles = {at: ALL_TILES[at] for at in tiles_for_inclusion(index, size)}
    path = inclusion_path(index, size, tiles)
    assert path == naive_inclusion(index, 0, size)
    verify_inclusion(hash_leaf(DATA[index]), index, size, path, naive_root(0, size))


@given(sizes, st.data())
def test_every_strict_prefix_has_the_consistency_proof_of_the_definition(size: int, data: st.DataObject) -> None:
    old = data.draw(st.integers(1, size))
    tiles = {at: ALL_TILES[at] for at in tiles_for_consistency(old, size)}
    path = consistency_path(old, size, tiles)
    assert path == naive_consistency(old, 0, size)
    verify_consistency(old, size, naive_root(0, old), naive_root(0, size), path)


def test_all_proofs_of_all_small_trees_hold() -> None:
    for size in range(1, 70):
        root = naive_root(0, size)
        for n in range(size):
            verify_inclusion(hash_leaf(DATA[n]), n, size, inclusion_path(n, size, ALL_TILES), root)
            verify_consistency(n, size, naive_root(0, n), root, consistency_path(n, size, ALL_TILES))


def flip(parts: list[bytes], bit: int) -> list[bytes]:
    """The parts, 32 bytes each, with one bit turned."""
    joined = bytearray(b"".join(parts))
    joined[bit // 8] ^= 1 << bit % 8
    return [bytes(joined[at : at + 32]) for at in range(0, len(joined), 32)]


@given(sizes, st.data())
def test_an_inclusion_proof_with_any_bit_turned_is_refused(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    parts = [hash_leaf(DATA[index]), naive_root(0, size), *inclusion_path(index, size, ALL_TILES)]
    leaf, root, *path = flip(parts, data.draw(st.integers(0, 256 * len(parts) - 1)))
    with pytest.raises(ProofError):
        verify_inclusion(leaf, index, size, path, root)


@given(sizes, st.data())
def test_a_consistency_proof_with_any_bit_turned_is_refused(size: int, data: st.DataObject) -> None:
    old = data.draw(st.integers(1, size))
    parts = [naive_root(0, old), naive_root(0, size), *consistency_path(old, size, ALL_TILES)]
    old_root, new_root, *path = flip(parts, data.draw(st.integers(0, 256 * len(parts) - 1)))
    with pytest.raises(ProofError):
        verify_consistency(old, size, old_root, new_root, path)


@given(sizes, st.data())
def test_a_proof_for_another_place_is_refused(size: int, data: st.DataObject) -> None:
    index, other = data.draw(st.integers(0, size - 1)), data.draw(st.integers(-1, size))
    path = inclusion_path(index, size, ALL_TILES)
    if index != other:
        with pytest.raises(ProofError):
            verify_inclusion(hash_leaf(DATA[index]), other, size, path, naive_root(0, size))


@given(sizes, st.data())
def test_a_path_with_a_step_more_or_less_is_refused(size: int, data: st.DataObject) -> None:
    index, old = data.draw(st.integers(0, size - 1)), data.draw(st.integers(1, size))
    inclusion, consistency = inclusion_path(index, size, ALL_TILES), consistency_path(old, size, ALL_TILES)
    place = data.draw(st.integers(0, 12))
    for path in ([*inclusion[:place], hash_leaf(b""), *inclusion[place:]], inclusion[:place] + inclusion[place + 1 :]):
        if path != inclusion:
            with pytest.raises(ProofError):
                root_from_inclusion(hash_leaf(DATA[index]), index, size, path)
    for path in (
        [*consistency[:place], hash_leaf(b""), *consistency[place:]],
        consistency[:place] + consistency[place + 1 :],
    ):
        if path != consistency:
            with pytest.raises(ProofError):
                verify_consistency(old, size, naive_root(0, old), naive_root(0, size), path)
