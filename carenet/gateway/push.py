"""From an applied entry to the sessions that get it: judged for each reader, encoded once for all of them.

For each entry, in this order and without waiting in between:
1. grants whose time is over end (`withdrawn`), before anything later is pushed;
2. the entry moves the authorisation view on;
3. whose access it ended is told `withdrawn`; whose keys it replaced, or who is suspended, is cut off;
4. whom it grants history goes behind;
5. whoever may read it at the head that it made gets it: live, or by the backlog where the subject is behind. A session
   whose queue is half full falls behind instead of taking more: it then reads at its own pace, from the database.
Care data that no session here wants moves the view on and is else passed over, many entries at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Protocol

from carenet.gateway.authority import CARE, Authority, Change
from carenet.gateway.messages import Message, Shared
from carenet.gateway.metrics import Metrics
from carenet.gateway.outbox import Turn
from carenet.gateway.wanted import Wanted
from carenet.gateway.watch import Watch
from carenet.store.stored import LeanEntry, StoredEntry

GOING_AWAY, SLOW_READER, BAD_MESSAGE, NOT_AUTHENTICATED, ACCESS_ENDED = 4000, 4001, 4002, 4003, 4004
TOO_MANY_REQUESTS = 4008

_MS = 1000


class Receiver(Protocol):
    """A session, as far as pushing is concerned."""

    participant: bytes
    sign: bytes  # the public key that it signed in with
    watch: Watch

    @property
    def has_room(self) -> bool:
        """Whether its queue takes more entries."""

    def push(self, shared: Shared) -> None:
        """Send an entry, or queue it behind what waits; a full queue ends the session."""

    def tell(self, message: Message) -> None:
        """Send or queue a message."""

    def wake(self) -> None:
        """There may be backlog to send."""

    def end(self, code: int, reason: str) -> None:
        """Close the session."""


class Pusher:
    """See the module header.

    Args:
        authority: the view that entries move on.
        metrics: where pushes are counted, and each pushed entry's lag once.
        clock_ms: the clock; tests bring their own.

    Attributes:
        pushed: entries times sessions, ever.
        turn: the sessions that have something to write.
    """

    def __init__(self, authority: Authority, metrics: Metrics, clock_ms: Callable[[], int] | None = None) -> None:
        self._authority = authority
        self._metrics = metrics
        self._clock_ms = clock_ms or (lambda: time.time_ns() // 1_000_000)
        self._sessions: dict[bytes, set[Receiver]] = {}
        self._wanted = Wanted()
        self.pushed = 0
        self.turn = Turn()
        for partition in range(len(authority.heads)):
            metrics.applied.labels(partition).set_function(partial(authority.heads.__getitem__, partition))

    def __repr__(self) -> str:
        return f"<Pusher for {sum(map(len, self._sessions.values()))} sessions>"

    def join(self, session: Receiver) -> None:
        """A session is in."""
        self._sessions.setdefault(session.participant, set()).add(session)
        session.watch.join(self._wanted)

    def leave(self, session: Receiver) -> None:
        """A session is gone."""
        session.watch.leave()
        sessions = self._sessions.get(session.participant, set())
        sessions.discard(session)
        if not sessions:
            self._sessions.pop(session.participant, None)

    def passes_over(self, entry: StoredEntry | LeanEntry) -> bool:
        """Whether an entry, the next to be applied, is care data of a subject that no session wants and may read."""
        if entry.subject in self._wanted.named or not entry.type.startswith(CARE):
            return False
        everything = self._wanted.everything
        return not everything or not self._authority.has_reader_among(entry.subject, everything)

    def pass_over(self, run: Sequence[StoredEntry | LeanEntry]) -> None:
        """Apply the next entries of a partition, of which `passes_over` is true."""
        self.expire(self._clock_ms())
        self._authority.pass_over(run)

    def take(self, entry: StoredEntry) -> None:
        """Apply an entry and push it; see the module header."""
        clock_ms = self._clock_ms()
        self.expire(clock_ms)  # 1
        before = self._connected_readers(entry.subject, clock_ms) if entry.type == "grant.withdraw" else set()
        change = self._authority.apply(entry)  # 2
        self._tell_ended(entry.subject, change, before, clock_ms)  # 3
        if change.granted is not None:  # 4
            for session in self._watching(change.granted.grantee, entry.subject):
                for message in session.watch.on_granted(entry.subject, change.granted, clock_ms):
                    session.tell(message)
        self._push(entry, change.recipients, clock_ms)  # 5

    def expire(self, clock_ms: int) -> None:
        """End the grants whose time is over, where nothing else gives access."""
        for subject, grantee in self._authority.pop_expired(clock_ms):
            if not self._authority.has_access(grantee, subject, clock_ms):
                self._withdraw(grantee, subject)

    def _connected_readers(self, subject: bytes, clock_ms: int) -> set[bytes]:
        connected = self._authority.readers(subject) & self._sessions.keys()
        return {reader for reader in connected if self._authority.has_access(reader, subject, clock_ms)}

    def _tell_ended(self, subject: bytes, change: Change, before: set[bytes], clock_ms: int) -> None:
        ended = change.ended
        if ended is not None and ended in before and not self._authority.has_access(ended, subject, clock_ms):
            self._withdraw(ended, subject)
        if change.suspended is not None:
            for participant in list(self._sessions):
                if self._authority.is_suspended(participant):
                    for session in list(self._sessions[participant]):
                        session.end(ACCESS_ENDED, "suspended")
        if change.rotated is not None:
            row = self._authority.participant(change.rotated)
            for session in list(self._sessions.get(change.rotated, ())):
                if row is not None and session.sign != row.sign:  # who still has the old key only is not let in again
                    session.end(GOING_AWAY, "the key was rotated: sign in with the new one")

    def _withdraw(self, reader: bytes, subject: bytes) -> None:
        for session in self._watching(reader, subject):
            for message in session.watch.on_ended(subject):
                session.tell(message)

    def _push(self, entry: StoredEntry, recipients: frozenset[bytes], clock_ms: int) -> None:
        push: Shared | None = None
        pushed = 0
        sessions_of = self._sessions
        for reader in self._authority.audience(entry.subject, entry.compartment, clock_ms) & sessions_of.keys():
            for session in tuple(sessions_of[reader]):
                watch = session.watch
                if not watch.takes_live(entry, recipients, clock_ms):
                    if entry.subject in watch.passes:
                        session.wake()
                elif session.has_room:
                    push = push or Shared(push_message(entry, is_backlog=False))
                    session.push(push)
                    pushed += 1
                else:
                    session.tell(watch.fall_behind(entry, clock_ms))
        if pushed:
            self.pushed += pushed
            self._metrics.pushes.labels("live").inc(pushed)
            self._metrics.lag.observe(max(0, clock_ms - entry.log_append_time_ms) / _MS)

    def _watching(self, reader: bytes, subject: bytes) -> Iterator[Receiver]:
        for session in list(self._sessions.get(reader, ())):
            if session.watch.wants(subject):
                yield session


def push_message(entry: StoredEntry, *, is_backlog: bool) -> Message:
    """What carries an entry."""
    return {
        "type": "entry",
        "partition": entry.partition,
        "index": entry.index,
        "entry": entry.entry,
        "statement": entry.statement,
        "body": entry.body,
        "backlog": is_backlog,
    }
