"""One session's subscription: which subjects it wants, which of them are behind, and what it must be told. No I/O.

The session asks and sends; the gateway's feed reports what was applied, through `push`. Everything here is synchronous
and as of the applied head, so an entry is either pushed live or owed by a pass, never both and never neither.

While a subscription is being set up (`begin` … `finish`), the database is asked where its cursor stands; entries that
come meanwhile are not pushed but owed: their subjects go behind.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from carenet.encoding.ids import encode_id
from carenet.errors import RefusedError
from carenet.gateway.authority import Authority, recipients_of
from carenet.gateway.backlog import Pass, Standing, catching_up, first_pass, pass_for_history, walk
from carenet.gateway.messages import MAX_LISTED, BadRequestError, Message, by_id
from carenet.gateway.wanted import Wanted
from carenet.rules.reasons import Reason
from carenet.rules.rows import GrantRow
from carenet.store.stored import StoredEntry

PAGE_ENTRIES = 32  # read at a time; the largest entries have 900 KiB, the usual ones a few


@dataclass(frozen=True, slots=True)
class Interest:
    """What a subscription asks for.

    Attributes:
        subjects: ids, or None for all that the reader may read, now and later.
        types: event types, where `care.*` stands for all that begin with `care.`; None for all.
        compartments: names; entries without a compartment always pass. None for all.
    """

    subjects: frozenset[bytes] | None
    types: frozenset[str] | None = None
    compartments: frozenset[str] | None = None

    def wants(self, subject: bytes) -> bool:
        """Whether a subject is subscribed to."""
        return self.subjects is None or subject in self.subjects

    @property
    def is_unfiltered(self) -> bool:
        """Whether every entry passes the filters."""
        return self.types is None and self.compartments is None

    def takes(self, entry: StoredEntry) -> bool:
        """Whether an entry passes the filters (one with wraps for the reader passes whatever they say)."""
        if self.compartments is not None and entry.compartment not in {None, *self.compartments}:
            return False
        return self.types is None or any(_fits(entry.type, wanted) for wanted in self.types)

    def joined(self, later: Interest) -> Interest:
        """This and a later subscription of the same session: its filters, and the subjects of both."""
        if self.subjects is None or later.subjects is None:
            return Interest(None, later.types, later.compartments)
        return Interest(self.subjects | later.subjects, later.types, later.compartments)


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a client stopped; docs/formats.md says what the numbers promise.

    Attributes:
        at: index by partition; a partition that is missing stands at 0.
        behind: passes by subject.
    """

    at: Mapping[int, int] = field(default_factory=dict)
    behind: Mapping[bytes, Pass] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Since:
    """What the database says about the time since a cursor.

    Attributes:
        first_seqs: the first sequence number after the cursor of every subject that has entries there.
        withdrawn: subjects of which grants to the reader were withdrawn since.
        expired: subjects of which a grant to the reader has run out since.
    """

    first_seqs: Mapping[bytes, int] = field(default_factory=dict)
    withdrawn: frozenset[bytes] = frozenset()
    expired: frozenset[bytes] = frozenset()


@dataclass(frozen=True, slots=True)
class PageWanted:
    """The next piece of backlog to read."""

    subject: bytes
    partition: int
    at: Pass
    limit: int


