from __future__ import annotations

import pytest

from carenet.rules.reasons import Reason
from tests.support.actors import Actor
from tests.support.ward import PARTITION, Ward
from tests.support.world import Message


@pytest.fixture
def ward() -> Ward:
    return Ward()


def care(ward: Ward, by: Actor, compartment: str = "clinical", **changes: object) -> Message:
    return ward.world.care(by, ward.patient, ward.current(compartment), compartment, **changes)


# Who writes.


def test_care_data_is_written_by_a_grant_or_a_standing_choice(ward: Ward) -> None:
    ward.accept(care(ward, ward.world.clinician))
    ward.accept(care(ward, ward.world.lab))
    ward.accept(care(ward, ward.world.lab, "identity"))  # a standing choice names no compartment


def test_without_a_grant_or_standing_choice_nothing_is_written(ward: Ward) -> None:
    ward.refuse(care(ward, ward.world.emergency), Reason.NO_GRANT)
    ward.refuse(care(ward, ward.world.nurse), Reason.NO_GRANT)  # the clinician's grant is the clinician's
    dispensed = care(ward, ward.world.pharmacy, "medication", type="care.medicationdispense")
    ward.refuse(dispensed, Reason.NO_GRANT)


def test_a_grant_to_write_covers_its_compartments_only(ward: Ward) -> None:
    ward.accept(care(ward, ward.world.clinician, "medication"))
    ward.refuse(care(ward, ward.world.clinician, "identity"), Reason.NO_GRANT)


def test_a_grant_to_an_organisation_lets_its_members_write(ward: Ward) -> None:
    world = ward.world
    ward.accept(world.give(world.hospital, ward.patient, world.hospital, actions=["write"]))
    ward.accept(care(ward, world.nurse))


def test_a_grant_to_read_lets_nobody_write(ward: Ward) -> None:
    world = ward.world
    given = world.give(world.hospital, ward.patient, world.nurse, to=[world.nurse.id], brings=ward.epochs())
    ward.accept(given)
    ward.refuse(care(ward, world.nurse), Reason.NO_GRANT)


def test_a_grant_to_write_ends_when_it_says(ward: Ward) -> None:
    world = ward.world
    until = world.clock_ms + 60_000
    ward.accept(world.give(world.hospital, ward.patient, world.emergency, actions=["write"], until_ms=until))
    world.clock_ms = until - 1
    ward.accept(care(ward, world.emergency))
    world.clock_ms = until
    ward.refuse(care(ward, world.emergency), Reason.NO_GRANT)


def test_a_withdrawal_ends_writing(ward: Ward) -> None:
    world = ward.world
    epochs = {name: ward.patient.epoch(name, 1) for name in ("clinical", "medication")}
    ward.accept(world.withdraw(world.hospital, ward.patient, world.clinician, epochs=epochs))
    ward.refuse(care(ward, world.clinician), Reason.NO_GRANT)


# Where, and to which epoch.


def test_care_data_lies_in_a_compartment_that_the_patient_has(ward: Ward) -> None:
    for compartment in (None, "gossip"):
        message = ward.world.care(ward.world.lab, ward.patient, ward.current(), compartment)
        ward.refuse(message, Reason.UNKNOWN_COMPARTMENT)


def test_a_statement_sealed_to_an_older_epoch_is_refused_and_told_what_began_the_current_one(ward: Ward) -> None:
    world = ward.world
    old = care(ward, world.lab)
    rotation = ward.accept(world.begin(world.hospital, ward.patient, {"clinical": ward.patient.epoch("clinical", 1)}))
    assert ward.refuse(old, Reason.STALE_EPOCH).winner == rotation.statement.digest
    ward.accept(care(ward, world.lab))
    ward.accept(care(ward, world.lab, "medication"))  # another compartment's epoch goes on


