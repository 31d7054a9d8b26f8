from __future__ import annotations

from typing import Any

import pytest

from carenet.rules.reasons import Reason
from tests.support.actors import Actor, actor
from tests.support.ward import PARTITION, Ward
from tests.support.world import Message, epoch_ids

BOTH = ("clinical", "medication")


@pytest.fixture
def ward() -> Ward:
    return Ward()


def next_epochs(ward: Ward, *compartments: str, number: int = 1) -> dict[str, bytes]:
    return {name: ward.patient.epoch(name, number) for name in compartments}


def read(ward: Ward, grantee: Actor, by: Actor | None = None, **fields: Any) -> Message:
    """A grant to read `clinical` with history, whole and right unless a field is given otherwise."""
    fields = {"to": [grantee.id], "brings": ward.epochs()} | fields
    return ward.world.give(by or ward.world.hospital, ward.patient, grantee, **fields)


def from_now_on(ward: Ward, grantee: Actor, **fields: Any) -> Message:
    """A grant to read `clinical` from now on, whole and right unless a field is given otherwise."""
    epochs = next_epochs(ward, "clinical", number=len(ward.epochs()))
    fields = {"epochs": epochs, "to": [grantee.id], "brings": epoch_ids(epochs.values()), "history": False} | fields
    return ward.world.give(ward.world.hospital, ward.patient, grantee, **fields)


# grant.give


def test_a_grant_is_written_as_it_was_given(ward: Ward) -> None:
    until = ward.world.clock_ms + 1000
    given = ward.accept(read(ward, ward.world.nurse, until_ms=until, purpose="consult"))
    (grant,) = ward.grants_of(ward.world.nurse)
    assert (grant.id, grant.actions, grant.compartments) == (given.statement.digest, ("read",), ("clinical",))
    assert (grant.history, grant.from_seq, grant.to_seq) == (True, given.entry.seq, None)
    assert (grant.until_ms, grant.purpose) == (until, "consult")
    assert len(ward.epochs()) == 1, "a grant with history begins no epoch"


def test_a_grant_from_now_on_begins_the_next_epoch(ward: Ward) -> None:
    given = ward.accept(from_now_on(ward, ward.world.nurse))
    assert ward.epochs()[1:] == epoch_ids([ward.patient.epoch("clinical", 1)])
    (grant,) = ward.grants_of(ward.world.nurse)
    assert (grant.history, grant.from_seq) == (False, given.entry.seq)


def test_a_second_grant_stands_beside_the_first(ward: Ward) -> None:
    ward.accept(read(ward, ward.world.nurse))
    ward.accept(ward.world.give(ward.world.hospital, ward.patient, ward.world.nurse, actions=["write"]))
    assert [grant.actions for grant in ward.grants_of(ward.world.nurse)] == [("read",), ("write",)]


def test_only_the_deciding_custodian_gives_and_withdraws(ward: Ward) -> None:
    world = ward.world
    for other in (ward.clinic, world.clinician, world.lab, world.authority):
        ward.refuse(read(ward, world.nurse, by=other), Reason.NOT_DECIDER)
        withdrawal = world.withdraw(other, ward.patient, world.clinician, epochs=next_epochs(ward, *BOTH))
        ward.refuse(withdrawal, Reason.NOT_DECIDER)


def test_the_next_custodian_decides_when_the_first_is_suspended(ward: Ward) -> None:
    world = ward.world
    ward.accept(world.suspend(world.authority, world.hospital))
    ward.refuse(read(ward, world.pharmacy), Reason.SUSPENDED)
    ward.accept(read(ward, world.pharmacy, by=ward.clinic))


def test_a_holder_of_manage_gives_and_withdraws(ward: Ward) -> None:
    world = ward.world
    ward.accept(world.give(world.hospital, ward.patient, world.pharmacy, actions=["manage"]))
    ward.accept(read(ward, world.nurse, by=world.pharmacy))
    ward.accept(world.withdraw(world.pharmacy, ward.patient, world.nurse, epochs=next_epochs(ward, "clinical")))
    ward.accept(world.withdraw(world.hospital, ward.patient, world.pharmacy))
    ward.refuse(read(ward, world.nurse, by=world.pharmacy), Reason.NOT_DECIDER)


