"""Judge a node's database: every partition replayed from its statements, and all that the store claims compared.

All is read as of one moment, so that a node that folds meanwhile disturbs nothing. Partition 0 comes first, since its
network entries are what the others must have been relayed; if it is broken, the others are not looked at. Of each:
1. the entries, page by page, are decided again (`replay`); each row's other columns must say what its statement says,
   since a gateway goes by them;
2. every checkpoint's signature and root, and its receipt;
3. the full tiles;
4. the decision state: every row that the statements lead to, and not one more (stops a grant that nobody gave);
5. the partition's own place: size, time, frontier, and that offsets only grow.
Not looked at: refusals and agents' figures, which are no part of what was signed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import asyncpg

from carenet.audit.replay import Break, PartitionReport, Replay, StoredEntry
from carenet.encoding.ids import sha256
from carenet.errors import BadInputError
from carenet.ledger.checkpoint import origin_of
from carenet.ledger.entry import decode_entry
from carenet.ledger.receipts import verify_receipt
from carenet.rules.rows import (
    AcceptedKey,
    EpochsRow,
    IdempotencyKey,
    ParticipantKey,
    ReactionKey,
    SubjectKey,
    SubjectRow,
)
from carenet.statements.genesis import Genesis
from carenet.statements.records import NETWORK_PARTITION, RelayProof
from carenet.statements.statement import parse_statement
from carenet.store import stored
from carenet.store.faults import translated
from carenet.store.rows import load_rows, read_grant
from carenet.store.schema import check_schema
from carenet.store.store import Snapshot

_PAGE_ENTRIES = 256  # bodies have up to 900 KiB, so a page may be 230 MB
_PAGE_CHECKPOINTS = 1000
_PAGE_ROWS = 2000
_CONNECT_TIMEOUT_S = 5.0
# The seq scans that the fold must avoid are what a census wants, and a long replay sits idle between two questions.
_SESSION = {"application_name": "carenet-verify", "idle_in_transaction_session_timeout": "0"}

_COUNTED = {
    "participants": ParticipantKey,
    "subjects": SubjectKey,
    "idempotency": IdempotencyKey,
    "reactions": ReactionKey,
}
_CENSUS = """SELECT (SELECT count(*) FROM participants WHERE partition = $1) AS participants,
    (SELECT count(*) FROM subjects WHERE partition = $1) AS subjects,
    (SELECT count(*) FROM idempotency WHERE partition = $1) AS idempotency,
    (SELECT count(*) FROM reactions WHERE partition = $1) AS reactions,
    (SELECT count(*) FROM epochs WHERE partition = $1) AS epochs,
    (SELECT count(*) FROM tiles WHERE partition = $1) AS tiles"""
_STRANGERS = "SELECT count(*) FROM entries WHERE NOT partition = ANY($1::int[])"
_GRANTS = "SELECT * FROM grants WHERE partition = $1"

OnProgress = Callable[[int, int], None]
"""Told how many entries were judged, of how many."""


@dataclass(slots=True)
class DatabaseReport:
    """What was found.

    Attributes:
        partitions: the report of each partition that was judged.
        unchecked: partitions that were wanted and could not be judged, since partition 0 is broken.
        timelines: how many entries of each subject were derived again.
    """

    partitions: dict[int, PartitionReport] = field(default_factory=dict)
    unchecked: tuple[int, ...] = ()
    timelines: dict[bytes, int] = field(default_factory=dict)

    @property
    def entries(self) -> int:
        """Entries derived again; a relayed one counts in every log that has it."""
        return sum(report.entries for report in self.partitions.values())

    @property
    def signatures(self) -> int:
        """Statements whose signatures were verified."""
        return sum(report.signatures for report in self.partitions.values())

    @property
    def checkpoints(self) -> int:
        """Signed roots that were compared."""
        return sum(report.checkpoints for report in self.partitions.values())

    @property
    def chains(self) -> int:
        """Subjects whose chains were derived again; the network's counts once."""
        return len(self.timelines)

    @property
    def breaks(self) -> list[Break]:
        """Everything that does not hold, the first one first."""
        return [found for report in self.partitions.values() for found in report.breaks]


