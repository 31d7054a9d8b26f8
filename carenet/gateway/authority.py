"""The gateway's own view of who may read what, moved on entry by entry, in log order.

It starts from one snapshot of the store (heads, participants, subjects, grants that were not ended) and from then on
applies every entry that is read, so a withdrawal holds exactly from its own entry on, whatever else is in the database
by then. Whoever is judged is judged by `rules.access.may_read` at the applied head, with the later of the head's log
time and the clock; a participant that its subject's partition knows as suspended reads nothing.

What an entry does here must be what the fold made of it: a test holds the two against each other. Not done here:
whether an entry was rightly accepted (the fold), and telling sessions (`push`).
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from carenet.errors import CorruptionError
from carenet.ledger.entry import decode_entry
from carenet.rules.access import READ, active, may_read, who_may_read
from carenet.rules.changes import admitted, granted, opened, rotated, suspended
from carenet.rules.rows import GrantRow, ParticipantRow, SubjectRow
from carenet.statements.payloads import PAYLOADS, Admit, Give, Open, Rotate, Suspend, Withdraw
from carenet.statements.shape import Shape
from carenet.statements.statement import parse_statement
from carenet.store.stored import Head, LeanEntry, StoredEntry, StoredGrant

_PATIENT = "patient"
CARE = "care."  # what the types of care data begin with: such an entry moves no rights
_NETWORK_PARTITION = 0


@dataclass(slots=True)
class Timeline:
    """A subject as of the applied head.

    Attributes:
        partition: where it lives.
        row: as it was opened; its `next_seq` is not kept up, the one here is.
        next_seq: sequence number of the next entry to be applied.
        grants: those that were not ended, in the order in which they were given; some may have expired.
        audiences: who may be sent its newest entry, by compartment, until something changes it; see `audience`.
    """

    partition: int
    row: SubjectRow
    next_seq: int
    grants: list[GrantRow] = field(default_factory=list)
    audiences: dict[str | None, Audience] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Audience:
    """Who may be sent a subject's newest entry of a compartment.

    Attributes:
        readers: ids.
        network_change: of which state of the partition's participants this is true.
        until_ms: when the first of the grants ends that this was found with, or None.
    """

    readers: frozenset[bytes]
    network_change: int
    until_ms: int | None


@dataclass(frozen=True, slots=True)
class Change:
    """What an entry changed for readers.

    Attributes:
        recipients: whom its body has wraps for.
        granted: the grant that it gives.
        ended: the participant whose grants on the subject it ends.
        suspended: the participant that it suspends.
        rotated: the participant whose keys it replaces.
    """

    recipients: frozenset[bytes] = frozenset()
    granted: GrantRow | None = None
    ended: bytes | None = None
    suspended: bytes | None = None
    rotated: bytes | None = None


_NOTHING = Change()


class Authority:
    """See the module header. Everything here is synchronous, so what is asked is as of one applied head.

    Args:
        partitions: the network's partition count.
    """

    def __init__(self, partitions: int) -> None:
        self.heads = [0] * partitions  # entries applied, by partition
        self._log_times = [0] * partitions
        self._participants: list[dict[bytes, ParticipantRow]] = [{} for _ in range(partitions)]
        self._network_changes = [0] * partitions  # how often a partition's participants changed
        self._timelines: dict[bytes, Timeline] = {}
        self._subjects_of: dict[bytes, set[bytes]] = {}  # custodians and grantees; may hold some that lost access
        self._ends: list[tuple[int, bytes, bytes]] = []  # heap of (until_ms, subject, grant id)

    def __repr__(self) -> str:
        return f"<Authority of {len(self._timelines)} timelines at {self.heads}>"

    def load(
        self,
        head: Head,
        participants: Iterable[ParticipantRow],
        subjects: Iterable[SubjectRow],
        grants: Iterable[StoredGrant],
    ) -> None:
        """Take one partition's state, all of one snapshot.

        Args:
            head: how far the partition is.
            participants: all that it knows.
            subjects: all that live in it.
            grants: all of its that were not ended.
        """
        self.heads[head.partition] = head.size
        self._log_times[head.partition] = head.log_time_ms
        self._participants[head.partition] = {row.id: row for row in participants}
        for row in subjects:
            if row.kind == _PATIENT:
                self._open(head.partition, row)
        for grant in grants:
            self._give(grant.subject, grant.row)

    # What is asked.

    def participant(self, participant: bytes) -> ParticipantRow | None:
        """A participant as partition 0 knows it, which judges sessions."""
        return self._participants[_NETWORK_PARTITION].get(participant)

    def participants(self) -> list[ParticipantRow]:
        """All participants, as partition 0 knows them."""
        return list(self._participants[_NETWORK_PARTITION].values())

    def is_suspended(self, participant: bytes, partition: int = _NETWORK_PARTITION) -> bool:
        """Whether a partition knows a participant, or its organisation, as suspended."""
        known = self._participants[partition]
        row = known.get(participant)
        organisation = known.get(row.organisation) if row and row.organisation else None
        return bool((row and row.suspended) or (organisation and organisation.suspended))

    def timeline(self, subject: bytes) -> Timeline | None:
        """A patient's timeline; None for what is none or was not opened yet."""
        return self._timelines.get(subject)

    def now_ms(self, partition: int, clock_ms: int) -> int:
        """The later of a head's log time and the clock."""
        return max(self._log_times[partition], clock_ms)

    def may_read(self, reader: bytes, subject: bytes, entry: tuple[int, str | None], clock_ms: int) -> bool:
        """Whether a reader may be sent an entry (sequence number and compartment) at the applied head."""
        timeline = self._timelines.get(subject)
        if timeline is None or self.is_suspended(reader, timeline.partition):
            return False
        now_ms = self.now_ms(timeline.partition, clock_ms)
        return may_read(reader, timeline.row, timeline.grants, entry, now_ms)

    def audience(self, subject: bytes, compartment: str | None, clock_ms: int) -> frozenset[bytes]:
        """All of whom `may_read` is true of the subject's newest entry, at the applied head.

        It is kept until a grant is given, withdrawn or over, or the partition's participants change: with hundreds of
        readers, finding it costs more than a push. (Should the clock go back, whose grant had ended stays outside.)
        """
        timeline = self._timelines.get(subject)
        if timeline is None:
            return frozenset()
        partition = timeline.partition
        now_ms = self.now_ms(partition, clock_ms)
        found = timeline.audiences.get(compartment)
        if (
            found is None
            or found.network_change != self._network_changes[partition]
            or (found.until_ms is not None and found.until_ms <= now_ms)
        ):
            newest = (timeline.next_seq - 1, compartment)
            readers = who_may_read(timeline.row, timeline.grants, newest, now_ms)
            ends = [grant.until_ms for grant in active(timeline.grants, now_ms) if grant.until_ms is not None]
            found = timeline.audiences[compartment] = Audience(
                frozenset(reader for reader in readers if not self.is_suspended(reader, partition)),
                self._network_changes[partition],
                min(ends, default=None),
            )
        return found.readers

    def has_access(self, reader: bytes, subject: bytes, clock_ms: int) -> bool:
        """Whether a reader may be sent any entry to come of a subject."""
        timeline = self._timelines.get(subject)
        return timeline is not None and self.may_read(reader, subject, (timeline.next_seq, None), clock_ms)

    def readers(self, subject: bytes) -> set[bytes]:
        """Who may perhaps read of a subject: custodians, and grantees of grants that were not ended."""
        timeline = self._timelines.get(subject)
        if timeline is None:
            return set()
        return {grant.grantee for grant in timeline.grants if READ in grant.actions} | set(timeline.row.custodians)

    def has_reader_among(self, subject: bytes, participants: Mapping[bytes, object]) -> bool:
        """Whether one of some participants is among whom `audience` or `readers` may name."""
        timeline = self._timelines.get(subject)
        if timeline is None:
            return False
        among = participants.keys()
        return not among.isdisjoint(timeline.row.custodians) or any(each.grantee in among for each in timeline.grants)

    def readable(self, reader: bytes, clock_ms: int) -> list[bytes]:
        """The subjects that a reader has access to."""
        return [each for each in self._subjects_of.get(reader, ()) if self.has_access(reader, each, clock_ms)]

    def known_to(self, participant: bytes) -> list[bytes]:
        """The subjects that a participant keeps or was granted, of which it may have lost access to some."""
        return list(self._subjects_of.get(participant, ()))

    def in_custody(self, participant: bytes) -> list[bytes]:
        """The subjects whose custodian a participant is."""
        return [
            subject
            for subject in self._subjects_of.get(participant, ())
            if participant in self._timelines[subject].row.custodians
        ]

    @property
    def next_end_ms(self) -> int | None:
        """When the next grant ends by the clock."""
        return self._ends[0][0] if self._ends else None

    def pop_expired(self, clock_ms: int) -> list[tuple[bytes, bytes]]:
        """(subject, grantee) of grants whose time is over and that nothing else ended; each grant once."""
        expired = []
        while self._ends and self._ends[0][0] <= clock_ms:
            _, subject, grant_id = heapq.heappop(self._ends)
            timeline = self._timelines[subject]
            expired += [(subject, grant.grantee) for grant in timeline.grants if grant.id == grant_id]
        return expired

    # What moves it.

    def apply(self, entry: StoredEntry) -> Change:
        """Move on by one entry, which must be the next of its partition.

        Raises:
            CorruptionError: it is not the next of its log or of its subject.
        """
        partition = entry.partition
        if entry.index != self.heads[partition]:
            raise CorruptionError(f"partition {partition} has index {entry.index} where {self.heads[partition]} is due")
        payload = _payload_of(entry)
        change = self._apply_payload(entry, payload) if payload is not None else _NOTHING
        timeline = self._timelines.get(entry.subject)
        if timeline is not None:
            if entry.seq != timeline.next_seq:
                raise CorruptionError(f"a subject has seq {entry.seq} where {timeline.next_seq} is due")
            timeline.next_seq += 1
        self.heads[partition] += 1
        if timeline is not None or partition == _NETWORK_PARTITION:  # a relay never moves time
            self._log_times[partition] = decode_entry(entry.entry).log_time_ms
        return change

    def pass_over(self, run: Sequence[StoredEntry | LeanEntry]) -> None:
        """Move on by entries of care data, which change nothing but the heads: as `apply` by each, and cheaper.

        Args:
            run: the next ones of a partition, at least one.

        Raises:
            CorruptionError: as of `apply`.
        """
        partition, timelines = run[0].partition, self._timelines
        index, newest = self.heads[partition], None
        for entry in run:
            if entry.index != index:
                raise CorruptionError(f"partition {partition} has index {entry.index} where {index} is due")
            timeline = timelines.get(entry.subject)
            if timeline is not None:
                if entry.seq != timeline.next_seq:
                    raise CorruptionError(f"a subject has seq {entry.seq} where {timeline.next_seq} is due")
                timeline.next_seq += 1
                newest = entry
            index += 1
        self.heads[partition] = index
        newest = run[-1] if partition == _NETWORK_PARTITION else newest
        if newest is not None:  # log time never goes back, and nobody asks for it in between
            self._log_times[partition] = decode_entry(newest.entry).log_time_ms

    def _apply_payload(self, entry: StoredEntry, payload: Shape) -> Change:
        recipients = frozenset(getattr(payload, "to", None) or ())
        match payload:
            case Open():
                self._open(entry.partition, opened(entry.subject, payload))
            case Give():
                grant = granted(payload, seq=entry.seq, digest=entry.digest)
                self._give(entry.subject, grant)
                return Change(recipients, granted=grant)
            case Withdraw(grantee):
                timeline = self._timelines[entry.subject]
                timeline.grants = [grant for grant in timeline.grants if grant.grantee != grantee]
                timeline.audiences.clear()
                if grantee not in timeline.row.custodians:
                    self._subjects_of.get(grantee, set()).discard(entry.subject)
                return Change(recipients, ended=grantee)
            case Admit() | Rotate() | Suspend():
                return self._apply_network(entry, payload)
        return Change(recipients)

    def _apply_network(self, entry: StoredEntry, payload: Admit | Rotate | Suspend) -> Change:
        known = self._participants[entry.partition]
        self._network_changes[entry.partition] += 1
        if isinstance(payload, Admit):
            row = admitted(payload, entry.digest)
            known[row.id] = row
            return _NOTHING
        row = known[payload.participant]
        if isinstance(payload, Suspend):
            known[row.id] = suspended(row)
            return Change(suspended=row.id)
        known[row.id] = rotated(row, payload, entry.digest)
        return Change(rotated=row.id)

    def _open(self, partition: int, row: SubjectRow) -> None:
        self._timelines[row.subject] = Timeline(partition, row, row.next_seq)
        for custodian in row.custodians:
            self._subjects_of.setdefault(custodian, set()).add(row.subject)

    def _give(self, subject: bytes, grant: GrantRow) -> None:
        timeline = self._timelines[subject]
        timeline.grants.append(grant)
        timeline.audiences.clear()
        self._subjects_of.setdefault(grant.grantee, set()).add(subject)
        if grant.until_ms is not None:
            heapq.heappush(self._ends, (grant.until_ms, subject, grant.id))


def recipients_of(entry: StoredEntry) -> frozenset[bytes]:
    """Whom an entry's body has wraps for."""
    payload = _payload_of(entry)
    return frozenset(getattr(payload, "to", None) or ())


def _payload_of(entry: StoredEntry) -> Shape | None:
    """An accepted control statement's payload; the fold has checked it."""
    if entry.type.startswith(CARE):
        return None
    return PAYLOADS[entry.type].parse(parse_statement(entry.statement).control)