def test_manage_ends_when_its_grant_says(ward: Ward) -> None:
    world = ward.world
    until = world.clock_ms + 1000
    ward.accept(world.give(world.hospital, ward.patient, world.pharmacy, actions=["manage"], until_ms=until))
    world.clock_ms = until
    ward.refuse(read(ward, world.nurse, by=world.pharmacy), Reason.NOT_DECIDER)


def test_a_grantee_is_a_participant_with_a_key_that_is_not_suspended(ward: Ward) -> None:
    world = ward.world
    ward.refuse(read(ward, world.stranger), Reason.UNKNOWN_PARTICIPANT)
    ward.refuse(read(ward, world.lab), Reason.UNKNOWN_PARTICIPANT)  # admitted without an HPKE key
    ward.accept(world.give(world.hospital, ward.patient, world.lab, actions=["write"]))
    ward.accept(world.suspend(world.authority, world.pharmacy))
    ward.refuse(read(ward, world.pharmacy), Reason.SUSPENDED)


def test_a_grant_is_for_compartments_that_the_patient_has(ward: Ward) -> None:
    ward.refuse(read(ward, ward.world.nurse, compartments=["gossip"]), Reason.UNKNOWN_COMPARTMENT)


def test_a_grant_ends_after_it_begins(ward: Ward) -> None:
    now = ward.world.clock_ms
    for until in (0, now - 1, now):
        ward.refuse(read(ward, ward.world.nurse, until_ms=until), Reason.ALREADY_ENDED)
    ward.accept(read(ward, ward.world.nurse, until_ms=now + 1))


def test_wraps_come_whole_or_not_at_all(ward: Ward) -> None:
    world = ward.world
    halves: list[dict[str, Any]] = [{"brings": None}, {"to": None, "brings": ward.epochs(), "body": None}]
    for half in halves:
        ward.refuse(read(ward, world.nurse, **half), Reason.BAD_PAYLOAD)


def test_a_grant_that_reads_nothing_wraps_nothing(ward: Ward) -> None:
    world = ward.world
    ward.refuse(read(ward, world.nurse, actions=["write"]), Reason.BAD_PAYLOAD)
    ward.refuse(from_now_on(ward, world.nurse, actions=["write"]), Reason.BAD_PAYLOAD)


def test_a_grant_to_read_wraps_to_its_grantee(ward: Ward) -> None:
    world = ward.world
    ward.refuse(world.give(world.hospital, ward.patient, world.nurse), Reason.EPOCHS_INCOMPLETE)
    ward.refuse(read(ward, world.nurse, to=[world.clinician.id]), Reason.EPOCHS_INCOMPLETE)
    ward.refuse(from_now_on(ward, world.nurse, to=[world.clinician.id]), Reason.EPOCHS_INCOMPLETE)


def test_history_is_wrapped_to_the_grantee_alone(ward: Ward) -> None:
    world = ward.world
    ward.refuse(read(ward, world.nurse, to=[world.nurse.id, world.clinician.id]), Reason.NOT_A_READER)


def test_history_brings_epochs_of_exactly_the_granted_compartments(ward: Ward) -> None:
    world = ward.world
    ward.refuse(read(ward, world.nurse, compartments=BOTH), Reason.EPOCHS_INCOMPLETE)
    both = [*ward.epochs("clinical"), *ward.epochs("medication")]
    ward.refuse(read(ward, world.nurse, brings=both), Reason.EPOCHS_INCOMPLETE)
    ward.accept(read(ward, world.nurse, compartments=BOTH, brings=both))


def test_history_begins_no_epoch(ward: Ward) -> None:
    epochs = next_epochs(ward, "clinical")
    both = [*ward.epochs(), *epoch_ids(epochs.values())]
    ward.refuse(read(ward, ward.world.nurse, epochs=epochs, brings=both), Reason.BAD_PAYLOAD)


