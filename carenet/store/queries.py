"""Everything that is read from the store by those who do not fold: gateway, agents, audit, command line.

`Queries` is the list of questions; whoever derives from it says on which connection they are asked: `Store` on any of
its pool, a `Snapshot` on one that sees the database as it was at one moment. Answers are frozen values (`stored`).
Nothing is decided here, least of all who may see an answer.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from carenet.errors import SetupError
from carenet.ledger.prover import TileAt
from carenet.ledger.tree import Tree
from carenet.rules.rows import EpochsRow, ParticipantRow, PartitionState, SubjectRow
from carenet.store.rows import read_epochs, read_grant, read_participant, read_subject
from carenet.store.stored import (
    ActivityRow,
    Halt,
    Head,
    LeanEntry,
    OutgoingEntry,
    StoredCheckpoint,
    StoredControl,
    StoredEntry,
    StoredGrant,
    StoredRejection,
    StoredSubject,
)

_ENTRY = """SELECT partition, index, subject, seq, entry, statement, digest, body, issuer, type, compartment, "offset",
    log_append_time_ms FROM entries"""
# Lean rows first; the rest is NULL but where somebody may be sent it.
_FED = """SELECT partition, index, subject, seq, entry, issuer, type, "offset",
    CASE WHEN is_whole THEN statement END, CASE WHEN is_whole THEN digest END, CASE WHEN is_whole THEN body END,
    CASE WHEN is_whole THEN compartment END, CASE WHEN is_whole THEN log_append_time_ms END
    FROM (SELECT *, index < $2::bigint + $4::bigint AND (type NOT LIKE 'care.%'
            OR get_bit($5::bytea, get_byte(subject, 0) * 256 + get_byte(subject, 1)) = 1) AS is_whole
        FROM entries WHERE partition = $1 AND index >= $2 ORDER BY index LIMIT $3) AS page ORDER BY index"""
_LEAN = len(LeanEntry._fields)
_REJECTION = """SELECT partition, "offset", reason, detail, head, issuer, is_proven, digest, winner, at
    FROM rejections"""
_HEAD = "SELECT partition, next_offset, size, log_time_ms, published_index FROM partition_state"
_CHECKPOINT = "SELECT partition, size, note, receipt FROM checkpoints"
_ACTIVITY = "SELECT partition, subject, minute_ms, type, events, late, out_of_order, last_index FROM activity"


class Queries(ABC):
    """Questions to the store. All raise TransportError when PostgreSQL does not answer: ask again.

    Ids and digests are 32 bytes; lists are in the order of what they are read by, and at most `limit` long.
    """

    @abstractmethod
    async def _fetch(self, sql: str, *args: Any) -> list[Any]:
        """Run one query."""

    async def _fetch_one(self, sql: str, *args: Any) -> Any:
        records = await self._fetch(sql, *args)
        return records[0] if records else None

    # Entries and outcomes.

    async def read_entries(self, partition: int, from_index: int, limit: int) -> list[StoredEntry]:
        """A log's entries from an index on."""
        sql = f"{_ENTRY} WHERE partition = $1 AND index >= $2 ORDER BY index LIMIT $3"
        return _entries(await self._fetch(sql, partition, from_index, limit))

    async def read_entries_at(self, partition: int, indexes: Sequence[int]) -> list[StoredEntry]:
        """A log's entries of some indexes."""
        sql = f"{_ENTRY} WHERE partition = $1 AND index = ANY($2::bigint[]) ORDER BY index"
        return _entries(await self._fetch(sql, partition, list(indexes)))

    async def read_fed(
        self, partition: int, from_index: int, limit: int, likely: bytes, most_whole: int
    ) -> list[StoredEntry | LeanEntry]:
        """A log's entries from an index on, most of them lean.

        Args:
            partition: whose log.
            from_index: the first one's.
            limit: most entries.
            likely: 8,192 bytes, a bit for each two bytes that a subject can begin with (the lowest of a byte first):
                care data is whole where the bit is set. Control statements always are.
            most_whole: only so many of the first are whole; of those after them, none.
        """
        found = await self._fetch(_FED, partition, from_index, limit, most_whole, likely)
        return [LeanEntry._make(each[:_LEAN]) if each[_LEAN] is None else _whole(each) for each in found]

    async def read_outbox(self, partition: int, from_index: int, limit: int) -> list[OutgoingEntry]:
        """The same without bodies, for the entries topic."""
        sql = """SELECT index, subject, entry, statement FROM entries
            WHERE partition = $1 AND index >= $2 ORDER BY index LIMIT $3"""
        return [OutgoingEntry(*each) for each in await self._fetch(sql, partition, from_index, limit)]

    async def read_subject_entries(
        self, partition: int, subject: bytes, from_seq: int, limit: int
    ) -> list[StoredEntry]:
        """A timeline's entries from a sequence number on (index: entries_subject)."""
        sql = f"{_ENTRY} WHERE partition = $1 AND subject = $2 AND seq >= $3 ORDER BY seq LIMIT $4"
        return _entries(await self._fetch(sql, partition, subject, from_seq, limit))

    async def read_control_entries(
        self, partition: int, subject: bytes, from_seq: int, limit: int
    ) -> list[StoredControl]:
        """A timeline's entries but care data, without their bodies (index: entries_subject)."""
        sql = """SELECT seq, entry, statement FROM entries
            WHERE partition = $1 AND subject = $2 AND seq >= $3 AND type NOT LIKE 'care.%' ORDER BY seq LIMIT $4"""
        return [StoredControl(*each) for each in await self._fetch(sql, partition, subject, from_seq, limit)]

    async def read_bodies(self, partition: int, subject: bytes, seqs: Sequence[int]) -> dict[int, bytes]:
        """Bodies of a timeline's entries by sequence number; those that have none are left out."""
        sql = """SELECT e.seq, e.body FROM unnest($3::bigint[]) AS k(seq) CROSS JOIN LATERAL (SELECT seq, body
            FROM entries WHERE partition = $1 AND subject = $2 AND entries.seq = k.seq OFFSET 0) AS e"""
        found = await self._fetch(sql, partition, subject, list(seqs))
        return {seq: body for seq, body in found if body is not None}

    async def indexes_at(self, partition: int, places: Mapping[bytes, int]) -> dict[bytes, int]:
        """The log index of one entry of each of several subjects, named by its sequence number; of those there are."""
        sql = """SELECT k.subject, e.index FROM unnest($2::bytea[], $3::bigint[]) AS k(subject, seq)
            CROSS JOIN LATERAL (SELECT index FROM entries
                WHERE partition = $1 AND entries.subject = k.subject AND entries.seq = k.seq OFFSET 0) AS e"""
        return dict(await self._fetch(sql, partition, list(places), list(places.values())))

    async def first_seqs(self, partition: int, from_index: int, to_index: int) -> dict[bytes, int]:
        """Every subject with entries in [from_index, to_index) of a log, and its first sequence number there."""
        sql = """SELECT subject, min(seq) FROM entries WHERE partition = $1 AND index >= $2 AND index < $3
            GROUP BY subject"""
        return dict(await self._fetch(sql, partition, from_index, to_index))

    async def find_by_digest(self, digest: bytes) -> StoredEntry | None:
        """The entry of an accepted statement; of a network statement, which each log has, partition 0's."""
        found = _entries(await self._fetch(f"{_ENTRY} WHERE digest = $1 ORDER BY partition LIMIT 1", digest))
        return found[0] if found else None

    async def outcome_at(self, partition: int, offset: int) -> StoredEntry | StoredRejection | None:
        """What became of the record at an offset; None while it is not decided, or when there is no such record.

        A repeat was refused as `duplicate`, and its `winner` names the statement whose outcome it shares.
        """
        sql = f'{_ENTRY} WHERE partition = $1 AND "offset" = $2'
        found = _entries(await self._fetch(sql, partition, offset))
        return found[0] if found else await self.find_rejection(partition, offset)

    async def outcome_of(self, digest: bytes) -> StoredEntry | StoredRejection | None:
        """What became of a statement: its acceptance, which always wins, else the last time that it was refused.

        Anyone can have a statement refused by sending its bytes crookedly, so a refusal found here is no answer to
        its publisher: that goes by `outcome_at` its own send.
        """
        accepted = await self.find_by_digest(digest)
        if accepted is not None:
            return accepted
        sql = f'{_REJECTION} WHERE digest = $1 ORDER BY at DESC, "offset" DESC LIMIT 1'
        found = await self._fetch(sql, digest)
        return StoredRejection(*found[0]) if found else None

    async def find_rejection(self, partition: int, offset: int) -> StoredRejection | None:
        """The refusal of the record at an offset."""
        found = await self._fetch_one(f'{_REJECTION} WHERE partition = $1 AND "offset" = $2', partition, offset)
        return None if found is None else StoredRejection(*found)

    async def read_rejections(self, partition: int, from_offset: int, limit: int) -> list[StoredRejection]:
        """A partition's refusals from an offset on."""
        sql = f'{_REJECTION} WHERE partition = $1 AND "offset" >= $2 ORDER BY "offset" LIMIT $3'
        return [StoredRejection(*each) for each in await self._fetch(sql, partition, from_offset, limit)]

    async def rejections(self, limit: int, reason: str | None = None) -> list[StoredRejection]:
        """The last refusals of all partitions, newest first; a look over the table, for people."""
        sql = f'{_REJECTION} WHERE $2::text IS NULL OR reason = $2 ORDER BY at DESC, partition, "offset" DESC LIMIT $1'
        return [StoredRejection(*each) for each in await self._fetch(sql, limit, reason)]

    # The decision state, for reading.

    async def heads(self) -> dict[int, Head]:
        """How far each partition is."""
        return {each["partition"]: Head(*each) for each in await self._fetch(f"{_HEAD} ORDER BY partition")}

    async def next_offsets(self) -> dict[int, int]:
        """The first Kafka offset of each partition that has not been decided."""
        return {partition: head.next_offset for partition, head in (await self.heads()).items()}

    async def halts(self) -> list[Halt]:
        """The partitions that this node stopped serving, since the topic or the store is not what it was."""
        return [Halt(*each) for each in await self._fetch("SELECT partition, reason, at FROM halts ORDER BY partition")]

    async def load_state(self, partition: int) -> PartitionState:
        """A partition's place in its log, with its tree.

        Raises:
            SetupError: the partition was never seeded.
        """
        sql = "SELECT next_offset, log_time_ms, size, frontier FROM partition_state WHERE partition = $1"
        found = await self._fetch_one(sql, partition)
        if found is None:
            raise SetupError(f"the database has no partition {partition}: it was not seeded from the genesis")
        next_offset, log_time_ms, size, frontier = found
        return PartitionState(partition, next_offset, log_time_ms, Tree.decode(size, frontier))

    async def participants(self, partition: int = 0) -> list[ParticipantRow]:
        """All participants that a partition knows, by name."""
        sql = "SELECT * FROM participants WHERE partition = $1 ORDER BY name, id"
        return [read_participant(each) for each in await self._fetch(sql, partition)]

    async def find_participant(self, participant: bytes, partition: int = 0) -> ParticipantRow | None:
        """A participant as a partition knows it."""
        sql = "SELECT * FROM participants WHERE partition = $1 AND id = $2"
        found = await self._fetch_one(sql, partition, participant)
        return None if found is None else read_participant(found)

    async def subjects(self, kind: str | None = None, partition: int | None = None) -> list[StoredSubject]:
        """All subjects, of one kind or all, in one partition or all; the network's own stands in each."""
        sql = """SELECT * FROM subjects WHERE ($1::text IS NULL OR kind = $1) AND ($2::int IS NULL OR partition = $2)
            ORDER BY partition, subject"""
        return [
            StoredSubject(each["partition"], read_subject(each)) for each in await self._fetch(sql, kind, partition)
        ]

    async def find_subject(self, partition: int, subject: bytes) -> SubjectRow | None:
        """A subject and the head of its chain."""
        found = await self._fetch_one(
            "SELECT * FROM subjects WHERE partition = $1 AND subject = $2", partition, subject
        )
        return None if found is None else read_subject(found)

    async def epochs_of(self, partition: int, subject: bytes) -> EpochsRow:
        """A subject's epochs by compartment."""
        return read_epochs(
            await self._fetch("SELECT * FROM epochs WHERE partition = $1 AND subject = $2", partition, subject)
        )

    async def grants_of(self, partition: int, subject: bytes) -> list[StoredGrant]:
        """All grants on a subject, ended ones too, in the order in which they were given."""
        sql = "SELECT * FROM grants WHERE partition = $1 AND subject = $2 ORDER BY from_seq"
        return _grants(await self._fetch(sql, partition, subject))

    async def grants_to(self, grantee: bytes) -> list[StoredGrant]:
        """All grants to a participant, ended ones too (index: grants_grantee)."""
        sql = "SELECT * FROM grants WHERE grantee = $1 ORDER BY partition, subject, from_seq"
        return _grants(await self._fetch(sql, grantee))

    async def active_grants(self, partition: int) -> list[StoredGrant]:
        """All grants of a partition that were not ended; some may have expired."""
        sql = "SELECT * FROM grants WHERE partition = $1 AND to_seq IS NULL ORDER BY subject, from_seq"
        return _grants(await self._fetch(sql, partition))

    # Proof.

    async def read_tiles(self, partition: int, wanted: Iterable[TileAt]) -> dict[TileAt, bytes]:
        """Full tiles by (level, index); those that are not there are left out."""
        levels, indexes = [], []
        for level, index in wanted:
            levels.append(level)
            indexes.append(index)
        sql = """SELECT t.level, t.index, t.hashes FROM unnest($2::int[], $3::bigint[]) AS k(level, index)
            CROSS JOIN LATERAL (SELECT * FROM tiles
                WHERE partition = $1 AND tiles.level = k.level AND tiles.index = k.index OFFSET 0) AS t"""
        return {(level, index): hashes for level, index, hashes in await self._fetch(sql, partition, levels, indexes)}

    async def latest_checkpoint(self, partition: int) -> StoredCheckpoint | None:
        """The last checkpoint that this node signed of a partition."""
        found = await self._fetch_one(f"{_CHECKPOINT} WHERE partition = $1 ORDER BY size DESC LIMIT 1", partition)
        return None if found is None else StoredCheckpoint(*found)

    async def checkpoint_covering(self, partition: int, index: int) -> StoredCheckpoint | None:
        """The first checkpoint whose tree has the entry at `index`; None while there is none."""
        sql = f"{_CHECKPOINT} WHERE partition = $1 AND size > $2 ORDER BY size LIMIT 1"
        found = await self._fetch_one(sql, partition, index)
        return None if found is None else StoredCheckpoint(*found)

    async def read_checkpoints(self, partition: int, from_size: int, limit: int) -> list[StoredCheckpoint]:
        """A partition's checkpoints from a size on."""
        sql = f"{_CHECKPOINT} WHERE partition = $1 AND size >= $2 ORDER BY size LIMIT $3"
        return [StoredCheckpoint(*each) for each in await self._fetch(sql, partition, from_size, limit)]

    # The agents' figures.

    async def read_activity(self, partition: int, subject: bytes, from_ms: int, limit: int) -> list[ActivityRow]:
        """What `activity` counted of a subject from a minute on."""
        sql = f"""{_ACTIVITY} WHERE partition = $1 AND subject = $2 AND minute_ms >= $3
            ORDER BY minute_ms, type LIMIT $4"""
        return [_activity(each) for each in await self._fetch(sql, partition, subject, from_ms, limit)]


def _entries(records: Iterable[Any]) -> list[StoredEntry]:
    return [StoredEntry(*record) for record in records]


def _whole(record: Any) -> StoredEntry:
    partition, index, subject, seq, entry, issuer, event_type, offset, *rest = record
    statement, digest, body, compartment, time_ms = rest
    place = (partition, index, subject, seq)
    return StoredEntry(*place, entry, statement, digest, body, issuer, event_type, compartment, offset, time_ms)


def _grants(records: Iterable[Mapping[str, Any]]) -> list[StoredGrant]:
    return [StoredGrant(each["partition"], each["subject"], read_grant(each)) for each in records]


def _activity(record: Mapping[str, Any]) -> ActivityRow:
    return ActivityRow(**dict(record))