class Watch:
    """See the module header.

    Args:
        reader: the session's participant, 32 bytes.
        authority: the gateway's view.
    """

    def __init__(self, reader: bytes, authority: Authority) -> None:
        self.reader = reader
        self.passes: dict[bytes, Pass] = {}
        self._authority = authority
        self._interest: Interest | None = None
        self._before: Interest | None = None  # while a subscription is set up: the one before it
        self._is_opening = False
        self._ended: set[bytes] = set()  # access that ended while a subscription is set up
        self._wanted: Wanted | None = None

    def __repr__(self) -> str:
        return f"<Watch with {len(self.passes)} subjects behind{', opening' if self._is_opening else ''}>"

    def wants(self, subject: bytes) -> bool:
        """Whether a subject is subscribed to."""
        return self._interest is not None and self._interest.wants(subject)

    def join(self, wanted: Wanted) -> None:
        """From here on, until `leave`, what is subscribed to is what is wanted here."""
        self._wanted = wanted
        if self._interest is not None:
            wanted.add(self.reader, self._interest.subjects)

    def leave(self) -> None:
        """Nothing is wanted any more."""
        if self._wanted is not None and self._interest is not None:
            self._wanted.drop(self.reader, self._interest.subjects)
        self._wanted = None

    # Setting up.

    def begin(self, interest: Interest) -> None:
        """A subscription begins: from here on, what comes is owed.

        Raises:
            BadRequestError: the session would name more subjects than one may.
        """
        joined = self._interest.joined(interest) if self._interest else interest
        if len(joined.subjects or ()) > MAX_LISTED:
            raise BadRequestError(f"subjects of one session are at most {MAX_LISTED}, or all")
        self._before = self._interest
        self._turn_to(joined)
        self._is_opening = True
        self._ended.clear()

    def cancel(self) -> list[Message]:
        """The subscription could not be set up; what came meanwhile, for the one before it, stays owed."""
        self._turn_to(self._before)
        self._is_opening = False
        self.passes = {subject: at for subject, at in self.passes.items() if self.wants(subject)}
        said = [message for subject in sorted(self._ended) if self.wants(subject) for message in self.on_ended(subject)]
        return said + ([_behind_message(self.passes)] if self.passes else [])

    def finish(self, cursor: Cursor | None, since: Since, clock_ms: int) -> Message:
        """Decide which subjects are behind, and say where the client stands.

        Args:
            cursor: the client's, or None for everything from the start.
            since: about that cursor.
            clock_ms: now.

        Raises:
            RefusedError: none of the named subjects may be read (`no_grant`); `cancel` is due.
        """
        assert self._interest is not None
        readable = self._readable(clock_ms)
        named = self._interest.subjects
        if named and not readable and not self._before:
            raise RefusedError(Reason.NO_GRANT, "none of the subjects may be read by this participant")
        lost = self._ended | since.withdrawn | (since.expired - readable)
        if named is not None:
            lost = (lost & named) | (named - readable)
        for subject in readable:
            if self._before is None or not self._before.wants(subject) or subject in lost:
                self._plan(subject, None if subject in lost else cursor, since, clock_ms)
        self._is_opening = False
        return self._position(lost)

    def _plan(self, subject: bytes, cursor: Cursor | None, since: Since, clock_ms: int) -> None:
        standing = self._standing(subject, clock_ms)
        if cursor is None:
            self.passes[subject] = first_pass(standing)
        elif subject in cursor.behind:
            self.passes[subject] = cursor.behind[subject]
        elif subject in since.first_seqs:
            self.passes[subject] = catching_up(standing, since.first_seqs[subject])

    def _position(self, lost: set[bytes]) -> Message:
        return {
            "type": "subscribed",
            "at": {str(partition): head for partition, head in enumerate(self._authority.heads)},
            **_behind(self.passes),
            "withdrawn": [encode_id(subject) for subject in sorted(lost)],
        }

    # What was applied.

    def takes_live(self, entry: StoredEntry, recipients: frozenset[bytes], clock_ms: int) -> bool:
        """Whether an entry that the reader may read is to be pushed now; else it is owed, or not wanted."""
        interest = self._interest
        if interest is None or not interest.wants(entry.subject) or entry.subject in self.passes:
            return False
        if self._is_opening:
            self._owe(entry, clock_ms)
            return False
        return interest.is_unfiltered or self.reader in recipients or interest.takes(entry)

    def fall_behind(self, entry: StoredEntry, clock_ms: int) -> Message:
        """The session has no room for an entry that it was to get now: its subject goes behind from here."""
        return _behind_message({entry.subject: self._owe(entry, clock_ms)})

    def on_granted(self, subject: bytes, grant: GrantRow, clock_ms: int) -> list[Message]:
        """This reader was given a grant: with history, a level subject goes behind."""
        standing = self._standing(subject, clock_ms)
        if subject in self.passes or grant.from_seq not in standing.histories:
            return []  # a pass under way meets the grant by itself
        at = pass_for_history(standing, grant.from_seq)
        self.passes[subject] = at
        return [] if self._is_opening else [_behind_message({subject: at})]

    def on_ended(self, subject: bytes) -> list[Message]:
        """This reader's access to a subject has ended."""
        self.passes.pop(subject, None)
        if self._is_opening:
            self._ended.add(subject)
            return []
        return [{"type": "withdrawn", "subject": encode_id(subject), "at": self._head_of(subject)}]

    # The backlog.

    def next_page(self) -> PageWanted | list[Message] | None:
        """What to read next, or what to say first (a subject is level), or None when there is nothing to do now."""
        if self._is_opening:
            return None  # what is owed meanwhile may change with the cursor: nothing is walked before `finish`
        for subject, at in self.passes.items():
            timeline = self._authority.timeline(subject)
            assert timeline is not None, "a pass is of a subject that is known"
            if at.next == timeline.next_seq:
                del self.passes[subject]
                return [self._caught_up([subject])]
            if at.next < timeline.next_seq:
                return PageWanted(subject, timeline.partition, at, min(PAGE_ENTRIES, timeline.next_seq - at.next))
        return None

    def take_page(
        self, wanted: PageWanted, page: Sequence[StoredEntry], clock_ms: int
    ) -> tuple[list[StoredEntry], list[Message], PageWanted | None]:
        """Judge a page, or a part of one.

        Args:
            wanted: what was read.
            page: entries from `wanted.at.next` on.
            clock_ms: now.

        Returns:
            The entries to push as backlog, what to say after them, and the page as it is wanted from here on, or None
            where the rest of it is not: access ended, or the walk began anew.
        """
        if self.passes.get(wanted.subject) is not wanted.at:
            return [], [], None
        walked = walk(wanted.at, page, self._standing(wanted.subject, clock_ms))
        self.passes[wanted.subject] = walked.at
        owed = [entry for entry in walked.owed if self._takes_owed(entry)]
        if walked.is_anew:
            return owed, [_behind_message({wanted.subject: walked.at})], None
        return owed, [], replace(wanted, at=walked.at)

    def level(self) -> Message:
        """That nothing is behind: for a subscription that starts so."""
        return self._caught_up([])

    # Within.

    def _turn_to(self, interest: Interest | None) -> None:
        if self._wanted is not None:
            if interest is not None:
                self._wanted.add(self.reader, interest.subjects)
            if self._interest is not None:
                self._wanted.drop(self.reader, self._interest.subjects)
        self._interest = interest

    def _owe(self, entry: StoredEntry, clock_ms: int) -> Pass:
        at = Pass(entry.seq, self._standing(entry.subject, clock_ms).next_seq)
        self.passes[entry.subject] = at
        return at

    def _takes_owed(self, entry: StoredEntry) -> bool:
        assert self._interest is not None
        return self._interest.takes(entry) or self.reader in recipients_of(entry)

    def _caught_up(self, subjects: list[bytes]) -> Message:
        at: dict[str, int] = {}
        for subject in subjects:
            at |= self._head_of(subject)
        texts = [encode_id(subject) for subject in subjects]
        return {"type": "caught_up", "subjects": texts, "all": not self.passes, "at": at}

    def _head_of(self, subject: bytes) -> dict[str, int]:
        timeline = self._authority.timeline(subject)
        assert timeline is not None
        return {str(timeline.partition): self._authority.heads[timeline.partition]}

    def _readable(self, clock_ms: int) -> set[bytes]:
        assert self._interest is not None
        if self._interest.subjects is None:
            return set(self._authority.readable(self.reader, clock_ms))
        return {each for each in self._interest.subjects if self._authority.has_access(self.reader, each, clock_ms)}

    def _standing(self, subject: bytes, clock_ms: int) -> Standing:
        timeline = self._authority.timeline(subject)
        assert timeline is not None
        now_ms = self._authority.now_ms(timeline.partition, clock_ms)
        return Standing(self.reader, timeline.row, timeline.grants, timeline.next_seq, now_ms)


def _behind_message(passes: Mapping[bytes, Pass]) -> Message:
    said = _behind(passes)
    return {"type": "behind", "subjects": said["behind"], "passes": said["passes"]}


def _behind(passes: Mapping[bytes, Pass]) -> Message:
    return {
        "behind": by_id({subject: at.next for subject, at in passes.items()}),
        "passes": by_id({subject: [at.as_of, at.shown, at.shown_ms] for subject, at in passes.items()}),
    }


def _fits(event_type: str, wanted: str) -> bool:
    return event_type.startswith(wanted[:-1]) if wanted.endswith(".*") else event_type == wanted