def test_history_that_misses_the_current_epoch_lost_a_race(ward: Ward) -> None:
    world = ward.world
    drafted = read(ward, world.nurse)
    rotation = ward.accept(world.begin(world.hospital, ward.patient, next_epochs(ward, "clinical")))
    assert ward.refuse(drafted, Reason.STALE_EPOCH).winner == rotation.statement.digest
    ward.accept(read(ward, world.nurse))


def test_an_epoch_that_the_subject_never_had_is_not_brought(ward: Ward) -> None:
    world = ward.world
    made_up = epoch_ids([ward.patient.epoch("clinical", 9)])
    ward.refuse(read(ward, world.nurse, brings=[*ward.epochs(), *made_up]), Reason.UNKNOWN_EPOCH)
    ward.refuse(world.share(world.hospital, ward.patient, [world.clinician.id], made_up), Reason.UNKNOWN_EPOCH)
    rotation = next_epochs(ward, "clinical")
    begun = world.begin(world.hospital, ward.patient, rotation, to=[world.clinician.id], brings=made_up)
    ward.refuse(begun, Reason.UNKNOWN_EPOCH)


def test_a_grant_from_now_on_carries_the_next_epoch_of_each_of_its_compartments(ward: Ward) -> None:
    world = ward.world
    ward.refuse(from_now_on(ward, world.nurse, epochs=None, brings=ward.epochs()), Reason.EPOCHS_INCOMPLETE)
    ward.refuse(from_now_on(ward, world.nurse, compartments=BOTH), Reason.EPOCHS_INCOMPLETE)
    epochs = next_epochs(ward, *BOTH)
    whole = {"epochs": epochs, "brings": epoch_ids(epochs.values())}
    ward.refuse(from_now_on(ward, world.nurse, **whole), Reason.EPOCHS_INCOMPLETE)
    ward.accept(from_now_on(ward, world.nurse, compartments=BOTH, **whole))


def test_a_grant_from_now_on_brings_nothing_of_the_past(ward: Ward) -> None:
    epochs = next_epochs(ward, "clinical")
    brings = [*ward.epochs(), *epoch_ids(epochs.values())]
    ward.refuse(from_now_on(ward, ward.world.nurse, brings=brings), Reason.EPOCHS_INCOMPLETE)


def test_a_grant_from_now_on_may_wrap_the_next_epoch_to_every_reader_and_to_nobody_else(ward: Ward) -> None:
    world = ward.world
    readers = [world.nurse.id, world.clinician.id, world.hospital.id, ward.clinic.id]
    ward.refuse(from_now_on(ward, world.nurse, to=[*readers, world.emergency.id]), Reason.NOT_A_READER)
    ward.accept(from_now_on(ward, world.nurse, to=readers))


# grant.withdraw


def test_a_withdrawal_ends_every_grant_and_begins_the_next_epochs_in_one_entry(ward: Ward) -> None:
    world = ward.world
    ward.accept(world.give(world.hospital, ward.patient, world.clinician, compartments=["identity"], actions=["write"]))
    message = world.withdraw(world.hospital, ward.patient, world.clinician, epochs=next_epochs(ward, *BOTH))
    ended = ward.accept(message)
    assert {grant.to_seq for grant in ward.grants_of(world.clinician)} == {ended.entry.seq}
    assert [len(ward.epochs(name)) for name in ("clinical", "medication", "identity")] == [2, 2, 1]


def test_a_withdrawal_carries_the_next_epoch_of_each_compartment_that_could_be_read_and_no_other(ward: Ward) -> None:
    world = ward.world
    for epochs in (None, next_epochs(ward, "clinical"), next_epochs(ward, *BOTH, "identity")):
        withdrawal = world.withdraw(world.hospital, ward.patient, world.clinician, epochs=epochs)
        ward.refuse(withdrawal, Reason.EPOCHS_INCOMPLETE)


