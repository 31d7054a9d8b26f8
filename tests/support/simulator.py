"""One log folded by many nodes: real `prepare`, `needs` and `fold` over rows in a dictionary.

A `Replica` is a node's worker for one partition: it loads exactly the keys that `needs` asks for, applies effects as
the store does, and can be set to any batch sizes. A `Network` holds a log a partition, one replica each that follows at
once, and makes the relays of partition 0's decisions. `dump` says what a replica holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import copy
from dataclasses import dataclass, field, replace
from typing import Any

from carenet.ledger.checkpoint import Checkpoint, origin_of
from carenet.ledger.notes import sign_note
from carenet.ledger.prover import inclusion_path
from carenet.ledger.tree import Tree
from carenet.rules.effects import Accepted, Effects, Rejected
from carenet.rules.fold import fold, genesis_rows, needs
from carenet.rules.permits import Permits
from carenet.rules.prepare import RawRecord, Scope, prepare, scope_of
from carenet.rules.rows import (
    AcceptedKey,
    AcceptedRow,
    EpochsKey,
    EpochsRow,
    GrantRow,
    GrantsKey,
    GrantsRow,
    Key,
    ParticipantKey,
    ParticipantRow,
    PartitionState,
    Row,
    SubjectKey,
    SubjectRow,
)
from carenet.rules.view import View
from carenet.statements.records import RelayProof
from tests.support.actors import Actor
from tests.support.world import Message, World


class Replica:
    """A node's copy of one partition.

    Attributes:
        state: the partition's place.
        entries: accepted statements in log order.
        rejections: refused records in offset order.
        tiles: full tiles by (level, index).
        rows: decision rows by key, apart from grants and accepted statements.
        given: every grant of a subject, ended ones too, in the order in which they were given.
    """

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.state = PartitionState(scope.partition, 0, 0, Tree())
        self.entries: list[Accepted] = []
        self.rejections: list[Rejected] = []
        self.tiles: dict[tuple[int, int], bytes] = {}
        self.rows: dict[Key, Row] = dict(genesis_rows(scope))
        self.given: dict[bytes, dict[bytes, GrantRow]] = {}
        self.permits = Permits()

    def copy(self) -> Replica:
        """A replica that goes its own way from here; rows are frozen, so they are shared."""
        twin = copy(self)
        twin.entries, twin.rejections = list(self.entries), list(self.rejections)
        twin.tiles, twin.rows = dict(self.tiles), dict(self.rows)
        twin.given = {subject: dict(grants) for subject, grants in self.given.items()}
        twin.permits = Permits()
        return twin

    def load(self, key: Key) -> Row | None:
        """One row as the store would read it."""
        if isinstance(key, AcceptedKey):
            return self._accepted(key)
        if isinstance(key, GrantsKey):
            active = [grant for grant in self.given.get(key.on_subject, {}).values() if grant.to_seq is None]
            return GrantsRow(tuple(active)) if active else None
        return self.rows.get(key)

    def fold(self, records: Iterable[RawRecord], next_offset: int | None = None) -> Effects:
        """Decide and apply one batch."""
        batch = [prepare(record, self.scope) for record in records]
        self.permits.attach(batch, self.state)
        loaded: dict[Key, Row | None] = {}
        view = View(loaded, permits=self.permits)
        while missing := needs(batch, view, self.scope):
            loaded |= {key: self.load(key) for key in missing}
        end = next_offset if next_offset is not None else (batch[-1].offset + 1 if batch else self.state.next_offset)
        effects = fold(batch, view, self.state, self.scope, end)
        self.apply(effects)
        return effects

    def apply(self, effects: Effects) -> None:
        """Write a batch's effects as the store's one transaction does."""
        assert effects.before == self.state.next_offset, "the compare-and-set fails"
        self.state = effects.state
        self.entries += effects.accepted
        self.rejections += effects.rejected
        for tile in effects.tiles:
            assert (tile.level, tile.index) not in self.tiles
            self.tiles[tile.level, tile.index] = tile.hashes
        for key, row in effects.writes.items():
            if isinstance(row, GrantsRow):
                assert isinstance(key, GrantsKey)
                self.given.setdefault(key.on_subject, {}).update({grant.id: grant for grant in row.grants})
            else:
                self.rows[key] = row

    def dump(self) -> dict[str, object]:
        """All that replicas must agree on, as values."""
        return {
            "offset": self.state.next_offset,
            "time": self.state.log_time_ms,
            "size": self.state.tree.size,
            "root": self.state.tree.root(),
            "frontier": self.state.tree.encode(),
            "tiles": self.tiles,
            "entries": [(each.index, each.entry.encode(), each.statement.encoded, each.body) for each in self.entries],
            "rows": self.rows,
            "grants": self.given,
        }

    def refusals(self) -> list[Rejected]:
        """The refused records; no part of the replicated state, and yet alike."""
        return list(self.rejections)

    def participant(self, who: bytes) -> ParticipantRow | None:
        """A participant's row."""
        row = self.rows.get(ParticipantKey(who))
        assert row is None or isinstance(row, ParticipantRow)
        return row

    def subject(self, subject: bytes) -> SubjectRow | None:
        """A subject's row."""
        row = self.rows.get(SubjectKey(subject))
        assert row is None or isinstance(row, SubjectRow)
        return row

    def epochs(self, subject: bytes) -> dict[str, tuple[bytes, ...]]:
        """A subject's epoch ids by compartment, the current one last."""
        row = self.rows.get(EpochsKey(subject))
        assert row is None or isinstance(row, EpochsRow)
        return {epoch.compartment: epoch.ids for epoch in row.epochs} if row else {}

    def _accepted(self, key: AcceptedKey) -> AcceptedRow | None:
        for each in self.entries:
            if (each.entry.subject, each.entry.digest) == (key.in_timeline, key.digest):
                header = each.statement.header
                return AcceptedRow(each.entry.seq, header.issuer, header.type, header.compartment)
        return None


