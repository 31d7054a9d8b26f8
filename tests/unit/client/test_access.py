from __future__ import annotations

from carenet.client.access import Access
from carenet.client.grants import _shares, with_current
from carenet.statements.keys import compute_epoch_id
from tests.support.actors import Actor, actor
from tests.support.world import Message, World, epoch_ids

WORLD = World()
PATIENT = WORLD.patient(1)
HOSPITAL, LEE, OKAFOR = WORLD.hospital, WORLD.clinician, WORLD.nurse
NOW_MS = WORLD.clock_ms


def epochs_of(number: int, *names: str) -> dict[str, bytes]:
    return {name: PATIENT.epoch(name, number) for name in names}


def ids_of(number: int, *names: str) -> tuple[bytes, ...]:
    return epoch_ids(epochs_of(number, *names).values())


def after(*messages: Message) -> Access:
    access = Access(PATIENT.id)
    for seq, message in enumerate(messages):
        access.apply(message.statement, seq)
    return access


def opened() -> Message:
    return WORLD.open(HOSPITAL, PATIENT, [HOSPITAL])


def history(grantee: Actor, *names: str) -> Message:
    return WORLD.give(HOSPITAL, PATIENT, grantee, compartments=names, to=[grantee.id], brings=ids_of(0, *names))


def withdrawn(grantee: Actor, to: list[Actor], *names: str) -> Message:
    recipients = [each.id for each in to]
    epochs = epochs_of(1, *names)
    return WORLD.withdraw(HOSPITAL, PATIENT, grantee, epochs=epochs, to=recipients, brings=ids_of(1, *names))


def test_an_opened_subject_is_read_by_its_custodians_who_hold_every_key():
    access = after(opened())
    assert access.readers(NOW_MS) == {HOSPITAL.id}
    assert access.entitled(HOSPITAL.id, NOW_MS) == set(ids_of(0, "clinical", "medication", "identity"))
    assert access.missing(NOW_MS) == {}


def test_a_grant_with_history_entitles_to_all_epochs_and_one_from_now_on_to_later_ones():
    later = WORLD.give(
        HOSPITAL,
        PATIENT,
        OKAFOR,
        history=False,
        epochs=epochs_of(1, "clinical"),
        to=[OKAFOR.id, HOSPITAL.id],
        brings=ids_of(1, "clinical"),
    )
    access = after(opened(), history(LEE, "clinical"), later)
    assert access.entitled(LEE.id, NOW_MS) == {*ids_of(0, "clinical"), *ids_of(1, "clinical")}
    assert access.entitled(OKAFOR.id, NOW_MS) == set(ids_of(1, "clinical"))
    assert access.missing(NOW_MS) == {LEE.id: set(ids_of(1, "clinical"))}


def test_a_withdrawn_reader_is_entitled_to_nothing_and_missed_by_nobody():
    access = after(opened(), history(LEE, "clinical"), withdrawn(LEE, [HOSPITAL], "clinical"))
    assert access.readable_by(LEE.id) == ()
    assert access.entitled(LEE.id, NOW_MS) == set()
    assert access.missing(NOW_MS) == {}
    assert access.epochs["clinical"].current == ids_of(1, "clinical")[0]


def test_an_expired_grant_reads_nothing_but_is_still_to_be_rotated_away():
    message = WORLD.give(
        HOSPITAL,
        PATIENT,
        LEE,
        until_ms=NOW_MS + 1,
        to=[LEE.id],
        brings=ids_of(0, "clinical"),
        compartments=["clinical"],
    )
    access = after(opened(), message)
    assert LEE.id in access.readers(NOW_MS)
    assert LEE.id not in access.readers(NOW_MS + 1)
    assert access.readable_by(LEE.id) == ("clinical",)


def test_a_grant_to_write_opens_nothing():
    access = after(opened(), WORLD.give(HOSPITAL, PATIENT, WORLD.lab, actions=["write"]))
    assert access.readers(NOW_MS) == {HOSPITAL.id}
    assert access.readable_by(WORLD.lab.id) == ()


def test_only_who_reads_every_compartment_may_be_wrapped_all_their_keys():
    access = after(opened(), history(LEE, "clinical", "medication"), history(OKAFOR, "medication"))
    assert access.readers_of_all(["clinical", "medication"], NOW_MS) == {HOSPITAL.id, LEE.id}
    assert access.readers_of_all(["medication"], NOW_MS) == {HOSPITAL.id, LEE.id, OKAFOR.id}


def test_two_grants_together_read_what_they_cover_together():
    access = after(opened(), history(LEE, "clinical"), history(LEE, "medication"))
    assert LEE.id in access.readers_of_all(["clinical", "medication"], NOW_MS)


def test_what_was_shared_is_missed_no_more():
    messages = [opened(), history(LEE, "clinical"), history(OKAFOR, "clinical")]
    messages.append(withdrawn(OKAFOR, [HOSPITAL], "clinical"))
    assert after(*messages).missing(NOW_MS) == {LEE.id: set(ids_of(1, "clinical"))}
    shared = WORLD.share(HOSPITAL, PATIENT, [LEE.id], ids_of(1, "clinical"))
    assert after(*messages, shared).missing(NOW_MS) == {}


def test_an_entry_that_was_taken_in_changes_nothing_again():
    access = after(opened(), history(LEE, "clinical"))
    access.apply(history(LEE, "medication").statement, 1)
    assert access.readable_by(LEE.id) == ("clinical",)
    assert access.next_seq == 2


def test_epochs_come_by_compartment_and_age():
    access = after(opened(), history(LEE, "clinical"), withdrawn(LEE, [HOSPITAL], "clinical"))
    mixed = {*ids_of(0, "identity"), *ids_of(1, "clinical"), *ids_of(0, "clinical")}
    assert access.in_order(mixed) == (*ids_of(0, "clinical"), *ids_of(1, "clinical"), *ids_of(0, "identity"))


def test_a_share_brings_the_current_epoch_along():
    access = after(opened(), history(LEE, "clinical"), withdrawn(LEE, [HOSPITAL], "clinical"))
    assert with_current(access, ids_of(0, "clinical")) == {*ids_of(0, "clinical"), *ids_of(1, "clinical")}


def test_readers_that_miss_the_same_share_a_statement_of_at_most_500():
    access = after(opened())
    many = [actor(f"reader-{number}") for number in range(501)]
    for seq, reader in enumerate(many, 1):
        access.apply(history(reader, "clinical").statement, seq)
    for seq in range(502, 504):
        public = PATIENT.epoch("clinical", seq)
        message = WORLD.begin(HOSPITAL, PATIENT, {"clinical": public}, to=[HOSPITAL.id], brings=epoch_ids([public]))
        access.apply(message.statement, seq)
    shares = list(_shares(access, NOW_MS))
    assert [(len(readers), len(gap)) for readers, gap in shares] == [(500, 2), (1, 2)]
    assert {reader for readers, _ in shares for reader in readers} == {each.id for each in many}


def test_the_hash_of_an_epochs_key_is_its_id():
    assert after(opened()).epochs["clinical"].current == compute_epoch_id(PATIENT.epoch("clinical", 0))