async def verify_database(
    dsn: str, genesis: Genesis, wanted: Collection[int] | None = None, on_progress: OnProgress | None = None
) -> DatabaseReport:
    """Judge a node's database.

    Args:
        dsn: where it is.
        genesis: the network's, which is all that is trusted.
        wanted: the partitions to judge, beside 0 which the others need; None for all.
        on_progress: told after every page.

    Raises:
        TransportError: the database cannot be reached; nothing is known then.
        SetupError: it is another network's, or of another version.
    """
    partitions = sorted(set(range(genesis.partitions) if wanted is None else wanted) | {NETWORK_PARTITION})
    async with _open_moment(dsn) as connection:
        with translated("reading the schema"):
            await check_schema(connection, genesis)
        return await _Audit(connection, genesis, on_progress).run(partitions)


@asynccontextmanager
async def _open_moment(dsn: str) -> AsyncIterator[Any]:
    """A connection that sees the database as of one moment and cannot write."""
    with translated("connecting to PostgreSQL"):
        connection = await asyncpg.connect(dsn, timeout=_CONNECT_TIMEOUT_S, server_settings=_SESSION)
    try:
        with translated("opening a snapshot"):
            await connection.transaction(isolation="repeatable_read", readonly=True).start()
        yield connection
    finally:
        connection.terminate()


class _Audit:
    """The replays of one database."""

    def __init__(self, connection: Any, genesis: Genesis, on_progress: OnProgress | None) -> None:
        self.connection = connection
        self.then = Snapshot(connection)
        self.genesis = genesis
        self.report = DatabaseReport()
        self._on_progress = on_progress
        self._done = self._total = 0

    async def run(self, partitions: Sequence[int]) -> DatabaseReport:
        heads = await self.then.heads()
        self._total = sum(heads[partition].size for partition in partitions if partition in heads)
        relays: dict[int, RelayProof] = {}
        for partition in partitions:
            replay = Replay(self.genesis, partition, relays)
            await _PartitionAudit(self, replay, heads.get(partition)).run()
            self._take(replay)
            if partition == NETWORK_PARTITION:
                if replay.is_broken:
                    self.report.unchecked = tuple(partitions[1:])
                    return self.report
                checkpoint = await self.then.latest_checkpoint(partition)
                relays = replay.prove_network_entries(checkpoint.note) if checkpoint else {}
        await self._look_for_strangers()
        return self.report

    def advance(self, entries: int) -> None:
        self._done += entries
        if self._on_progress is not None:
            self._on_progress(self._done, self._total)

    def _take(self, replay: Replay) -> None:
        self.report.partitions[replay.scope.partition] = replay.finish()
        for row in replay.rows.values():
            if isinstance(row, SubjectRow) and row.next_seq:
                self.report.timelines[row.subject] = row.next_seq

    async def _look_for_strangers(self) -> None:
        """Entries in partitions that the network does not have: nobody folds them, but a digest finds them."""
        found = await self.count(_STRANGERS, list(range(self.genesis.partitions)))
        if found:
            breaks = self.report.partitions[NETWORK_PARTITION].breaks
            breaks.append(Break(self.genesis.partitions, None, f"{found} entries in partitions that do not exist"))

    async def count(self, sql: str, argument: Any) -> int:
        with translated("counting rows"):
            return int(await self.connection.fetchval(sql, argument))