def test_a_withdrawal_wraps_to_nobody_who_left(ward: Ward) -> None:
    world = ward.world
    epochs = next_epochs(ward, *BOTH)
    brings = epoch_ids(epochs.values())
    for left in (world.clinician, world.nurse, world.stranger):
        to = [world.hospital.id, left.id]
        withdrawal = world.withdraw(world.hospital, ward.patient, world.clinician, epochs=epochs, to=to, brings=brings)
        ward.refuse(withdrawal, Reason.NOT_A_READER)
    to = [world.hospital.id, ward.clinic.id]
    ward.accept(world.withdraw(world.hospital, ward.patient, world.clinician, epochs=epochs, to=to, brings=brings))


def test_a_withdrawal_wraps_a_compartments_key_only_to_readers_of_all_that_it_brings(ward: Ward) -> None:
    world = ward.world
    ward.accept(read(ward, world.nurse))  # clinical alone
    epochs = next_epochs(ward, *BOTH)
    brings = epoch_ids(epochs.values())
    withdrawal = world.withdraw(
        world.hospital, ward.patient, world.clinician, epochs=epochs, to=[world.nurse.id], brings=brings
    )
    ward.refuse(withdrawal, Reason.NOT_A_READER)


def test_there_is_something_to_withdraw(ward: Ward) -> None:
    world = ward.world
    ward.refuse(world.withdraw(world.hospital, ward.patient, world.nurse), Reason.ALREADY_ENDED)
    ward.accept(world.withdraw(world.hospital, ward.patient, world.clinician, epochs=next_epochs(ward, *BOTH)))
    again = world.withdraw(world.hospital, ward.patient, world.clinician, epochs=next_epochs(ward, *BOTH, number=2))
    ward.refuse(again, Reason.ALREADY_ENDED)


def test_an_expired_grant_is_withdrawn_so_that_its_keys_are_rotated_away(ward: Ward) -> None:
    world = ward.world
    ward.accept(read(ward, world.nurse, until_ms=world.clock_ms + 1000))
    world.clock_ms += 2000
    ward.accept(world.withdraw(world.hospital, ward.patient, world.nurse, epochs=next_epochs(ward, "clinical")))


def test_an_epoch_never_begins_twice(ward: Ward) -> None:
    world = ward.world
    first = {"clinical": ward.patient.epoch("clinical", 0)}
    ward.refuse(world.begin(world.hospital, ward.patient, first), Reason.STALE_EPOCH)
    other = {"clinical": ward.patient.epoch("medication", 0)}
    ward.refuse(world.begin(world.hospital, ward.patient, other), Reason.STALE_EPOCH)
    shared = dict.fromkeys(BOTH, ward.patient.epoch("shared", 0))
    ward.refuse(world.begin(world.hospital, ward.patient, shared), Reason.STALE_EPOCH)


# epoch.begin


def test_any_custodian_and_holders_of_manage_begin_epochs_and_nobody_else(ward: Ward) -> None:
    world = ward.world
    for other in (world.clinician, world.lab, world.authority):
        ward.refuse(world.begin(other, ward.patient, next_epochs(ward, "clinical")), Reason.NOT_DECIDER)
        ward.refuse(world.share(other, ward.patient, [world.clinician.id], ward.epochs()), Reason.NOT_DECIDER)
    ward.accept(world.begin(ward.clinic, ward.patient, next_epochs(ward, "clinical")))
    ward.accept(world.give(world.hospital, ward.patient, world.pharmacy, actions=["manage"]))
    ward.accept(world.begin(world.pharmacy, ward.patient, next_epochs(ward, "medication")))


def test_an_epoch_begins_in_a_compartment_that_the_patient_has(ward: Ward) -> None:
    begun = ward.world.begin(ward.world.hospital, ward.patient, {"gossip": ward.patient.epoch("gossip", 0)})
    ward.refuse(begun, Reason.UNKNOWN_COMPARTMENT)


def test_the_next_epoch_is_wrapped_to_readers_only(ward: Ward) -> None:
    world = ward.world
    epochs = next_epochs(ward, "clinical")
    brings = epoch_ids(epochs.values())
    for outsider in (world.nurse, world.emergency, world.stranger):
        begun = world.begin(world.hospital, ward.patient, epochs, to=[world.clinician.id, outsider.id], brings=brings)
        ward.refuse(begun, Reason.NOT_A_READER)
    ward.accept(world.begin(world.hospital, ward.patient, epochs, to=[world.clinician.id], brings=brings))


