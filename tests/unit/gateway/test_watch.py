from __future__ import annotations

import pytest

from carenet.encoding.ids import encode_id
from carenet.errors import RefusedError
from carenet.gateway.authority import Authority
from carenet.gateway.backlog import Pass
from carenet.gateway.messages import MAX_LISTED, BadRequestError
from carenet.gateway.watch import Cursor, Interest, PageWanted, Since, Watch
from carenet.store.stored import StoredEntry
from tests.support.gatewaylog import stored, view_of
from tests.support.ward import PARTITION, Ward

NOBODY: frozenset[bytes] = frozenset()


@pytest.fixture
def ward() -> Ward:
    return Ward()


def watching(ward: Ward, who: bytes, *subjects: bytes, cursor: Cursor | None = None) -> tuple[Watch, Authority]:
    authority = view_of(ward.net)
    watch = Watch(who, authority)
    watch.begin(Interest(frozenset(subjects) if subjects else None))
    watch.finish(cursor, Since(), 0)
    return watch, authority


def level(ward: Ward, who: bytes) -> tuple[Watch, Authority]:
    """A watch with nothing behind."""
    head = ward.replica.state.tree.size
    return watching(ward, who, cursor=Cursor({PARTITION: head, 0: 10**6}))


def care(ward: Ward, type_: str = "care.observation") -> StoredEntry:
    message = ward.world.care(ward.world.clinician, ward.patient, ward.current(), type=type_)
    return stored(PARTITION, ward.accept(message))


@pytest.mark.parametrize(
    ("wanted", "takes"),
    [
        (None, True),
        ({"care.observation"}, True),
        ({"care.*"}, True),
        ({"care.obs.*"}, False),
        ({"care.observationx"}, False),
        ({"alert.*", "care.condition"}, False),
        (set(), False),
    ],
)
def test_a_filter_by_type_knows_families(ward: Ward, wanted: set[str] | None, takes: bool) -> None:
    interest = Interest(None, None if wanted is None else frozenset(wanted))
    assert interest.takes(care(ward)) is takes


def test_a_filter_by_compartment_lets_pass_what_has_none(ward: Ward) -> None:
    entry = care(ward)
    assert not Interest(None, None, frozenset({"identity"})).takes(entry)
    assert Interest(None, None, frozenset({"clinical"})).takes(entry)
    opening = stored(PARTITION, ward.replica.entries[-3])
    assert opening.compartment is None
    assert Interest(None, None, frozenset({"identity"})).takes(opening)


def test_a_later_subscription_adds_its_subjects() -> None:
    first, second = Interest(frozenset({b"a"})), Interest(frozenset({b"b"}), frozenset({"x"}))
    assert first.joined(second) == Interest(frozenset({b"a", b"b"}), frozenset({"x"}))
    assert first.joined(Interest(None)).subjects is None


def test_a_session_names_no_more_subjects_by_asking_again(ward: Ward) -> None:
    watch, _ = watching(ward, ward.world.clinician.id, ward.patient.id)
    names = [number.to_bytes(32, "big") for number in range(MAX_LISTED)]
    with pytest.raises(BadRequestError, match="at most 10000"):
        watch.begin(Interest(frozenset(names)))
    assert watch.next_page() is not None, "the subscription before it goes on"
    watch.begin(Interest(frozenset(names[1:])))


def test_nothing_is_wanted_before_a_subscription(ward: Ward) -> None:
    assert not Watch(ward.world.clinician.id, view_of(ward.net)).wants(ward.patient.id)


def test_without_a_cursor_all_of_a_subject_is_owed(ward: Ward) -> None:
    watch, _ = watching(ward, ward.world.clinician.id)
    assert watch.passes == {ward.patient.id: Pass(0, 2)}
    assert watch.next_page() == PageWanted(ward.patient.id, PARTITION, Pass(0, 2), 2)


def test_a_subscription_to_nothing_readable_is_refused(ward: Ward) -> None:
    watch = Watch(ward.world.nurse.id, view_of(ward.net))
    watch.begin(Interest(frozenset({ward.patient.id})))
    with pytest.raises(RefusedError) as caught:
        watch.finish(None, Since(), 0)
    assert caught.value.reason == "no_grant"
    assert watch.cancel() == []
    assert not watch.wants(ward.patient.id)


def test_what_cannot_be_read_among_what_can_is_said_to_be_withdrawn(ward: Ward) -> None:
    authority = view_of(ward.net)
    watch = Watch(ward.world.clinician.id, authority)
    watch.begin(Interest(frozenset({ward.patient.id, bytes(32)})))
    said = watch.finish(None, Since(), 0)
    assert said["withdrawn"] == [encode_id(bytes(32))]
    assert list(said["behind"]) == [encode_id(ward.patient.id)]


def test_a_level_subject_is_pushed_live_and_one_that_is_behind_is_not(ward: Ward) -> None:
    watch, authority = level(ward, ward.world.clinician.id)
    entry = care(ward)
    authority.apply(entry)
    assert watch.takes_live(entry, NOBODY, 0)
    watch.fall_behind(entry, 0)
    assert not watch.takes_live(entry, NOBODY, 0)


