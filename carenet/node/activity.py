"""What happens around a patient: events a minute by type, and claimed times that come late or out of order.

The claimed time is the statement's `iat`; the log's time is decided by the fold. *Late*: signed more than a minute
before it was logged (a publisher that was offline, or a clock that is behind). *Out of order*: signed before a
statement of the same publisher about the same patient that was logged earlier.

`count` is a step of a pure fold over the entries of one patient, in log order; a repeat (the entries topic delivers at
least once) changes nothing, because the last index is part of the same value. Minutes only go forward, as log time
does, so when one begins, those before it go that the mirror in PostgreSQL has.
`Mirror` writes the figures there; the state itself is kept by whoever calls `count` (a Faust table).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import structlog

from carenet.encoding.ids import decode_id, encode_id
from carenet.errors import BadInputError, TransportError
from carenet.ledger.entry import decode_entry
from carenet.node.feed import FeedRecord, decode_feed_record
from carenet.statements.plain_care import read_accepted_claims
from carenet.store.store import Store
from carenet.store.stored import ActivityRow

MINUTE_MS = 60_000
LATE_MS = 60_000  # clocks and networks are seconds off, not minutes

_CHUNK = 1000  # rows that one round trip writes
_FLUSH_S = 0.5

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Figures:
    """One type's figures in one minute.

    Attributes:
        events, late, out_of_order: counts; the latter two are among the first.
        last_index: of the last entry counted.
    """

    events: int
    late: int
    out_of_order: int
    last_index: int


_NONE = Figures(0, 0, 0, -1)


@dataclass(frozen=True, slots=True)
class Activity:
    """What was counted around one patient.

    Attributes:
        partition: where its timeline lives.
        subject: 32 bytes.
        last_index: of the last entry counted.
        claimed: the latest `iat` in seconds that each publisher claimed.
        minutes: figures by the minute's beginning and type; the present minute last.
    """

    partition: int
    subject: bytes
    last_index: int = -1
    claimed: dict[bytes, int] = field(default_factory=dict)
    minutes: dict[int, dict[str, Figures]] = field(default_factory=dict)

    def rows(self, after: int = -1) -> list[ActivityRow]:
        """The figures as the store keeps them, those that counted an entry beyond index `after`."""
        return [
            ActivityRow(self.partition, self.subject, minute_ms, type_, each.events, each.late, each.out_of_order, last)
            for minute_ms, types in self.minutes.items()
            for type_, each in types.items()
            if (last := each.last_index) > after
        ]

    def to_json(self) -> dict[str, Any]:
        """The value as a Faust table's changelog keeps it."""
        return {
            "partition": self.partition,
            "subject": encode_id(self.subject),
            "last_index": self.last_index,
            "claimed": {encode_id(issuer): iat_s for issuer, iat_s in self.claimed.items()},
            "minutes": {
                str(minute_ms): {
                    type_: [each.events, each.late, each.out_of_order, each.last_index] for type_, each in types.items()
                }
                for minute_ms, types in self.minutes.items()
            },
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Activity:
        """Read what `to_json` gave; it comes from a topic that only this node writes."""
        return cls(
            value["partition"],
            decode_id(value["subject"]),
            value["last_index"],
            {decode_id(issuer): iat_s for issuer, iat_s in value["claimed"].items()},
            {
                int(minute_ms): {type_: Figures(*each) for type_, each in types.items()}
                for minute_ms, types in value["minutes"].items()
            },
        )


def count(before: Activity | None, record: FeedRecord, mirrored: int = -1) -> Activity | None:
    """Count a record's entries.

    Args:
        before: what was counted of its subject, or None for the first one.
        record: entries of the subject, after all earlier ones of its partition; some may have been counted before.
        mirrored: figures up to this index are in PostgreSQL: those of past minutes are dropped here.

    Returns:
        The new value, or None when all of it was counted before.
    """
    entries = [each for each in record.entries if before is None or each.index > before.last_index]
    if not entries:
        return None
    claimed = dict(before.claimed) if before else {}
    minutes = {at: dict(types) for at, types in before.minutes.items()} if before else {}
    for each in entries:
        entry, claims = decode_entry(each.entry), read_accepted_claims(each.statement)
        minute_ms = entry.log_time_ms - entry.log_time_ms % MINUTE_MS
        if minute_ms not in minutes:
            minutes = {at: types for at, types in minutes.items() if not _has(mirrored, types)} | {minute_ms: {}}
        latest = claimed.get(claims.issuer, claims.iat_s)
        claimed[claims.issuer] = max(latest, claims.iat_s)
        is_late = entry.log_time_ms - claims.iat_s * 1000 > LATE_MS
        old = minutes[minute_ms].get(claims.type, _NONE)
        minutes[minute_ms][claims.type] = Figures(
            old.events + 1, old.late + is_late, old.out_of_order + (claims.iat_s < latest), last_index=each.index
        )
    subject = before.subject if before else entry.subject
    return Activity(record.partition, subject, entries[-1].index, claimed, minutes)


def _has(mirrored: int, types: dict[str, Figures]) -> bool:
    return all(each.last_index <= mirrored for each in types.values())


class Mirror:
    """Keeps the figures in PostgreSQL, where `carenet timeline` reads them.

    Writing is idempotent (of two figures for one minute the one that counted further stays), so after a start
    everything that the table holds is noted once more, and nothing has to be known of what was written before.
    """

    def __init__(self) -> None:
        self._noted: dict[bytes, Activity] = {}
        self._mirrored: dict[bytes, int] = {}

    def __repr__(self) -> str:
        return f"<Mirror with {len(self._noted)} patients to write>"

    @property
    def unwritten(self) -> int:
        """Patients whose figures wait for the next `flush`."""
        return len(self._noted)

    def take(self, before: dict[str, Any] | None, value: bytes) -> dict[str, Any] | None:
        """Count a record of the entries topic, and note the figures.

        Args:
            before: what the table holds for its subject, or None.
            value: the record's value.

        Returns:
            What the table must hold now; None when nothing changes.
        """
        try:
            record = decode_feed_record(value)
            state = None if before is None else Activity.from_json(before)
            after = count(state, record, -1 if state is None else self.mirrored(state.subject))
        except BadInputError as exc:
            _log.error("activity skips a record that no node wrote", error=str(exc))
            return None
        if after is None:
            return None
        self.note(after)
        return after.to_json()

    def mirrored(self, subject: bytes) -> int:
        """Index up to which a patient's figures are written; -1 if that is not known."""
        return self._mirrored.get(subject, -1)

    def note(self, activity: Activity) -> None:
        """Have it written at the next `flush`."""
        self._noted[activity.subject] = activity

    def note_all(self, values: Iterable[dict[str, Any]]) -> None:
        """Have all that the table holds written, except what was counted further meanwhile."""
        for activity in map(Activity.from_json, values):
            if activity.last_index > self.mirrored(activity.subject):
                self._noted.setdefault(activity.subject, activity)

    async def flush(self, store: Store) -> int:
        """Write what was noted.

        Args:
            store: the node's database.

        Returns:
            How many patients' figures were written.

        Raises:
            TransportError: PostgreSQL does not answer; all of it is written at the next flush.
        """
        noted = dict(self._noted)
        rows = [row for each in noted.values() for row in each.rows(after=self.mirrored(each.subject))]
        for at in range(0, len(rows), _CHUNK):
            await store.save_activity(rows[at : at + _CHUNK])
        for subject, activity in noted.items():
            self._mirrored[subject] = activity.last_index
            if self._noted.get(subject) is activity:
                del self._noted[subject]
        return len(noted)


async def run_mirror(dsn: str, mirror: Mirror) -> None:
    """Flush twice a second until cancelled; PostgreSQL that is away is waited for.

    Args:
        dsn: of the node's database.
        mirror: noted by others.
    """
    while True:
        try:
            async with Store(dsn, max_connections=1) as store:
                while True:
                    await mirror.flush(store)
                    await asyncio.sleep(_FLUSH_S)
        except TransportError as exc:
            _log.warning("activity waits for PostgreSQL", error=str(exc))
            await asyncio.sleep(_FLUSH_S)
