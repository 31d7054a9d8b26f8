"""What a subject that is behind is still owed: a walk along its chain, as values.

A subject of a subscription is either level (every entry is pushed as it comes) or behind: then a `Pass` walks its
chain by sequence number, pages are read and judged at the applied head, and when the pass reaches that head the subject
is level again. A pass is four numbers, and a client's cursor carries them, so a walk goes on after a reconnect where
it stopped, at any gateway of the node:

- `next`: where the walk is. What may be read before it was delivered by this pass.
- `as_of`: grants given before this sequence number count with their history from the start of the pass.
- `shown`, `shown_ms`: before `shown`, what the grants of then showed had been delivered before this pass began; the
  pass skips it. They are the grants given before `shown`, with `shown_ms` on the clock.

The walk meets grants in the order in which they were given. At one with history that came after `as_of`, all that
earlier grants show up to there has been delivered, which is just what `shown` says: so the walk begins anew at 0 with
`shown` there. Thus every entry comes once, whatever was granted while the reader was behind or away.

A withdrawal ends all of a reader's grants on a subject and the client is told to let go of it; what is granted
afterwards begins a new walk that skips nothing. When a grant expires in the middle of a walk, and another one with
history follows, what the expired one showed is sent again: better twice than never.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from carenet.rules.access import READ, active, may_read
from carenet.rules.rows import GrantRow, SubjectRow
from carenet.store.stored import StoredEntry


@dataclass(frozen=True, slots=True)
class Pass:
    """A walk along one subject's chain; see the module header."""

    next: int
    as_of: int
    shown: int = 0
    shown_ms: int = 0


@dataclass(frozen=True, slots=True)
class Standing:
    """How a reader stands to a subject at the applied head.

    Attributes:
        reader: 32 bytes.
        row: the subject.
        grants: the subject's grants that were not ended.
        next_seq: sequence number of the next entry to be applied.
        now_ms: the later of the head's log time and the clock.
    """

    reader: bytes
    row: SubjectRow
    grants: Sequence[GrantRow]
    next_seq: int
    now_ms: int

    @property
    def histories(self) -> list[int]:
        """Where this reader was given the grants with history that it has; a custodian needs none."""
        if self.reader in self.row.custodians:
            return []
        return [
            grant.from_seq
            for grant in active(self.grants, self.now_ms)
            if grant.grantee == self.reader and grant.history and READ in grant.actions
        ]


@dataclass(frozen=True, slots=True)
class Walked:
    """What a page of entries came to.

    Attributes:
        owed: entries to deliver, in order.
        at: the pass after them.
        is_anew: whether the walk met a grant with history and begins anew.
    """

    owed: list[StoredEntry]
    at: Pass
    is_anew: bool = False


def first_pass(standing: Standing) -> Pass:
    """The walk of a subscription that has nothing yet."""
    return Pass(0, standing.next_seq)


def catching_up(standing: Standing, first_seq: int) -> Pass:
    """The walk of a subject that was level at a cursor.

    Of the grants from before the cursor only those that are active still say what was shown: when the clock ended the
    others, before or after which push, nobody knows any more, and better twice than never.

    Args:
        standing: of the reader, now.
        first_seq: the first sequence number after the cursor.
    """
    if any(from_seq >= first_seq for from_seq in standing.histories):
        return Pass(0, standing.next_seq, first_seq, standing.now_ms)
    return Pass(first_seq, standing.next_seq)


def pass_for_history(standing: Standing, from_seq: int) -> Pass:
    """The walk that a grant with history begins, given at `from_seq`, of a subject that was level before it."""
    return Pass(0, standing.next_seq, from_seq, standing.now_ms)


def walk(at: Pass, page: Sequence[StoredEntry], standing: Standing) -> Walked:
    """Judge a page of a subject's entries.

    Args:
        at: the pass, whose `next` is the first entry of the page.
        page: entries in order, all applied.
        standing: of the reader at the applied head.
    """
    owed: list[StoredEntry] = []
    restarts = {from_seq for from_seq in standing.histories if from_seq >= at.as_of}
    counted = [replace(grant, history=False) if grant.from_seq >= at.as_of else grant for grant in standing.grants]
    earlier = [grant for grant in standing.grants if grant.from_seq < at.shown]
    for entry in page:
        if entry.seq in restarts:
            return Walked(owed, pass_for_history(standing, entry.seq), is_anew=True)
        place = (entry.seq, entry.compartment)
        was_shown = entry.seq < at.shown and may_read(standing.reader, standing.row, earlier, place, at.shown_ms)
        if not was_shown and may_read(standing.reader, standing.row, counted, place, standing.now_ms):
            owed.append(entry)
        at = replace(at, next=entry.seq + 1)
    return Walked(owed, at)