def test_filters_never_drop_what_has_wraps_for_the_reader(ward: Ward) -> None:
    authority = view_of(ward.net)
    watch = Watch(ward.world.clinician.id, authority)
    watch.begin(Interest(None, frozenset({"alert.*"})))
    watch.finish(Cursor({PARTITION: 10**6}), Since(), 0)
    entry = care(ward)
    authority.apply(entry)
    assert not watch.takes_live(entry, NOBODY, 0)
    assert watch.takes_live(entry, frozenset({ward.world.clinician.id}), 0)


def test_what_comes_while_a_subscription_is_set_up_is_owed(ward: Ward) -> None:
    authority = view_of(ward.net)
    watch = Watch(ward.world.clinician.id, authority)
    watch.begin(Interest(None))
    entry = care(ward)
    authority.apply(entry)
    assert not watch.takes_live(entry, NOBODY, 0)
    said = watch.finish(Cursor({PARTITION: entry.index}), Since(), 0)
    assert said["behind"] == {encode_id(ward.patient.id): entry.seq}
    assert said["at"][str(PARTITION)] == entry.index + 1


def test_nothing_is_walked_before_the_client_was_told_where_it_stands(ward: Ward) -> None:
    # Else what is owed meanwhile is sent, and sent once more by the walk that the cursor asks for.
    missed = care(ward)
    authority = view_of(ward.net)
    watch = Watch(ward.world.clinician.id, authority)
    watch.begin(Interest(None))
    entry = care(ward)
    authority.apply(entry)
    assert not watch.takes_live(entry, NOBODY, 0)
    assert watch.next_page() is None
    watch.finish(Cursor({PARTITION: missed.index}), Since({ward.patient.id: missed.seq}), 0)
    assert watch.next_page() == PageWanted(ward.patient.id, PARTITION, Pass(missed.seq, entry.seq + 1), 2)


def test_a_page_of_a_subject_whose_access_ended_and_came_back_meanwhile_is_dropped(ward: Ward) -> None:
    watch, _ = watching(ward, ward.world.clinician.id)
    wanted = watch.next_page()
    assert isinstance(wanted, PageWanted)
    page = [stored(PARTITION, each) for each in ward.replica.entries[-2:]]
    assert watch.on_ended(ward.patient.id)[0]["type"] == "withdrawn"
    watch.passes[ward.patient.id] = Pass(0, 2)  # a grant with history came
    assert watch.take_page(wanted, page, 0) == ([], [], None)
    assert watch.passes == {ward.patient.id: Pass(0, 2)}


def test_access_that_ends_takes_the_subjects_backlog_with_it(ward: Ward) -> None:
    watch, authority = watching(ward, ward.world.clinician.id)
    (told,) = watch.on_ended(ward.patient.id)
    assert told == {
        "type": "withdrawn",
        "subject": encode_id(ward.patient.id),
        "at": {str(PARTITION): authority.heads[PARTITION]},
    }
    assert watch.next_page() is None


def test_a_subject_whose_walk_reaches_the_head_is_level_and_the_client_told_how_far(ward: Ward) -> None:
    watch, authority = watching(ward, ward.world.clinician.id)
    wanted = watch.next_page()
    assert isinstance(wanted, PageWanted)
    page = [stored(PARTITION, each) for each in ward.replica.entries[-2:]]
    owed, said, rest = watch.take_page(wanted, page[:1], 0)
    assert (len(owed), said) == (1, [])
    assert rest is not None
    watch.take_page(rest, page[1:], 0)
    assert watch.next_page() == [
        {
            "type": "caught_up",
            "subjects": [encode_id(ward.patient.id)],
            "all": True,
            "at": {str(PARTITION): authority.heads[PARTITION]},
        }
    ]


def test_a_walk_that_is_ahead_of_the_head_waits_for_it(ward: Ward) -> None:
    watch, _ = watching(ward, ward.world.clinician.id, cursor=Cursor(behind={ward.patient.id: Pass(5, 5)}))
    assert watch.next_page() is None
    assert watch.passes


def test_a_subscription_that_fails_leaves_the_one_before_it(ward: Ward) -> None:
    watch, authority = level(ward, ward.world.clinician.id)
    watch.begin(Interest(frozenset({bytes(32)})))
    entry = care(ward)
    authority.apply(entry)
    assert not watch.takes_live(entry, NOBODY, 0)
    (told,) = watch.cancel()
    assert (told["type"], told["subjects"]) == ("behind", {encode_id(ward.patient.id): entry.seq})


def test_access_that_ended_while_a_subscription_failed_is_told(ward: Ward) -> None:
    watch, _ = level(ward, ward.world.clinician.id)
    watch.begin(Interest(frozenset({bytes(32)})))
    assert watch.on_ended(ward.patient.id) == []
    assert [told["type"] for told in watch.cancel()] == ["withdrawn"]


def test_a_withdrawal_since_the_cursor_begins_anew_where_access_came_back(ward: Ward) -> None:
    watch = Watch(ward.world.clinician.id, view_of(ward.net))
    watch.begin(Interest(None))
    cursor = Cursor({PARTITION: 10**6}, {ward.patient.id: Pass(2, 2)})
    said = watch.finish(cursor, Since(withdrawn=frozenset({ward.patient.id})), 0)
    assert said["withdrawn"] == [encode_id(ward.patient.id)]
    assert watch.passes == {ward.patient.id: Pass(0, 2)}
