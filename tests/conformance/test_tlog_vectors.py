"""A log that the public Go implementation wrote (transparency-dev/tessera): ours must agree byte for byte."""

from __future__ import annotations

from functools import cache
from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carenet.errors import BadInputError, NoteError
from carenet.ledger.checkpoint import Checkpoint, parse_checkpoint
from carenet.ledger.hashes import hash_leaf
from carenet.ledger.notes import Verifier, encode_vkey, open_note, parse_vkey
from carenet.ledger.proofs import verify_consistency, verify_inclusion
from carenet.ledger.prover import (
    consistency_path,
    inclusion_path,
    tiles_for_consistency,
    tiles_for_inclusion,
)
from carenet.ledger.tiles import (
    compute_tile_width,
    decode_bundle,
    encode_bundle,
    entries_path,
    parse_tile_path,
    tile_path,
)
from carenet.ledger.tree import Tree
from tests.support.data import SHARED, needs_shared

pytestmark = needs_shared

LOG = SHARED / "vectors" / "tlog"
SIZES = (1, 2, 3, 7, 255, 256, 257, 700)
LARGEST = max(SIZES)


@cache
def read_verifier() -> Verifier:
    return parse_vkey((LOG / "vkey").read_text().removesuffix("\n"))


@cache
def read_checkpoint(size: int) -> Checkpoint:
    note = open_note((LOG / f"checkpoint-{size}").read_bytes(), [read_verifier()])
    return parse_checkpoint(note.text)


@cache
def read_entries() -> tuple[bytes, ...]:
    entries: list[bytes] = []
    while len(entries) < LARGEST:
        index = len(entries) // 256
        width = compute_tile_width(0, index, LARGEST)
        entries += decode_bundle((LOG / entries_path(index, width)).read_bytes(), width)
    return tuple(entries)


@cache
def grow(size: int) -> tuple[bytes, dict[tuple[int, int], bytes]]:
    tree = Tree()
    for entry in read_entries()[:size]:
        tree.append(hash_leaf(entry))
    return tree.root(), {(tile.level, tile.index): tile.hashes for tile in tree.drain_tiles()} | tree.partial_tiles()


def list_tiles() -> list[Path]:
    return [path for path in (LOG / "tile").rglob("*") if path.is_file()]


def test_the_verifier_key_is_read_and_written_alike() -> None:
    assert encode_vkey(read_verifier()) + "\n" == (LOG / "vkey").read_text()


@pytest.mark.parametrize("size", SIZES)
def test_each_checkpoint_opens_and_its_root_is_that_of_the_entries(size: int) -> None:
    checkpoint = read_checkpoint(size)
    assert checkpoint.size == size
    assert checkpoint.origin == read_verifier().name
    assert checkpoint.root == grow(size)[0]
    assert (LOG / f"checkpoint-{size}").read_text().startswith(checkpoint.text() + "\n")


def test_the_entries_are_what_the_log_was_given() -> None:
    assert read_entries() == tuple(b"entry %d %s" % (n, n.to_bytes(2, "little").hex().encode()) for n in range(LARGEST))


def test_every_tile_and_bundle_is_ours_byte_for_byte() -> None:
    seen = set()
    for file in list_tiles():
        path = parse_tile_path(file.relative_to(LOG).as_posix())
        if path.level is None:
            first = path.index * 256
            assert encode_bundle(read_entries()[first : first + path.width]) == file.read_bytes()
        else:
            assert tile_path(path.level, path.index, path.width) == file.relative_to(LOG).as_posix()
            ours = grow(LARGEST)[1][path.level, path.index]
            assert ours[: path.width * 32] == file.read_bytes()
        seen.add(path)
    assert len(seen) == len(list_tiles()) >= 12


@pytest.mark.parametrize("size", SIZES)
def test_every_tile_of_ours_that_the_log_kept_is_theirs(size: int) -> None:
    for (level, index), hashes in grow(size)[1].items():
        file = LOG / tile_path(level, index, len(hashes) // 32)
        if file.is_file():  # the driver keeps the partial tiles of published checkpoints only
            assert file.read_bytes() == hashes
        elif len(hashes) == 256 * 32:
            pytest.fail(f"the full tile {level}/{index} is missing")


@pytest.mark.parametrize(("old", "new"), [*combinations(SIZES, 2), (LARGEST, LARGEST), (0, LARGEST)])
def test_each_checkpoint_is_consistent_with_every_later_one(old: int, new: int) -> None:
    tiles = grow(LARGEST)[1]
    path = consistency_path(old, new, {at: tiles[at] for at in tiles_for_consistency(old, new)})
    old_root = read_checkpoint(old).root if old else grow(0)[0]
    verify_consistency(old, new, old_root, read_checkpoint(new).root, path)
    if path:
        with pytest.raises(BadInputError):
            verify_consistency(old, new, old_root, read_checkpoint(new).root, path[1:])


@pytest.mark.parametrize("size", SIZES)
def test_every_entry_is_proved_against_every_checkpoint_that_covers_it(size: int) -> None:
    tiles, root = grow(LARGEST)[1], read_checkpoint(size).root
    for index, entry in enumerate(read_entries()[:size]):
        path = inclusion_path(index, size, {at: tiles[at] for at in tiles_for_inclusion(index, size)})
        verify_inclusion(hash_leaf(entry), index, size, path, root)


@given(st.sampled_from(SIZES), st.data())
def test_a_checkpoint_with_any_bit_turned_is_refused(size: int, data: st.DataObject) -> None:
    raw = bytearray((LOG / f"checkpoint-{size}").read_bytes())
    bit = data.draw(st.integers(0, 8 * len(raw) - 1))
    raw[bit // 8] ^= 1 << bit % 8
    with pytest.raises(NoteError):
        open_note(bytes(raw), [read_verifier()])


@given(st.integers(0, LARGEST - 1), st.data())
def test_an_entry_with_any_bit_turned_is_not_in_the_log(index: int, data: st.DataObject) -> None:
    raw = bytearray(read_entries()[index])
    bit = data.draw(st.integers(0, 8 * len(raw) - 1))
    raw[bit // 8] ^= 1 << bit % 8
    path = inclusion_path(index, LARGEST, grow(LARGEST)[1])
    with pytest.raises(BadInputError):
        verify_inclusion(hash_leaf(bytes(raw)), index, LARGEST, path, read_checkpoint(LARGEST).root)


@given(st.integers(0, LARGEST - 1), st.data())
def test_a_tile_with_any_bit_turned_gives_no_proof_that_holds(index: int, data: st.DataObject) -> None:
    tiles = {at: grow(LARGEST)[1][at] for at in tiles_for_inclusion(index, LARGEST)}
    path = inclusion_path(index, LARGEST, tiles)
    at = data.draw(st.sampled_from(sorted(tiles)))
    raw = bytearray(tiles[at])
    bit = data.draw(st.integers(0, 8 * len(raw) - 1))
    raw[bit // 8] ^= 1 << bit % 8
    broken = inclusion_path(index, LARGEST, tiles | {at: bytes(raw)})
    if broken != path:  # a hash on the leaf's own way up is not part of its path
        with pytest.raises(BadInputError):
            verify_inclusion(hash_leaf(read_entries()[index]), index, LARGEST, broken, read_checkpoint(LARGEST).root)