def test_whoever_is_suspended_gets_no_key_although_its_grant_stands(ward: Ward) -> None:
    world = ward.world
    epochs = next_epochs(ward, "clinical")
    ward.accept(world.suspend(world.hospital, world.clinician))
    ward.accept(world.suspend(world.authority, ward.clinic))
    for suspended in (world.clinician, ward.clinic):  # a reader, and a custodian
        to = [world.hospital.id, suspended.id]
        begun = world.begin(world.hospital, ward.patient, epochs, to=to, brings=epoch_ids(epochs.values()))
        ward.refuse(begun, Reason.NOT_A_READER)
        ward.refuse(world.share(world.hospital, ward.patient, to, ward.epochs()), Reason.NOT_A_READER)
    to = [world.hospital.id]
    ward.accept(world.begin(world.hospital, ward.patient, epochs, to=to, brings=epoch_ids(epochs.values())))


def test_a_member_of_a_suspended_organisation_gets_no_key(ward: Ward) -> None:
    world = ward.world
    ward.accept(world.suspend(world.authority, world.hospital))
    share = world.share(ward.clinic, ward.patient, [ward.clinic.id, world.clinician.id], ward.epochs())
    ward.refuse(share, Reason.NOT_A_READER)
    ward.accept(world.share(ward.clinic, ward.patient, [ward.clinic.id], ward.epochs()))


def test_a_holder_of_a_grant_to_write_gets_no_key(ward: Ward) -> None:
    world = ward.world
    ward.accept(world.give(world.hospital, ward.patient, world.nurse, actions=["write", "manage"]))
    ward.refuse(world.share(world.hospital, ward.patient, [world.nurse.id], ward.epochs()), Reason.NOT_A_READER)


def test_a_rotation_brings_exactly_what_it_begins(ward: Ward) -> None:
    world = ward.world
    epochs = next_epochs(ward, *BOTH)
    brings = epoch_ids([epochs["clinical"]])
    begun = world.begin(world.hospital, ward.patient, epochs, to=[world.clinician.id], brings=brings)
    ward.refuse(begun, Reason.EPOCHS_INCOMPLETE)


def test_a_rotation_answers_one_trigger_once_a_compartment(ward: Ward) -> None:
    world = ward.world
    trigger = ward.accept(world.suspend(world.authority, world.pharmacy)).statement.digest
    first = ward.accept(world.begin(world.hospital, ward.patient, next_epochs(ward, "clinical"), trigger=trigger))
    again = world.begin(ward.clinic, ward.patient, next_epochs(ward, "clinical", number=2), trigger=trigger)
    assert ward.refuse(again, Reason.ALREADY_DONE).winner == first.statement.digest
    both = world.begin(ward.clinic, ward.patient, next_epochs(ward, *BOTH, number=2), trigger=trigger)
    ward.refuse(both, Reason.ALREADY_DONE)
    ward.accept(world.begin(ward.clinic, ward.patient, next_epochs(ward, "medication"), trigger=trigger))
    ward.accept(world.begin(ward.clinic, ward.patient, next_epochs(ward, "clinical", number=2)))


def test_one_suspension_has_the_epochs_of_every_patient_of_a_partition_rotated(ward: Ward) -> None:
    world = ward.world
    other = world.patient(PARTITION, 1)
    ward.accept(world.open(world.hospital, other, [world.hospital]))
    trigger = ward.accept(world.suspend(world.authority, world.pharmacy)).statement.digest
    ward.accept(world.begin(world.hospital, ward.patient, next_epochs(ward, "clinical"), trigger=trigger))
    ward.accept(world.begin(world.hospital, other, {"clinical": other.epoch("clinical", 1)}, trigger=trigger))


# key.share


