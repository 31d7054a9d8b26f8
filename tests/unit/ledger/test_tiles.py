from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carenet.encoding.cbor import MAX_INT
from carenet.errors import EncodingError
from carenet.ledger.tiles import (
    TilePath,
    compute_tile_width,
    decode_bundle,
    encode_bundle,
    entries_path,
    parse_tile_path,
    partial_widths,
    tile_path,
)


@pytest.mark.parametrize(
    ("parsed", "path"),
    [
        (TilePath(0, 0, 256), "tile/0/000"),
        (TilePath(0, 0, 1), "tile/0/000.p/1"),
        (TilePath(1, 999, 255), "tile/1/999.p/255"),
        (TilePath(2, 1000, 256), "tile/2/x001/000"),
        (TilePath(63, 1234067, 8), "tile/63/x001/x234/067.p/8"),
        (TilePath(None, 0, 256), "tile/entries/000"),
        (TilePath(None, 1234067, 188), "tile/entries/x001/x234/067.p/188"),
    ],
)
def test_paths_are_those_of_the_specification(parsed: TilePath, path: str) -> None:
    assert parse_tile_path(path) == parsed
    if parsed.level is None:
        assert entries_path(parsed.index, parsed.width) == path
    else:
        assert tile_path(parsed.level, parsed.index, parsed.width) == path


@given(st.none() | st.integers(0, 63), st.integers(0, MAX_INT), st.integers(1, 256))
def test_a_path_leads_back_to_its_tile(level: int | None, index: int, width: int) -> None:
    path = entries_path(index, width) if level is None else tile_path(level, index, width)
    assert parse_tile_path(path) == TilePath(level, index, width)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "tile/0",
        "tile/0/",
        "tile/0/0",
        "tile/0/0000",
        "tile/0/00a",
        "tile/00/000",
        "tile/01/000",
        "tile/64/000",
        "tile/-1/000",
        "tile/0/001/000",
        "tile/0/x000/001",  # the same tile as 001
        "tile/0/x001",
        "tile/0/000.p/0",
        "tile/0/000.p/01",
        "tile/0/000.p/256",
        "tile/0/000.p/999",
        "tile/0/000.p/",
        "tile/0/000.p",
        "tile/0/000\n",
        "/tile/0/000",
        "tile/0/../000",
        "tile/entries/٠٠٠",
        "tile/0/" + "x999/" * 5 + "999",
        "tile/0/" + "x999/" * 1000 + "999",
    ],
)
def test_any_other_path_is_refused(path: str) -> None:
    with pytest.raises(EncodingError):
        parse_tile_path(path)


@pytest.mark.parametrize(("level", "index", "width"), [(-1, 0, 1), (64, 0, 1), (0, -1, 1), (0, 0, 0), (0, 0, 257)])
def test_a_tile_that_cannot_be_has_no_path(level: int, index: int, width: int) -> None:
    with pytest.raises(ValueError, match="tile"):
        tile_path(level, index, width)


def test_widths_are_those_of_the_specification() -> None:
    assert partial_widths(0) == []
    assert partial_widths(70_000) == [112, 17, 1]
    assert partial_widths(256) == [0, 1]
    assert compute_tile_width(0, 272, 70_000) == 256
    assert compute_tile_width(0, 273, 70_000) == 112
    assert compute_tile_width(0, 274, 70_000) == 0
    assert compute_tile_width(1, 1, 70_000) == 17
    assert compute_tile_width(2, 0, 70_000) == 1


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=20))
def test_a_bundle_gives_its_entries_back(entries: list[bytes]) -> None:
    data = encode_bundle(entries)
    assert decode_bundle(data, len(entries)) == entries
    for broken, width in ((data[:-1], len(entries)), (data + b"\0", len(entries)), (data, len(entries) + 1)):
        with pytest.raises(EncodingError):
            decode_bundle(broken, width)
    if len(entries) > 1:
        with pytest.raises(EncodingError):
            decode_bundle(data, len(entries) - 1)


def test_a_bundle_has_big_endian_lengths_and_holds_no_more_than_they_can_say() -> None:
    assert encode_bundle([b"ab", b"c" * 258]) == b"\x00\x02ab\x01\x02" + b"c" * 258
    assert decode_bundle(encode_bundle([bytes(65_535)]), 1) == [bytes(65_535)]
    with pytest.raises(ValueError, match="bundle"):
        encode_bundle([bytes(65_536)])
    with pytest.raises(ValueError, match="bundle"):
        encode_bundle([b""] * 257)