class _PartitionAudit:
    """One partition's replay, fed and compared."""

    def __init__(self, audit: _Audit, replay: Replay, head: stored.Head | None) -> None:
        self.audit, self.replay, self.head = audit, replay, head
        self.connection, self.then = audit.connection, audit.then
        self.partition = replay.scope.partition
        self.last_offset = -1
        self.leaves: dict[int, bytes] = {}  # the entry at each signed size - 1, which the checkpoint's receipt proves

    async def run(self) -> None:
        if self.head is None:
            self._break(None, "the partition was never seeded")
            return
        steps = (self._replay, self._judge_checkpoints, self._judge_tiles, self._judge_rows, self._judge_place)
        for step in steps:
            await step()
            if self.replay.is_broken:
                return

    async def _replay(self) -> None:  # 1
        assert self.head is not None
        sizes = {checkpoint.size async for checkpoint in self._checkpoints()}
        index = 0
        while page := await self.then.read_entries(self.partition, index, _PAGE_ENTRIES):
            self.replay.feed([StoredEntry(row.index, row.entry, row.statement, row.body) for row in page], sizes)
            if self.replay.is_broken:
                return
            for row in page:
                self._judge_columns(row)
                if row.index + 1 in sizes:
                    self.leaves[row.index + 1] = row.entry
            index = page[-1].index + 1
            self.audit.advance(len(page))
        if self.replay.state.tree.size != self.head.size:
            entries = self.replay.state.tree.size
            self._break(None, f"{self.head.size} entries are claimed and {entries} are stored: some are missing")

    def _judge_columns(self, row: stored.StoredEntry) -> None:
        """That the columns that gateways and agents read say what the statement, judged before, says."""
        header, entry = parse_statement(row.statement).header, decode_entry(row.entry)
        said = (entry.subject, entry.seq, sha256(row.statement), header.issuer, header.type, header.compartment)
        if said != (row.subject, row.seq, row.digest, row.issuer, row.type, row.compartment):
            self._break(row.index, "the row's columns are not what its statement says")
        if row.offset <= self.last_offset:
            self._break(row.index, "the record's offset is not above the one before it")
        self.last_offset = row.offset

    async def _judge_checkpoints(self) -> None:  # 2
        keys = {node.id: node.sign for node in self.audit.genesis.nodes}
        origin = origin_of(self.audit.genesis.network_id, self.partition)
        async for checkpoint in self._checkpoints():
            self.replay.judge_checkpoint(checkpoint.note)
            if self.replay.is_broken:
                return
            try:
                self._judge_receipt(checkpoint, keys, origin)
            except BadInputError as exc:
                self._break(checkpoint.size - 1, f"the receipt kept with checkpoint {checkpoint.size}: {exc}")

    def _judge_receipt(self, checkpoint: stored.StoredCheckpoint, keys: Mapping[bytes, bytes], origin: str) -> None:
        if not checkpoint.size:
            return  # an empty log has no entry to prove
        leaf = self.leaves[checkpoint.size]
        proven = verify_receipt(checkpoint.receipt, leaf, decode_entry(leaf).digest, keys)
        if (proven.origin, proven.size, proven.index) != (origin, checkpoint.size, checkpoint.size - 1):
            self._break(checkpoint.size - 1, "the receipt kept with a checkpoint is of another place")

    async def _judge_tiles(self) -> None:  # 3
        self.replay.judge_tiles(await self.then.read_tiles(self.partition, self.replay.tiles))

    async def _judge_rows(self) -> None:  # 4
        derived = [key for key in self.replay.rows if not isinstance(key, AcceptedKey)]  # those are entries
        for at in range(0, len(derived), _PAGE_ROWS):
            page = derived[at : at + _PAGE_ROWS]
            with translated("reading the decision state"):
                self.replay.judge_rows(await load_rows(self.connection, self.partition, page))
        with translated("reading grants"):
            grants = await self.connection.fetch(_GRANTS, self.partition)
        self.replay.judge_grants({(each["subject"], each["id"]): read_grant(each) for each in grants})
        with translated("counting rows"):
            counted = dict(await self.connection.fetchrow(_CENSUS, self.partition))
        for table, expected in self._expect_counts():
            if counted[table] != expected:
                self._break(None, f"{counted[table]} rows in {table} where the statements lead to {expected}")

    def _expect_counts(self) -> Iterator[tuple[str, int]]:
        rows = self.replay.rows
        for table, kind in _COUNTED.items():
            yield table, sum(isinstance(key, kind) for key in rows)
        yield "epochs", sum(len(row.epochs) for row in rows.values() if isinstance(row, EpochsRow))
        yield "tiles", len(self.replay.tiles)

    async def _judge_place(self) -> None:  # 5
        assert self.head is not None
        try:
            state = await self.then.load_state(self.partition)
        except BadInputError as exc:
            self._break(None, f"the stored frontier cannot be read: {exc}")
            return
        derived = self.replay.state
        if (state.log_time_ms, state.tree.encode()) != (derived.log_time_ms, derived.tree.encode()):
            self._break(None, "the stored time or frontier is not what the entries lead to")
        if self.head.next_offset <= self.last_offset:
            self._break(None, "entries lie behind the offset that is to be read next")
        if self.head.published_index > self.head.size:
            self._break(None, "more entries are claimed to be published than there are")

    async def _checkpoints(self) -> AsyncIterator[stored.StoredCheckpoint]:
        size = 0
        while page := await self.then.read_checkpoints(self.partition, size, _PAGE_CHECKPOINTS):
            for checkpoint in page:
                yield checkpoint
            size = page[-1].size + 1

    def _break(self, index: int | None, what: str) -> None:
        self.replay.report.breaks.append(Break(self.partition, index, what))
