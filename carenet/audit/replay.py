"""The judge: folds one partition's stored statements again and says where the store differs.

For each stored entry, in log order:
1. the statement and body are decided anew by the fold, signatures included (stops an altered event or body);
2. the entry that results is the stored one, byte for byte (stops altered, swapped, deleted and inserted entries);
3. a network statement in another partition than 0 is partition 0's own entry (stops a chain that forked).
At the end: each checkpoint's signature and root (stops rewritten history), the stored rows and tiles.

After a break the partition's replay stops, since everything after it hangs on what is broken.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from carenet.encoding.ids import encode_id
from carenet.errors import BadInputError, NoteError, StatementError
from carenet.ledger.entry import decode_entry
from carenet.ledger.prover import TileAt, inclusion_path
from carenet.ledger.tree import Tree
from carenet.rules.effects import Accepted, Effects
from carenet.rules.fold import fold, genesis_rows, needs
from carenet.rules.prepare import Prepared, RawRecord, prepare, scope_of
from carenet.rules.relay import open_checkpoint
from carenet.rules.rows import (
    AcceptedKey,
    AcceptedRow,
    GrantRow,
    GrantsKey,
    GrantsRow,
    Key,
    PartitionState,
    Row,
    SubjectRow,
    settled,
)
from carenet.rules.view import View
from carenet.statements.genesis import Genesis
from carenet.statements.records import NETWORK_PARTITION, RecordValue, RelayProof, encode_record
from carenet.statements.statement import parse_statement


@dataclass(frozen=True, slots=True)
class StoredEntry:
    """A row of the entries table, believed by nobody."""

    index: int
    entry: bytes
    statement: bytes
    body: bytes | None


@dataclass(frozen=True, slots=True)
class Break:
    """Where the store is not what was signed.

    Attributes:
        partition: the partition's number.
        index: the entry's place in its log, or None where it is about no single entry.
        what: what differs.
    """

    partition: int
    index: int | None
    what: str


@dataclass(slots=True)
class PartitionReport:
    """What the replay of one partition found.

    Attributes:
        entries: entries derived again.
        signatures: statements whose signatures were verified (a relayed one is partition 0's, and counted there).
        chains: subjects whose chain was derived again.
        checkpoints: signed roots that were compared.
        breaks: what does not hold.
    """

    entries: int = 0
    signatures: int = 0
    chains: int = 0
    checkpoints: int = 0
    breaks: list[Break] = field(default_factory=list)


class Replay:
    """One partition's replay.

    Args:
        genesis: the network's.
        partition: its number.
        relays: partition 0's proofs of its network entries, by sequence number; not asked in partition 0 itself.
    """

    def __init__(self, genesis: Genesis, partition: int, relays: Mapping[int, RelayProof] | None = None) -> None:
        self.genesis = genesis
        self.scope = scope_of(genesis, partition)
        self.relays = relays or {}
        self.rows: dict[Key, Row] = dict(genesis_rows(self.scope))
        self.state = PartitionState(partition, 0, 0, Tree())
        self.report = PartitionReport()
        self.roots: dict[int, bytes] = {}
        self.tiles: dict[TileAt, bytes] = {}
        self.network_entries: list[tuple[int, bytes]] = []
        self.grants: dict[tuple[bytes, bytes], GrantRow] = {}  # by subject and id, ended ones too

    @property
    def is_broken(self) -> bool:
        """Whether a break was found."""
        return bool(self.report.breaks)

    def feed(self, page: Sequence[StoredEntry], signed_sizes: AbstractSet[int] = frozenset()) -> None:
        """Judge the next stored entries.

        Args:
            page: in log order, following what was fed before.
            signed_sizes: the sizes of stored checkpoints: the roots there are remembered for `judge_checkpoint`.
        """
        batch: list[StoredEntry] = []
        for stored in page:
            batch.append(stored)
            if stored.index + 1 in signed_sizes:
                self._judge_batch(batch)
                self.roots[self.state.tree.size] = self.state.tree.root()
                batch = []
        self._judge_batch(batch)

    def prove_network_entries(self, note: str) -> dict[int, RelayProof]:
        """Proofs of partition 0's network entries under its latest checkpoint, for the replays of the others."""
        checkpoint = open_checkpoint(note, self.genesis, self.scope.partition)
        tiles = self.tiles | self.state.tree.partial_tiles()
        return {
            seq: RelayProof(entry, index, tuple(inclusion_path(index, checkpoint.size, tiles)), note)
            for seq, (index, entry) in enumerate(self.network_entries)
            if index < checkpoint.size
        }

    def judge_checkpoint(self, note: str) -> None:
        """Compare a stored checkpoint's signatures and root with what was derived."""
        try:
            checkpoint = open_checkpoint(note, self.genesis, self.scope.partition)
        except NoteError as exc:
            self._break(None, f"a stored checkpoint does not hold: {exc}")
            return
        root = self.roots.get(checkpoint.size)
        if checkpoint.size > self.state.tree.size:
            self._break(None, f"a checkpoint covers {checkpoint.size} entries; {self.state.tree.size} are stored")
        elif root != checkpoint.root:
            self._break(None, f"the signed root at size {checkpoint.size} is not that of the stored entries")
        else:
            self.report.checkpoints += 1

    def judge_rows(self, stored: Mapping[Key, Row | None]) -> None:
        """Compare stored decision rows with the derived ones."""
        for key, row in stored.items():
            if settled(self.rows.get(key)) != row:
                self._break(None, f"the stored {type(key).__name__} row is not what the statements lead to")
                return

    def judge_grants(self, stored: Mapping[tuple[bytes, bytes], GrantRow]) -> None:
        """Compare all stored grants, by subject and id, with all that were ever derived, ended ones included."""
        for at in sorted(self.grants.keys() | stored.keys()):
            if stored.get(at) != self.grants.get(at):
                self._break(None, "a stored grant is not what the statements lead to")
                return

    def judge_tiles(self, stored: Mapping[TileAt, bytes]) -> None:
        """Compare stored full tiles with the derived ones."""
        for at in sorted(self.tiles.keys() | stored.keys()):
            if stored.get(at) != self.tiles.get(at):
                self._break(None, f"tile {at[0]}/{at[1]} is not that of the stored entries")
                return

    def finish(self) -> PartitionReport:
        """The report, with chains counted."""
        self.report.chains = sum(isinstance(row, SubjectRow) and row.next_seq > 0 for row in self.rows.values())
        return self.report

    def _judge_batch(self, batch: Sequence[StoredEntry]) -> None:
        if not batch or self.is_broken:
            return
        records, unreadable = self._read_batch(batch)
        effects = self._fold(records)
        accepted = {each.offset: each for each in effects.accepted}
        refused = {each.offset: each.reason for each in effects.rejected}
        for stored in batch[: len(records)]:
            if stored.index in refused:
                self._break(stored.index, f"the statement is refused when decided again: {refused[stored.index]}")
                return
            if accepted[stored.index].entry.encode() != stored.entry:
                self._break(stored.index, "the stored entry is not the one that its statement leads to")
                return
            self._count(accepted[stored.index], stored)
        self._absorb(effects)
        if unreadable is not None:
            self.report.breaks.append(unreadable)

    def _read_batch(self, batch: Sequence[StoredEntry]) -> tuple[list[Prepared], Break | None]:
        records = []
        for index, stored in enumerate(batch, self.state.tree.size):
            try:
                records.append(self._read(index, stored))
            except BadInputError as exc:
                return records, Break(self.scope.partition, index, str(exc))
        return records, None

    def _read(self, index: int, stored: StoredEntry) -> Prepared:
        if stored.index != index:
            raise StatementError(f"entry {index} is missing: the next one stored is {stored.index}")
        entry = decode_entry(stored.entry)
        subject = parse_statement(stored.statement).header.subject
        proof = None
        if subject == self.scope.network and self.scope.partition != NETWORK_PARTITION:
            proof = self.relays.get(entry.seq)
            if proof is None or proof.entry != stored.entry:
                raise StatementError("a network entry is not partition 0's own")
        value = encode_record(RecordValue(stored.statement, stored.body, proof))
        raw = RawRecord(index, encode_id(subject).encode(), value, entry.log_time_ms, is_log_append_time=True)
        return prepare(raw, self.scope)

    def _fold(self, records: Sequence[Prepared]) -> Effects:
        loaded: dict[Key, Row | None] = {}
        view = View(loaded)
        while missing := needs(records, view, self.scope):
            loaded.update((key, settled(self.rows.get(key))) for key in missing)
        return fold(records, view, self.state, self.scope, self.state.tree.size + len(records))

    def _count(self, accepted: Accepted, stored: StoredEntry) -> None:
        self.report.entries += 1
        header = accepted.statement.header
        row = AcceptedRow(accepted.entry.seq, header.issuer, header.type, header.compartment)
        self.rows[AcceptedKey(header.subject, accepted.statement.digest)] = row
        if header.subject != self.scope.network:
            self.report.signatures += 1
        elif self.scope.partition == NETWORK_PARTITION:
            self.report.signatures += 1
            self.network_entries.append((stored.index, stored.entry))

    def _absorb(self, effects: Effects) -> None:
        self.rows.update(effects.writes)
        for key, row in effects.writes.items():
            if isinstance(key, GrantsKey) and isinstance(row, GrantsRow):
                self.grants.update(((key.on_subject, grant.id), grant) for grant in row.grants)
        self.state = effects.state
        self.tiles.update(((tile.level, tile.index), tile.hashes) for tile in effects.tiles)

    def _break(self, index: int | None, what: str) -> None:
        self.report.breaks.append(Break(self.scope.partition, index, what))
