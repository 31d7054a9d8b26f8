"""A log whose node signs receipts, for what a client checks: statements are recorded as they come, none is judged."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from carenet.client.wire import to_text
from carenet.ledger.checkpoint import Checkpoint, origin_of
from carenet.ledger.entry import NO_PREV, Entry
from carenet.ledger.prover import inclusion_path, tiles_for_inclusion
from carenet.ledger.receipts import build_receipt
from carenet.ledger.tree import Tree
from carenet.statements.statement import Statement
from tests.support.world import World


@dataclass
class ProvenLog:
    """One world's logs.

    Attributes:
        world: whose first node signs.
    """

    world: World
    trees: dict[int, Tree] = field(default_factory=dict)
    heads: dict[bytes, tuple[int, bytes]] = field(default_factory=dict)

    def append(self, statement: Statement) -> tuple[Entry, int, int]:
        """Record a statement: its entry, partition and index."""
        subject = statement.header.subject
        seq, prev = self.heads.get(subject, (0, NO_PREV))
        entry = Entry(subject, seq, prev, statement.digest, self.world.clock_ms)
        partition = self.world.partition(subject)
        tree = self.trees.setdefault(partition, Tree())
        index = tree.size
        tree.append(entry.leaf_hash)
        self.heads[subject] = (seq + 1, entry.leaf_hash)
        return entry, partition, index

    def receipt(self, entry: Entry, partition: int, index: int) -> bytes:
        """A receipt by the first node, at the log's present size."""
        tree = self.trees[partition]
        checkpoint = Checkpoint(origin_of(self.world.network, partition), tree.size, tree.root())
        tiles = tree.partial_tiles()
        assert tiles_for_inclusion(index, tree.size) <= tiles.keys(), "fewer entries than a full tile"
        path = inclusion_path(index, tree.size, tiles)
        return build_receipt(checkpoint, entry.encode(), index, path, self.world.nodes[0].key)

    def shown(self, statement: Statement) -> dict[str, Any]:
        """Record a statement, and what a gateway shows of it."""
        entry, partition, index = self.append(statement)
        return {
            "statement": to_text(statement.encoded),
            "entry": to_text(entry.encode()),
            "receipt": to_text(self.receipt(entry, partition, index)),
        }

    def pushed(self, statement: Statement, body: bytes | None, *, backlog: bool = False) -> dict[str, Any]:
        """Record a statement, and the push that carries it."""
        entry, partition, index = self.append(statement)
        return {
            "type": "entry",
            "partition": partition,
            "index": index,
            "entry": to_text(entry.encode()),
            "statement": to_text(statement.encoded),
            "body": None if body is None else to_text(body),
            "backlog": backlog,
        }


def described_participant(log: ProvenLog, statements: list[Statement], **changes: Any) -> dict[str, Any]:
    """The answer to `describe {participant}`, with these statements recorded as proof."""
    return {"type": "reply", "suspended": False, "statements": [log.shown(each) for each in statements], **changes}
