"""Deciding a batch of one partition: prepare, load, fold.

    batch = await pipeline.prepare(records)            # may run while the batch before commits: it reads no state
    effects = await pipeline.decide(batch, state)      # reads the rows that the batch wants, writes nothing

Asking the store whether each id was used before costs a small batch half the way to its commit, and a large one a
tenth of its work. So a batch is first decided as if its ids were not used. The commit, which cannot insert an id twice,
says so if one was; and where anything was refused the batch is decided again before its commit, since that a statement
was accepted before comes before all other reasons. `decide_again` asks.

All of it runs on the worker's one thread, in slices between which the loop gets its turn. A second thread would verify
on another core, but every batch would be handed to and fro under the interpreter's lock, which costs more than a tenth
of the whole: a node that has cores to spare runs a worker on each.

Signatures are verified in `prepare` for signers whose key was seen before. A key is only a hint there: `fold` decides
whether it is the current one, and verifies under that one if it is another.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from carenet.rules.effects import Effects
from carenet.rules.fold import fold, needs
from carenet.rules.permits import Permits
from carenet.rules.prepare import Prepared, RawRecord, Scope, prepare
from carenet.rules.rows import (
    EpochsKey,
    GrantsKey,
    Key,
    ParticipantKey,
    ParticipantRow,
    PartitionState,
    Row,
    SubjectKey,
    settled,
)
from carenet.rules.view import View

_SLICE = 1024  # records that are prepared before others have a turn, some 50 ms; fewer cost more, by the caches
_ASK_AFTERWARDS = 100  # batches for which ids are asked for when a guess was no use: refusals come in numbers
_MAX_KNOWN = 100_000  # keys that are remembered, about 10 MB
_MAX_KEPT = 20_000  # rows that are remembered, about 20 MB
_KEPT = (ParticipantKey, SubjectKey, EpochsKey, GrantsKey)  # asked for again and again, unlike ids and digests


class RowSource(Protocol):
    """What loads rows: the store."""

    async def load_rows(self, partition: int, keys: set[Key]) -> dict[Key, Row | None]:
        """The rows of these keys, None for those that have none."""


@dataclass(frozen=True, slots=True)
class PreparedBatch:
    """Records that were parsed, and mostly verified.

    Attributes:
        records: in offset order; at least one.
        next_offset: one past the last record's offset.
    """

    records: Sequence[Prepared]
    next_offset: int


class Pipeline:
    """Decides the batches of one partition.

    Args:
        source: where rows are loaded from.
        scope: the network's constants and the partition.
    """

    def __init__(self, source: RowSource, scope: Scope) -> None:
        self._source = source
        self._scope = scope
        self._known: dict[bytes, bytes] = {}  # participant id → a signing key of its
        self._kept: dict[Key, Row | None] = {}  # as committed; see `note_commit`
        self._permits = Permits()
        self._asking = 0  # for so many batches more, ids are asked for
        self._read: Mapping[Key, Row | None] = {}  # by the decision that is being committed

    async def prepare(self, records: Sequence[RawRecord]) -> PreparedBatch:
        """Parse the records, hash their bodies and verify what can be verified."""
        prepared: list[Prepared] = []
        for at in range(0, len(records), _SLICE):
            if at:
                await asyncio.sleep(0)
            prepared += _prepare_all(records[at : at + _SLICE], self._scope, self._known)
        return PreparedBatch(prepared, records[-1].offset + 1)

    async def decide(self, batch: PreparedBatch, state: PartitionState) -> Effects:
        """What the batch does to the partition in this state.

        Raises:
            TransportError: rows could not be loaded.
        """
        self._asking = max(0, self._asking - 1)
        if self._asking:
            return await self._decide(batch, state, {})
        effects = await self._decide(batch, state, _guess_unused(batch.records))
        faulty = sum(record.fault is not None for record in batch.records)  # refused whatever was there before
        return effects if len(effects.rejected) == faulty else await self.decide_again(batch, state)

    async def decide_again(self, batch: PreparedBatch, state: PartitionState) -> Effects:
        """As `decide`, asking for each id: after the commit of what that said found a used one.

        Raises:
            TransportError: rows could not be loaded.
        """
        self._permits = Permits()  # it may have learned from a statement that is not accepted
        self._asking = _ASK_AFTERWARDS
        return await self._decide(batch, state, {})

    async def _decide(self, batch: PreparedBatch, state: PartitionState, guessed: Mapping[Key, Row | None]) -> Effects:
        self._permits.attach(batch.records, state)
        loaded: dict[Key, Row | None] = dict(guessed)
        view = View(loaded, permits=self._permits)
        while missing := needs(batch.records, view, self._scope):
            kept = {key: self._kept[key] for key in missing if key in self._kept}
            loaded.update(kept)
            if len(kept) < len(missing):
                rows = await self._source.load_rows(self._scope.partition, missing - kept.keys())
                loaded.update(rows)
                self._learn(rows)
        self._read = loaded
        return fold(batch.records, view, state, self._scope, batch.next_offset)

    def note_commit(self, effects: Effects) -> None:
        """Say that the last decision was committed: what it read and wrote stays at hand for the next ones.

        Only this partition's one writer calls it; whoever lost the partition fails its next commit and starts afresh.
        """
        if len(self._kept) > _MAX_KEPT:
            self._kept.clear()
        for rows in (self._read, effects.writes):
            self._kept.update((key, settled(row)) for key, row in rows.items() if isinstance(key, _KEPT))
        self._read = {}
        self._learn(effects.writes)

    def _learn(self, rows: Mapping[Key, Row | None] | Mapping[Key, Row]) -> None:
        if len(self._known) > _MAX_KNOWN:
            self._known.clear()
        self._known.update((row.id, row.sign) for row in rows.values() if isinstance(row, ParticipantRow))


def _guess_unused(records: Sequence[Prepared]) -> dict[Key, Row | None]:
    """The ids of records, as if they were not used."""
    return {record.id_key: None for record in records if record.id_key is not None}


def _prepare_all(records: Sequence[RawRecord], scope: Scope, known: Mapping[bytes, bytes]) -> list[Prepared]:
    prepared = [prepare(record, scope) for record in records]
    for each in prepared:
        if each.fault is None and each.proof is None and each.statement is not None:
            public = known.get(each.statement.header.issuer)
            if public is not None:
                each.is_signed_by(public)  # remembered in the record
    return prepared
