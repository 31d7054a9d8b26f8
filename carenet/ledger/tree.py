"""The tree of one partition's log as it grows: appending is cheap, the root is computed once a batch.

The tree keeps nothing but its right edge: at each tile level the hashes of the tile that is not full yet (the tail).
256 hashes at a level become a full tile, which is handed out once through `drain_tiles`, and one hash at the level
above. So the state is at most 255 hashes a level, fits in one row, and says the same bytes on every replica.

    tree = Tree.decode(size, frontier)
    for entry in accepted:
        tree.append(hash_leaf(entry))
    tiles, frontier, root = tree.drain_tiles(), tree.encode(), tree.root()

Not done here: storing tiles, and proofs (`carenet.ledger.prover`).
"""

from __future__ import annotations

from dataclasses import dataclass

from carenet.errors import EncodingError
from carenet.ledger.hashes import EMPTY_ROOT, HASH_BYTES, hash_node, hash_perfect_subtree
from carenet.ledger.tiles import TILE_BITS, TILE_BYTES, partial_widths


@dataclass(frozen=True, slots=True)
class Tile:
    """A full tile.

    Attributes:
        level: 0 for leaf hashes, 1 for the roots of full tiles of level 0, and so on.
        index: place within the level, from 0.
        hashes: 256 hashes, 8,192 bytes.
    """

    level: int
    index: int
    hashes: bytes


class Tree:
    """An RFC 6962 tree that can grow.

    Attributes:
        size: how many leaves it has.
    """

    __slots__ = ("_full", "_tails", "size")

    def __init__(self) -> None:
        self.size = 0
        self._tails: list[bytearray] = [bytearray()]  # one for each tile level; each shorter than TILE_BYTES
        self._full: list[Tile] = []

    def append(self, leaf_hash: bytes) -> None:
        """Add a leaf.

        Args:
            leaf_hash: `hash_leaf` of the entry, 32 bytes.

        Raises:
            ValueError: another length; every later hash would be out of step.
        """
        if len(leaf_hash) != HASH_BYTES:
            raise ValueError("a leaf hash has 32 bytes")
        tail = self._tails[0]
        tail += leaf_hash
        self.size += 1
        if len(tail) == TILE_BYTES:
            self._complete_tiles()

    def root(self) -> bytes:
        """The root hash, 32 bytes; up to 255 hashes a level are computed for it.

        Source: RFC 6962 section 2.1.
        """
        if not self.size:
            return EMPTY_ROOT
        root: bytes | None = None
        for tail in self._tails:
            root = _fold_row(bytes(tail), root)
        assert root is not None, "a tree with leaves has a hash in some tail"
        return root

    def drain_tiles(self) -> list[Tile]:
        """The tiles that became full since the last call, each one once, in the order in which they filled."""
        full, self._full = self._full, []
        return full

    def partial_tiles(self) -> dict[tuple[int, int], bytes]:
        """The tails by (level, index), empty ones left out.

        With the full tiles these are all that `carenet.ledger.prover` asks for, at this size or any smaller one.
        """
        return {
            (level, self.size >> (TILE_BITS * (level + 1))): bytes(tail)
            for level, tail in enumerate(self._tails)
            if tail
        }

    def encode(self) -> bytes:
        """The tails, level 0 first, without separators: the size says how long each one is."""
        return b"".join(self._tails)

    @classmethod
    def decode(cls, size: int, data: bytes) -> Tree:
        """Restore a tree from its size and what `encode` gave.

        Raises:
            EncodingError: a negative size, or other bytes than a tree of that size has.
        """
        widths = partial_widths(size) if size >= 0 else None
        if widths is None or len(data) != sum(widths) * HASH_BYTES:
            raise EncodingError(f"{len(data)} bytes are not the frontier of a tree of {size} leaves")
        tree = cls()
        tree.size = size
        at = 0
        tails = []
        for width in widths:
            tails.append(bytearray(data[at : at + width * HASH_BYTES]))
            at += width * HASH_BYTES
        tree._tails = tails or tree._tails
        return tree

    def copy(self) -> Tree:
        """A tree that grows on its own from here, with the same tiles still to be drained."""
        twin = Tree()
        twin.size = self.size
        twin._tails = [bytearray(tail) for tail in self._tails]
        twin._full = list(self._full)
        return twin

    def __repr__(self) -> str:
        return f"<Tree of {self.size} leaves, {len(self._full)} full tiles to drain>"

    def _complete_tiles(self) -> None:
        level = 0
        while len(self._tails[level]) == TILE_BYTES:
            hashes = bytes(self._tails[level])
            self._full.append(Tile(level, (self.size >> (TILE_BITS * (level + 1))) - 1, hashes))
            self._tails[level].clear()
            level += 1
            if level == len(self._tails):
                self._tails.append(bytearray())
            self._tails[level] += hash_perfect_subtree(hashes)


def _fold_row(hashes: bytes, right: bytes | None) -> bytes | None:
    """Join a row of equal perfect subtrees with whatever smaller tree stands to their right."""
    end = len(hashes)
    count = end // HASH_BYTES
    for bit in range(TILE_BITS):
        span = 1 << bit
        if count & span:  # the binary digits of the count are the perfect subtrees, the smallest one rightmost
            start = end - span * HASH_BYTES
            subtree = hash_perfect_subtree(hashes[start:end])
            right = subtree if right is None else hash_node(subtree, right)
            end = start
    return right