def test_keys_are_shared_with_readers_that_miss_them(ward: Ward) -> None:
    world = ward.world
    ward.accept(world.begin(world.hospital, ward.patient, next_epochs(ward, "clinical")))
    ward.accept(world.share(ward.clinic, ward.patient, [world.clinician.id, world.hospital.id], ward.epochs()))


def test_keys_are_shared_with_readers_only(ward: Ward) -> None:
    world = ward.world
    for outsider in (world.nurse, world.stranger):
        share = world.share(world.hospital, ward.patient, [world.clinician.id, outsider.id], ward.epochs())
        ward.refuse(share, Reason.NOT_A_READER)
    identity = world.share(world.hospital, ward.patient, [world.clinician.id], ward.epochs("identity"))
    ward.refuse(identity, Reason.NOT_A_READER)


def test_a_share_that_misses_the_current_epoch_lost_a_race(ward: Ward) -> None:
    world = ward.world
    old = ward.epochs()
    ward.accept(world.begin(world.hospital, ward.patient, next_epochs(ward, "clinical")))
    ward.refuse(world.share(world.hospital, ward.patient, [world.clinician.id], old), Reason.STALE_EPOCH)


def test_a_reader_from_now_on_gets_no_key_of_the_past(ward: Ward) -> None:
    world = ward.world
    ward.accept(from_now_on(ward, world.nurse))
    ward.refuse(world.share(world.hospital, ward.patient, [world.nurse.id], ward.epochs()), Reason.NOT_A_READER)
    ward.accept(world.share(world.hospital, ward.patient, [world.nurse.id], [ward.current()]))
    ward.accept(world.begin(world.hospital, ward.patient, next_epochs(ward, "clinical", number=2)))
    ward.accept(world.share(world.hospital, ward.patient, [world.nurse.id], ward.epochs()[1:]))


def test_a_reader_whose_grant_has_expired_gets_no_key(ward: Ward) -> None:
    world = ward.world
    ward.accept(read(ward, world.nurse, until_ms=world.clock_ms + 1000))
    world.clock_ms += 1000
    ward.refuse(world.share(world.hospital, ward.patient, [world.nurse.id], ward.epochs()), Reason.NOT_A_READER)


def test_a_share_answers_one_trigger_once_for_each_issuer_and_part(ward: Ward) -> None:
    world = ward.world

    def share(by: Actor, **fields: Any) -> Message:
        return world.share(by, ward.patient, [world.clinician.id], ward.epochs(), trigger=b"t" * 32, **fields)

    first = ward.accept(share(world.hospital))
    assert ward.refuse(share(world.hospital), Reason.ALREADY_DONE).winner == first.statement.digest
    ward.refuse(share(world.hospital, part=0), Reason.ALREADY_DONE)
    ward.accept(share(world.hospital, part=1))
    ward.accept(share(ward.clinic))


def test_control_statements_have_neither_compartment_nor_epoch(ward: Ward) -> None:
    world = ward.world
    for name, reason in [("compartment", Reason.UNKNOWN_COMPARTMENT), ("epoch", Reason.BAD_PAYLOAD)]:
        value = "clinical" if name == "compartment" else ward.current()
        fields: dict[str, Any] = {name: value}
        ward.refuse(world.withdraw(world.hospital, ward.patient, world.clinician, **fields), reason)
        ward.refuse(world.begin(world.hospital, ward.patient, next_epochs(ward, "clinical"), **fields), reason)
        share = world.share(world.hospital, ward.patient, [world.clinician.id], ward.epochs(), **fields)
        ward.refuse(share, reason)


def test_a_patient_without_custodians_at_work_decides_nothing(ward: Ward) -> None:
    world = ward.world
    ward.accept(world.give(world.hospital, ward.patient, world.pharmacy, actions=["manage"]))
    for custodian in (world.hospital, ward.clinic):
        ward.accept(world.suspend(world.authority, custodian))
    ward.refuse(world.withdraw(world.emergency, ward.patient, world.clinician), Reason.NOT_DECIDER)
    ward.accept(world.give(world.pharmacy, ward.patient, actor("lab"), actions=["write"]))
