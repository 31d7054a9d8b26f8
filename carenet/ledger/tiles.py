"""How a log is laid out as C2SP tlog-tiles: which tile holds what, its path, and bundles of entries.

A tile at level L holds up to 256 concatenated hashes, each the root of a perfect subtree of 256**L leaves. So the tiles
of level L + 1 are the roots of the full tiles of level L, and a tree of n leaves has at each level full tiles and at
most one partial one. Paths: `tile/<level>/<index>`, with `.p/<width>` for a partial tile, and `tile/entries/<index>`
for the entries themselves; the index is written in groups of three digits, `x001/x234/067` for 1234067.

Not done here: hashing (`carenet.ledger.tree`) and serving.

Source: C2SP tlog-tiles, "Merkle Tree" and "Log entries".
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from carenet.encoding.cbor import MAX_INT
from carenet.errors import EncodingError
from carenet.ledger.hashes import HASH_BYTES

TILE_WIDTH = 256
TILE_BYTES = TILE_WIDTH * HASH_BYTES
TILE_BITS = 8  # 256 == 1 << 8: how many tree levels one tile level spans
MAX_TILE_LEVEL = 63
MAX_ENTRY_BYTES = 0xFFFF  # what a bundle's 16-bit length can say

_LENGTH_BYTES = 2
_MAX_PATH = 64  # longer than the path of any index that we accept, checked before the pattern runs
_PATH = re.compile(
    r"tile/(?P<level>entries|0|[1-9][0-9]?)"
    r"/(?P<index>(?:x[0-9]{3}/)*[0-9]{3})"
    r"(?:\.p/(?P<width>[1-9][0-9]{0,2}))?\Z"
)


@dataclass(frozen=True, slots=True)
class TilePath:
    """What a path names.

    Attributes:
        level: 0..63, or None for a bundle of entries.
        index: the tile's index within its level, from 0.
        width: 1..256 hashes or entries; 256 is a full one.
    """

    level: int | None
    index: int
    width: int


def compute_tile_width(level: int, index: int, size: int) -> int:
    """How many hashes tile (level, index) has in a tree of `size` leaves: 0..256.

    Source: C2SP tlog-tiles, "Partial Tiles".
    """
    return max(0, min(TILE_WIDTH, (size >> (TILE_BITS * level)) - index * TILE_WIDTH))


def partial_widths(size: int) -> list[int]:
    """The widths of a tree's partial tiles, level 0 first: 0..255 each, 0 where a level has none.

    Ends at the highest level that has a hash at all, so an empty tree has none.
    """
    widths = []
    while size:
        widths.append(size % TILE_WIDTH)
        size >>= TILE_BITS
    return widths


def tile_path(level: int, index: int, width: int = TILE_WIDTH) -> str:
    """The path of a tile of hashes, relative to the log's prefix.

    Args:
        level: 0..63.
        index: from 0.
        width: 1..256 hashes.

    Raises:
        ValueError: an argument outside its range.
    """
    if not 0 <= level <= MAX_TILE_LEVEL:
        raise ValueError(f"a tile's level lies within 0..{MAX_TILE_LEVEL}")
    return f"tile/{level}/{_index_path(index, width)}"


def entries_path(index: int, width: int = TILE_WIDTH) -> str:
    """The path of a bundle of entries, relative to the log's prefix. Arguments and errors as in `tile_path`."""
    return f"tile/entries/{_index_path(index, width)}"


def parse_tile_path(path: str) -> TilePath:
    """Read a path that `tile_path` or `entries_path` wrote.

    Raises:
        EncodingError: anything that those would not write.
    """
    match = _PATH.match(path) if len(path) <= _MAX_PATH else None
    if match is None:
        raise EncodingError("a tile's path is tile/<level or entries>/<index>[.p/<width>]")
    level = None if match["level"] == "entries" else int(match["level"])
    index = int(match["index"].replace("x", "").replace("/", ""))
    width = int(match["width"] or TILE_WIDTH)
    if index > MAX_INT or width > TILE_WIDTH or (level or 0) > MAX_TILE_LEVEL:
        raise EncodingError("a tile's level, index or width is out of range")
    parsed = TilePath(level, index, width)
    written = entries_path(index, width) if level is None else tile_path(level, index, width)
    if written != path:  # x000/001 for 001, or .p/256 for a full one: one tile has one path
        raise EncodingError("a tile's path has no leading groups of zeroes, and no width when it is full")
    return parsed


def encode_bundle(entries: Sequence[bytes]) -> bytes:
    """Concatenate up to 256 entries, each after its 16-bit big-endian length.

    Raises:
        ValueError: more than 256 entries, or one longer than 65,535 bytes.

    Source: C2SP tlog-tiles, "Log entries".
    """
    if len(entries) > TILE_WIDTH or any(len(entry) > MAX_ENTRY_BYTES for entry in entries):
        raise ValueError("a bundle holds at most 256 entries of at most 65,535 bytes")
    return b"".join(len(entry).to_bytes(_LENGTH_BYTES, "big") + entry for entry in entries)


def decode_bundle(data: bytes, width: int) -> list[bytes]:
    """Read a bundle.

    Args:
        data: as served.
        width: how many entries its path promises, 1..256.

    Raises:
        EncodingError: it holds more or fewer entries, or ends in the middle of one.
    """
    entries: list[bytes] = []
    at = 0
    while at < len(data) and len(entries) < width:
        start = at + _LENGTH_BYTES
        end = start + int.from_bytes(data[at:start], "big")
        entries.append(data[start:end])
        at = end
    if at != len(data) or len(entries) != width:  # beyond the end after an entry that is cut off
        raise EncodingError(f"a bundle does not hold exactly the {width} entries that its path promises")
    return entries


def _index_path(index: int, width: int) -> str:
    if not (0 <= index <= MAX_INT and 1 <= width <= TILE_WIDTH):
        raise ValueError("a tile's index is not negative and its width lies within 1..256")
    rest, last = divmod(index, 1000)
    groups = [f"{last:03}"]
    while rest:
        rest, group = divmod(rest, 1000)
        groups.append(f"x{group:03}")
    partial = "" if width == TILE_WIDTH else f".p/{width}"
    return "/".join(reversed(groups)) + partial