@pytest.mark.parametrize("epoch", [None, bytes(16)])
def test_a_statement_sealed_to_no_epoch_of_its_compartment_is_refused(ward: Ward, epoch: bytes | None) -> None:
    ward.refuse(care(ward, ward.world.lab, epoch=epoch), Reason.STALE_EPOCH)


def test_an_epoch_of_another_compartment_is_refused(ward: Ward) -> None:
    message = ward.world.care(ward.world.lab, ward.patient, ward.current("medication"), "clinical")
    ward.refuse(message, Reason.STALE_EPOCH)


# Corrections and retractions.


def test_its_author_corrects_and_retracts(ward: Ward) -> None:
    world = ward.world
    first = ward.accept(care(ward, world.lab))
    second = ward.accept(care(ward, world.lab, replaces=first.statement.digest))
    ward.accept(world.retract(world.lab, ward.patient, second.statement.digest))


def test_a_colleague_of_the_author_corrects(ward: Ward) -> None:
    world = ward.world
    first = ward.accept(care(ward, world.clinician))
    ward.accept(world.give(world.hospital, ward.patient, world.nurse, actions=["write"]))
    ward.accept(care(ward, world.nurse, replaces=first.statement.digest))


def test_another_organisation_corrects_nothing(ward: Ward) -> None:
    world = ward.world
    first = ward.accept(care(ward, world.clinician))
    ward.refuse(care(ward, world.lab, replaces=first.statement.digest), Reason.NOT_AUTHOR)
    ward.refuse(world.retract(world.lab, ward.patient, first.statement.digest), Reason.NOT_AUTHOR)


def test_two_participants_without_an_organisation_are_no_colleagues(ward: Ward) -> None:
    world = ward.world
    first = ward.accept(care(ward, world.lab))
    ward.accept(world.give(world.hospital, ward.patient, world.emergency, actions=["write"]))
    ward.refuse(care(ward, world.emergency, replaces=first.statement.digest), Reason.NOT_AUTHOR)


def test_what_is_corrected_is_care_data_of_this_subject_and_compartment(ward: Ward) -> None:
    world = ward.world
    first = ward.accept(care(ward, world.lab))
    digest = first.statement.digest
    ward.refuse(care(ward, world.lab, replaces=bytes(32)), Reason.UNKNOWN_REPLACED)
    ward.refuse(care(ward, world.lab, "medication", replaces=digest), Reason.UNKNOWN_REPLACED)
    ward.refuse(world.retract(world.lab, ward.patient, digest, "medication"), Reason.UNKNOWN_REPLACED)
    opened = ward.replica.entries[-3].statement
    assert opened.header.type == "subject.open"
    ward.refuse(care(ward, world.lab, replaces=opened.digest), Reason.UNKNOWN_REPLACED)
    other = world.patient(PARTITION, 1)
    ward.accept(world.open(world.hospital, other, [world.hospital], write=["lab"]))
    epoch = ward.replica.epochs(other.id)["clinical"][0]
    ward.refuse(world.care(world.lab, other, epoch, replaces=digest), Reason.UNKNOWN_REPLACED)


def test_a_refused_statement_is_not_there_to_be_corrected(ward: Ward) -> None:
    refused = care(ward, ward.world.lab, epoch=bytes(16))
    ward.refuse(refused, Reason.STALE_EPOCH)
    ward.refuse(care(ward, ward.world.lab, replaces=refused.statement.digest), Reason.UNKNOWN_REPLACED)


def test_a_retraction_names_what_it_retracts(ward: Ward) -> None:
    ward.refuse(ward.world.retract(ward.world.lab, ward.patient, None), Reason.UNKNOWN_REPLACED)


def test_a_retraction_needs_the_same_permission_as_writing(ward: Ward) -> None:
    world = ward.world
    first = ward.accept(care(ward, world.clinician))
    ward.refuse(world.retract(world.nurse, ward.patient, first.statement.digest), Reason.NO_GRANT)