@dataclass
class Network:
    """A log a partition, and a replica each that follows it record by record.

    Attributes:
        world: the actors.
        logs: the records of every partition.
        replicas: one a partition.
        relayed: how many network statements have been relayed by `relay_all`.
    """

    world: World
    logs: list[list[RawRecord]] = field(default_factory=list)
    replicas: list[Replica] = field(default_factory=list)
    relayed: int = 0

    def __post_init__(self) -> None:
        if not self.logs:
            partitions = range(self.world.genesis.partitions)
            self.logs = [[] for _ in partitions]
            self.replicas = [Replica(scope_of(self.world.genesis, partition)) for partition in partitions]

    def copy(self) -> Network:
        """A network that goes its own way from here, with a clock of its own."""
        logs, replicas = [list(log) for log in self.logs], [replica.copy() for replica in self.replicas]
        return Network(copy(self.world), logs, replicas, self.relayed)

    def append(self, partition: int, key: bytes | None, value: bytes | None, **changes: Any) -> RawRecord:
        """Put a record into a log without folding it; `changes` are fields of `RawRecord`."""
        log = self.logs[partition]
        offset = log[-1].offset + 1 if log else 0
        record = replace(RawRecord(offset, key, value, self.world.clock_ms, is_log_append_time=True), **changes)
        log.append(record)
        return record

    def publish(self, message: Message) -> Accepted | Rejected:
        """Publish a message where it belongs and fold it at once."""
        return self.deliver(self.world.partition(message.statement.header.subject), message.key, message.value)

    def deliver(self, partition: int, key: bytes | None, value: bytes | None, **changes: Any) -> Accepted | Rejected:
        """Publish any record anywhere and fold it at once."""
        effects = self.replicas[partition].fold([self.append(partition, key, value, **changes)])
        (outcome,) = effects.accepted + effects.rejected
        return outcome

    def relay_all(self) -> None:
        """Relay what partition 0 has accepted since the last time, in order, to every other partition."""
        accepted = [each for each in self.replicas[0].entries if each.entry.subject == self.world.network]
        for each in accepted[self.relayed :]:
            message = self.relay(each)
            for partition in range(1, self.world.genesis.partitions):
                self.deliver(partition, message.key, message.value)
        self.relayed = len(accepted)

    def relay(self, accepted: Accepted, size: int | None = None, signers: Iterable[Actor] | None = None) -> Message:
        """The relay of an entry of partition 0, proved at a size of its log."""
        replica = self.replicas[0]
        tiles: Mapping[tuple[int, int], bytes] = replica.tiles | replica.state.tree.partial_tiles()
        size = size or replica.state.tree.size
        path = tuple(inclusion_path(accepted.index, size, tiles))
        note = self.note(0, size, self.world.nodes[: self.world.genesis.quorum] if signers is None else signers)
        return Message(
            accepted.statement, accepted.body, RelayProof(accepted.entry.encode(), accepted.index, path, note)
        )

    def note(self, partition: int, size: int, signers: Iterable[Actor]) -> str:
        """A partition's checkpoint at a size, with a line of each signer."""
        tree = Tree()
        for each in self.replicas[partition].entries[:size]:
            tree.append(each.entry.leaf_hash)
        origin = origin_of(self.world.network, partition)
        text = Checkpoint(origin, size, tree.root()).text()
        return text + "\n" + "".join(sign_note(text, origin, each.key).partition("\n\n")[2] for each in signers)


def fold_again(network: Network, partition: int, cuts: Iterable[int]) -> Replica:
    """A new node's replica of a log, folded in batches that end at the given places (numbers of records)."""
    replica = Replica(scope_of(network.world.genesis, partition))
    log = network.logs[partition]
    ends = sorted({cut % (len(log) + 1) for cut in cuts} | {len(log)})
    for start, end in zip([0, *ends], ends, strict=False):
        if start != end:
            replica.fold(log[start:end])
    return replica
