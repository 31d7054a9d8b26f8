"""Backlog, live pushes and resuming, against the plain model: whatever happens, each entry comes once, and only to whom
may read it at that moment.

A client with a cursor watches through the real `Pusher`, `Authority` and `Watch`; the database runs ahead of what is
applied, pages and answers arrive late, connections break, grants come, go and run out.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from carenet.encoding.ids import encode_id
from carenet.gateway.authority import Authority
from carenet.gateway.messages import Shared
from carenet.gateway.metrics import Metrics
from carenet.gateway.push import Pusher, push_message
from carenet.gateway.subscribing import read_cursor
from carenet.gateway.watch import Cursor, Interest, PageWanted, Since, Watch
from carenet.ledger.entry import decode_entry
from carenet.rules.fold import genesis_rows
from carenet.rules.prepare import scope_of
from carenet.rules.rows import ParticipantRow, SubjectRow
from carenet.statements.payloads import Withdraw
from carenet.store.stored import Head, StoredEntry
from tests.support.gatewaylog import Log, opened, plainly_may_read
from tests.support.world import Patient, World

PARTITION = 1
PAGE = 3


@dataclass(eq=False)
class Line:
    """A session as the pusher sees it: what is told waits for the client."""

    participant: bytes
    sign: bytes
    watch: Watch
    told: list[Any] = field(default_factory=list)
    has_room: bool = True

    def push(self, shared: Shared) -> None:
        self.told.append(shared.message)

    def tell(self, message: dict[str, Any]) -> None:
        self.told.append(message)

    def wake(self) -> None:
        pass

    def end(self, code: int, reason: str) -> None:
        raise AssertionError((code, reason))


class Bench:
    """One reader's client, the gateway's parts, and the log behind them."""

    def __init__(self, *, subscribes_all: bool) -> None:
        self.world = World(partitions=2)
        self.log = Log(self.world)
        self.patients = [self.world.patient(PARTITION, number) for number in (0, 1)]
        self.reader = self.world.clinician
        self.authority = Authority(2)
        for partition in (0, 1):
            rows = genesis_rows(scope_of(self.world.genesis, partition)).values()
            self.authority.load(
                Head(partition, 0, 0, 0, 0),
                [row for row in rows if isinstance(row, ParticipantRow)],
                [row for row in rows if isinstance(row, SubjectRow)],
                [],
            )
        self.pusher = Pusher(self.authority, Metrics(), lambda: self.world.clock_ms)
        self.interest = Interest(None if subscribes_all else frozenset(each.id for each in self.patients))
        self.line: Line | None = None
        self.is_subscribed = False
        self.cursor: dict[str, Any] | None = None
        self.page: tuple[PageWanted, list[StoredEntry]] | None = None
        self.since: tuple[Cursor | None, Since] | None = None
        self.delivered: dict[str, Counter[int]] = {}
        for patient in self.patients:
            opened(self.log, patient)

    # What happens in the network.

    def care(self, patient: Patient, compartment: str) -> None:
        self.log.append(self.world.care(self.world.hospital, patient, bytes(16), compartment))

    def give(self, patient: Patient, compartments: tuple[str, ...], lasting: int | None, *, history: bool) -> None:
        until_ms = None if lasting is None else self.world.clock_ms + lasting
        self.log.append(
            self.world.give(
                self.world.hospital,
                patient,
                self.reader,
                compartments=compartments,
                history=history,
                until_ms=until_ms,
                purpose=f"p{len(self.log.entries[PARTITION])}",
            )
        )

    def withdraw(self, patient: Patient) -> None:
        payload = Withdraw(self.reader.id)
        self.log.append(self.world.control(self.world.hospital, "grant.withdraw", patient.id, payload))

    # What happens in the gateway.

    def apply(self, count: int) -> None:
        head = self.authority.heads[PARTITION]
        for entry in self.log.entries[PARTITION][head : head + count]:
            if self.pusher.passes_over(entry):
                self.pusher.pass_over([entry])
            else:
                self.pusher.take(entry)
            self.check_told()

    def crowd(self) -> None:
        """The queue fills, or empties."""
        if self.line is not None:
            self.line.has_room = not self.line.has_room

    def tick(self, by_ms: int) -> None:
        self.world.clock_ms += by_ms
        self.pusher.expire(self.world.clock_ms)

    def read_page(self) -> None:
        if self.line is None or self.page is not None:
            return
        todo = self.line.watch.next_page()
        if isinstance(todo, PageWanted):
            chain = self.log.of(todo.partition, todo.subject)
            self.page = todo, chain[todo.at.next : todo.at.next + min(PAGE, todo.limit)]
        elif todo is not None:
            self.line.told += todo

    def take_page(self) -> None:
        if self.line is None or self.page is None:
            return
        (wanted, entries), self.page = self.page, None
        owed, said, _ = self.line.watch.take_page(wanted, entries, self.world.clock_ms)
        for entry in owed:
            self.line.push(Shared(push_message(entry, is_backlog=True)))
            self.check_told()
        self.line.told += said

    # What the client does.

    def connect(self) -> None:
        if self.line is not None:
            return
        asked = read_cursor({"cursor": self.cursor}, 2)
        if asked is not None and any(index > self.authority.heads[each] for each, index in asked.at.items()):
            return
        self.line = Line(self.reader.id, self.reader.key.public, Watch(self.reader.id, self.authority))
        self.is_subscribed = False
        self.pusher.join(self.line)
        self.line.watch.begin(self.interest)
        self.since = asked, self.ask_since(asked)

    def ask_since(self, cursor: Cursor | None) -> Since:
        if cursor is None:
            return Since()
        index, head = cursor.at.get(PARTITION, 0), self.authority.heads[PARTITION]
        first: dict[bytes, int] = {}
        log = self.log.entries[PARTITION]
        for entry in log[index:head]:
            first.setdefault(entry.subject, entry.seq)
        gone = {entry.subject for entry in log[index:head] if entry.type == "grant.withdraw"}
        return Since(first, frozenset(gone))

    def finish(self) -> None:
        if self.line is None or self.since is None:
            return
        (cursor, since), self.since = self.since, None
        if self.interest.subjects is None or self.any_readable():
            self.line.told.append(self.line.watch.finish(cursor, since, self.world.clock_ms))
        else:
            self.hang_up()

    def any_readable(self) -> bool:
        clock_ms = self.world.clock_ms
        return any(self.authority.has_access(self.reader.id, each.id, clock_ms) for each in self.patients)

    def hang_up(self) -> None:
        """The connection breaks: what was told and not read is lost."""
        if self.line is not None:
            self.pusher.leave(self.line)
        self.line = self.page = self.since = None

    def resume_at_work(self) -> None:
        """The connection breaks and is made again; entries come before the gateway has found out what was missed."""
        self.hang_up()
        self.care(self.patients[0], "clinical")
        self.apply(1)
        self.connect()
        self.care(self.patients[0], "clinical")
        self.apply(9)
        self.read_page()
        self.take_page()
        self.read(99)
        self.finish()

    def read(self, count: int) -> None:
        """The client takes in some of what it was told, and moves its cursor."""
        if self.line is None:
            return
        taken, self.line.told = self.line.told[:count], self.line.told[count:]
        for message in taken:
            self.take_in(message)

    def take_in(self, message: dict[str, Any]) -> None:
        kind = message["type"]
        if kind == "subscribed":
            self.is_subscribed = True
            self.cursor = {"at": dict(message["at"]), "behind": dict(message["behind"])}
            self.cursor["passes"] = dict(message["passes"])
            for subject in message["withdrawn"]:
                self.delivered.pop(subject, None)
            return
        assert self.cursor is not None
        assert self.is_subscribed, "nothing is pushed before subscribed"
        at, behind = self.cursor["at"], self.cursor["behind"]
        if kind == "entry":
            entry = self.log.entries[PARTITION][message["index"]]
            subject = self.text(entry.subject)
            self.delivered.setdefault(subject, Counter())[entry.seq] += 1
            if message["backlog"]:
                behind[subject] = entry.seq + 1
            else:
                at[str(PARTITION)] = entry.index + 1
        elif kind == "behind":
            behind |= message["subjects"]
            self.cursor["passes"] |= message["passes"]
        elif kind == "caught_up":
            for subject in message["subjects"]:
                behind.pop(subject, None)
            at |= message["at"]
        elif kind == "withdrawn":
            behind.pop(message["subject"], None)
            at |= message["at"]
            self.delivered.pop(message["subject"], None)

    # What must hold.

    def check_told(self) -> None:
        """The last thing told, if it is an entry, may be read by this reader right now."""
        if self.line is None or not self.line.told or self.line.told[-1]["type"] != "entry":
            return
        entry = self.log.entries[PARTITION][self.line.told[-1]["index"]]
        head = self.authority.heads[PARTITION]
        assert entry.index < head
        now_ms = max(self.world.clock_ms, decode_entry(self.log.entries[PARTITION][head - 1].entry).log_time_ms)
        assert plainly_may_read(self.log, self.reader.id, entry, head, now_ms)

    def settle(self) -> None:
        """Everything is applied, sent and read."""
        self.apply(len(self.log.entries[PARTITION]))
        self.connect()
        self.finish()
        for _ in range(1000):
            self.read_page()
            if self.page is None and self.line is not None and not self.line.watch.passes:
                break
            self.take_page()
            if self.line is None:
                break
        self.read(10_000)

    def expected(self, patient: Patient) -> set[int]:
        chain = self.log.of(PARTITION, patient.id)
        head = len(self.log.entries[PARTITION])
        last_ms = decode_entry(self.log.entries[PARTITION][-1].entry).log_time_ms
        now_ms = max(self.world.clock_ms, last_ms)
        return {each.seq for each in chain if plainly_may_read(self.log, self.reader.id, each, head, now_ms)}

    @staticmethod
    def text(subject: bytes) -> str:
        return encode_id(subject)


COMPARTMENTS = st.sampled_from([("clinical",), ("medication",), ("clinical", "medication")])
PATIENTS = st.sampled_from([0, 1])


def _moves(lasting: st.SearchStrategy[int | None]) -> st.SearchStrategy[list[tuple[Any, ...]]]:
    care = st.tuples(st.just("care"), PATIENTS, st.sampled_from(["clinical", "medication"]))
    give = st.tuples(st.just("give"), PATIENTS, COMPARTMENTS, lasting, st.booleans())
    gateway = [("apply", 1), ("apply", 2), ("apply", 9), ("read_page",), ("take_page",), ("finish",), ("tick", 10)]
    gateway += [("crowd",)]
    client = [("connect",), ("hang_up",), ("read", 1), ("read", 3), ("read", 99), ("settle",)]
    client += [("resume_at_work",)]
    return st.lists(
        st.one_of(care, care, give, st.just(("withdraw", 0)), st.sampled_from(gateway), st.sampled_from(client)),
        min_size=10,
        max_size=80,
    )


def play(bench: Bench, moves: list[tuple[Any, ...]]) -> None:
    bench.give(bench.patients[0], ("clinical",), None, history=True)
    bench.settle()
    for name, *args in moves:
        if name in {"care", "give", "withdraw"}:
            args[0] = bench.patients[args[0]]
        if name == "give":
            bench.give(*args[:-1], history=args[-1])
        else:
            getattr(bench, name)(*args)
    bench.settle()


@settings(max_examples=150, deadline=None)
@given(st.booleans(), _moves(st.none()))
def test_every_entry_that_may_be_read_comes_exactly_once(subscribes_all: bool, moves: list[tuple[Any, ...]]) -> None:
    bench = Bench(subscribes_all=subscribes_all)
    play(bench, moves)
    for patient in bench.patients:
        expected = bench.expected(patient)
        delivered = bench.delivered.get(bench.text(patient.id), Counter())
        if bench.line is not None or expected:
            assert {seq: delivered[seq] for seq in expected} == dict.fromkeys(expected, 1)


# Logged before a grant ran out, applied after it, so never shown; then history was granted while its reader was away.
RUN_OUT_BEFORE_THE_PUSH = [
    ("give", 1, ("clinical",), 5, False),
    ("tick", 10),
    ("apply", 9),
    ("give", 1, ("clinical",), None, True),
    ("hang_up",),
]


@settings(max_examples=100, deadline=None)
@example(False, RUN_OUT_BEFORE_THE_PUSH)
@given(st.booleans(), _moves(st.sampled_from([None, 5, 25])))
def test_with_grants_that_run_out_nothing_is_lost(subscribes_all: bool, moves: list[tuple[Any, ...]]) -> None:
    bench = Bench(subscribes_all=subscribes_all)
    play(bench, moves)
    for patient in bench.patients:
        delivered = bench.delivered.get(bench.text(patient.id), Counter())
        assert bench.expected(patient) <= delivered.keys()
