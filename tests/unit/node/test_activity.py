from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from carenet.ledger.entry import NO_PREV, Entry
from carenet.node.activity import LATE_MS, MINUTE_MS, Activity, Figures, Mirror, count
from carenet.node.feed import FeedEntry, FeedRecord
from tests.support.actors import NOW_S
from tests.support.world import World

WORLD = World()
PATIENT = WORLD.patient(0)
ISSUERS = (WORLD.lab, WORLD.clinician)
NOW_MS = NOW_S * 1000 // MINUTE_MS * MINUTE_MS


@dataclass(frozen=True)
class Event:
    """One entry of the patient's: by whom, of which type, logged when, and signed how long before."""

    issuer: int
    type: str
    logged_ms: int
    before_s: int

    @property
    def iat_s(self) -> int:
        return self.logged_ms // 1000 - self.before_s


def _record(event: Event, index: int) -> FeedRecord:
    return FeedRecord(0, [_entry(event, index)])


def _entry(event: Event, index: int) -> FeedEntry:
    message = WORLD.care(ISSUERS[event.issuer], PATIENT, bytes(16), type=event.type, iat_s=event.iat_s)
    prev = bytes([1]) * 32 if index else NO_PREV
    entry = Entry(PATIENT.id, index, prev, message.statement.digest, event.logged_ms)
    return FeedEntry(index, entry.encode(), message.statement.encoded)


def _events() -> st.SearchStrategy[list[Event]]:
    step = st.tuples(st.integers(0, 1), st.sampled_from(["care.a", "care.b"]), st.integers(0, 90_000))
    steps = st.lists(st.tuples(step, st.integers(-10, 200)), max_size=12)

    def build(drawn: list[tuple[tuple[int, str, int], int]]) -> list[Event]:
        now_ms, events = NOW_MS, []
        for (issuer, type_, later_ms), before_s in drawn:
            now_ms += later_ms
            events.append(Event(issuer, type_, now_ms, before_s))
        return events

    return steps.map(build)


def _plain(events: list[Event]) -> dict[tuple[int, str], tuple[int, int, int]]:
    found: dict[tuple[int, str], tuple[int, int, int]] = defaultdict(lambda: (0, 0, 0))
    for at, event in enumerate(events):
        key = (event.logged_ms // MINUTE_MS * MINUTE_MS, event.type)
        is_late = event.logged_ms - event.iat_s * 1000 > LATE_MS
        is_early = any(each.issuer == event.issuer and each.iat_s > event.iat_s for each in events[:at])
        counted, late, early = found[key]
        found[key] = (counted + 1, late + is_late, early + is_early)
    return dict(found)


def _figures(activity: Activity | None) -> dict[tuple[int, str], tuple[int, int, int]]:
    rows = activity.rows() if activity else []
    return {(row.minute_ms, row.type): (row.events, row.late, row.out_of_order) for row in rows}


@given(_events(), st.randoms())
def test_the_figures_are_those_of_a_plain_count_whatever_is_repeated(events: list[Event], random: object) -> None:
    activity = None
    records = [_record(event, index) for index, event in enumerate(events)]
    for at, record in enumerate(records):
        activity = count(activity, record) or activity
        again = records[random.randrange(at + 1)]  # type: ignore[attr-defined]
        assert count(activity, again) is None
    assert _figures(activity) == _plain(events)


@given(_events(), st.lists(st.integers(1, 4), min_size=12, max_size=12))
def test_records_that_overlap_count_each_entry_once(events: list[Event], sizes: list[int]) -> None:
    entries, activity, at = [_entry(event, index) for index, event in enumerate(events)], None, 0
    for size in sizes:
        if record := FeedRecord(0, entries[max(0, at - 2) : at + size]) if entries else None:
            activity = count(activity, record) or activity
        at = min(at + size, len(entries))
    if entries:
        activity = count(activity, FeedRecord(0, entries)) or activity
    assert _figures(activity) == _plain(events)


@given(_events(), st.lists(st.booleans(), min_size=12, max_size=12))
def test_dropping_what_is_mirrored_changes_no_figure_that_is_written(events: list[Event], flushes: list[bool]) -> None:
    activity, mirrored, written = None, -1, {}
    for index, event in enumerate(events):
        activity = count(activity, _record(event, index), mirrored)
        assert activity is not None
        if flushes[index]:
            written |= {(row.minute_ms, row.type): row for row in activity.rows(after=mirrored)}
            mirrored = activity.last_index
    if activity:
        written |= {(row.minute_ms, row.type): row for row in activity.rows(after=mirrored)}
    assert {key: (row.events, row.late, row.out_of_order) for key, row in written.items()} == _plain(events)


def test_past_minutes_are_dropped_once_they_are_mirrored_and_kept_until_then() -> None:
    first = count(None, _record(Event(0, "care.a", NOW_MS, 0), 0))
    later = _record(Event(0, "care.a", NOW_MS + MINUTE_MS, 0), 1)
    kept, dropped = count(first, later), count(first, later, mirrored=0)
    assert kept is not None
    assert dropped is not None
    assert list(kept.minutes) == [NOW_MS, NOW_MS + MINUTE_MS]
    assert list(dropped.minutes) == [NOW_MS + MINUTE_MS]


def test_late_is_more_than_a_minute_and_out_of_order_is_by_publisher() -> None:
    events = [
        Event(0, "care.a", NOW_MS, 60),  # a minute: not late
        Event(1, "care.a", NOW_MS, 61),  # late; earlier than the other publisher's, which does not matter
        Event(0, "care.a", NOW_MS, 60),  # as before: in order
        Event(0, "care.a", NOW_MS, 61),  # late and out of order
    ]
    activity = None
    for index, event in enumerate(events):
        activity = count(activity, _record(event, index))
    assert activity is not None
    assert activity.minutes == {NOW_MS: {"care.a": Figures(events=4, late=2, out_of_order=1, last_index=3)}}


@given(_events())
def test_a_value_survives_the_changelog(events: list[Event]) -> None:
    activity = Activity(0, PATIENT.id)
    for index, event in enumerate(events):
        activity = count(activity, _record(event, index)) or activity
    assert Activity.from_json(json.loads(json.dumps(activity.to_json()))) == activity


def test_the_mirror_notes_what_was_counted_and_skips_what_no_node_wrote() -> None:
    mirror = Mirror()
    value = _record(Event(0, "care.a", NOW_MS, 0), 0).encode()
    after = mirror.take(None, value)
    assert after is not None
    assert mirror.take(after, value) is None
    assert mirror.take(after, b"rubbish") is None
    assert mirror.take(after, FeedRecord(0, [FeedEntry(1, b"no entry", b"no statement")]).encode()) is None
    assert repr(mirror) == "<Mirror with 1 patients to write>"


def test_what_a_recovered_table_holds_never_hides_what_was_counted_since() -> None:
    mirror = Mirror()
    before = mirror.take(None, _record(Event(0, "care.a", NOW_MS, 0), 0).encode())
    after = mirror.take(before, _record(Event(0, "care.a", NOW_MS, 0), 1).encode())
    assert before is not None
    assert after is not None
    mirror.note_all([before])
    assert mirror._noted[PATIENT.id] == Activity.from_json(after)
