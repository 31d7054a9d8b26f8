from __future__ import annotations

from dataclasses import replace

import pytest

from carenet.rules.reasons import Reason
from carenet.rules.rows import EpochsKey, EpochsRow
from tests.support.actors import actor, signing_key
from tests.support.ward import PARTITION, Ward
from tests.support.world import Patient, epoch_ids


@pytest.fixture
def ward() -> Ward:
    return Ward()


@pytest.fixture
def patient(ward: Ward) -> Patient:
    return ward.world.patient(PARTITION, 1)


def test_opening_writes_custodians_standing_choices_and_first_epochs(ward: Ward, patient: Patient) -> None:
    world = ward.world
    opened = ward.accept(world.open(world.hospital, patient, [world.hospital, ward.clinic], write=["lab", "ems"]))
    row = ward.replica.subject(patient.id)
    assert row is not None
    assert (row.kind, row.next_seq, row.head) == ("patient", 1, opened.entry.leaf_hash)
    assert row.custodians == (world.hospital.id, ward.clinic.id)
    assert (row.write, row.emergency) == (("lab", "ems"), True)
    epochs = ward.replica.rows[EpochsKey(patient.id)]
    assert isinstance(epochs, EpochsRow)
    assert [epoch.compartment for epoch in epochs.epochs] == ["clinical", "identity", "medication"]
    for epoch in epochs.epochs:
        assert epoch.public == patient.epoch(epoch.compartment, 0)
        assert (epoch.ids, epoch.begun, epoch.begun_by) == (
            epoch_ids([epoch.public]),
            (0,),
            opened.statement.digest,
        )


def test_nobody_opens_a_timeline_under_anothers_id(ward: Ward, patient: Patient) -> None:
    world = ward.world
    other = Patient("other", signing_key("other"))
    ward.refuse(world.open(world.hospital, other, [world.hospital], subject=patient.id), Reason.BAD_PROOF)
    stolen = world.open(world.hospital, patient, [world.hospital], opening=signing_key("thief").public)
    ward.refuse(stolen, Reason.BAD_PROOF)


def test_the_opening_key_signs_registrar_and_whole_content(ward: Ward, patient: Patient) -> None:
    world = ward.world
    ward.refuse(world.open(world.hospital, patient, [world.hospital], proof=bytes(64)), Reason.BAD_PROOF)
    proof = world.open(world.hospital, patient, [world.hospital]).statement.control["proof"]
    # Taken from the log by another registrar, or given other custodians.
    ward.refuse(world.open(ward.clinic, patient, [world.hospital], proof=proof), Reason.BAD_PROOF)
    ward.refuse(world.open(world.hospital, patient, [ward.clinic], proof=proof), Reason.BAD_PROOF)
    ward.refuse(world.open(world.hospital, patient, [world.hospital], write=["lab"], proof=proof), Reason.BAD_PROOF)
    ward.accept(world.open(world.hospital, patient, [world.hospital], proof=proof))


def test_an_opening_key_outside_the_prime_order_subgroup_is_refused(ward: Ward, patient: Patient) -> None:
    world = ward.world
    ward.refuse(world.open(world.hospital, patient, [world.hospital], opening=bytes(32)), Reason.BAD_PUBLIC_KEY)


def test_a_custodian_is_known_has_the_role_and_a_key(ward: Ward, patient: Patient) -> None:
    world = ward.world
    for nobody in (world.stranger, world.clinician, world.lab):
        ward.refuse(world.open(world.hospital, patient, [world.hospital, nobody]), Reason.UNKNOWN_PARTICIPANT)
    keyless = actor("keyless")
    ward.accept(world.admit(world.authority, keyless, ["custodian"], hpke=None))
    ward.refuse(world.open(world.hospital, patient, [keyless]), Reason.UNKNOWN_PARTICIPANT)


def test_a_suspended_custodian_is_refused(ward: Ward, patient: Patient) -> None:
    world = ward.world
    ward.accept(world.suspend(world.authority, ward.clinic))
    ward.refuse(world.open(world.hospital, patient, [world.hospital, ward.clinic]), Reason.SUSPENDED)


def test_a_compartment_that_carenet_does_not_have_is_refused(ward: Ward, patient: Patient) -> None:
    world = ward.world
    opened = world.open(world.hospital, patient, [world.hospital], compartments=["clinical", "gossip"])
    ward.refuse(opened, Reason.UNKNOWN_COMPARTMENT)


def test_every_first_key_goes_to_every_custodian_and_to_nobody_else(ward: Ward, patient: Patient) -> None:
    world = ward.world
    both = [world.hospital, ward.clinic]
    ward.refuse(world.open(world.hospital, patient, both, to=(world.hospital.id,)), Reason.EPOCHS_INCOMPLETE)
    spied = (world.hospital.id, ward.clinic.id, world.clinician.id)
    ward.refuse(world.open(world.hospital, patient, both, to=spied), Reason.NOT_A_READER)
    brings = epoch_ids([patient.epoch("clinical", 0), patient.epoch("medication", 0)])
    ward.refuse(world.open(world.hospital, patient, both, brings=brings), Reason.EPOCHS_INCOMPLETE)
    more = epoch_ids([patient.epoch(name, 0) for name in ("clinical", "medication", "identity", "more")])
    ward.refuse(world.open(world.hospital, patient, both, brings=more), Reason.EPOCHS_INCOMPLETE)


def test_two_compartments_never_share_an_epoch(ward: Ward, patient: Patient) -> None:
    world = ward.world
    key = patient.epoch("clinical", 0)
    shared = {"clinical": key, "medication": key}
    opened = world.open(world.hospital, patient, [world.hospital], epochs=shared, brings=epoch_ids([key]))
    ward.refuse(opened, Reason.EPOCHS_INCOMPLETE)


def test_an_opening_has_no_compartment_or_epoch(ward: Ward, patient: Patient) -> None:
    world = ward.world
    opened = world.open(world.hospital, patient, [world.hospital], compartment="clinical")
    ward.refuse(opened, Reason.UNKNOWN_COMPARTMENT)
    ward.refuse(world.open(world.hospital, patient, [world.hospital], epoch=bytes(16)), Reason.BAD_PAYLOAD)


def test_a_missing_body_leaves_the_timeline_unopened(ward: Ward, patient: Patient) -> None:
    world = ward.world
    opened = world.open(world.hospital, patient, [world.hospital])
    ward.refuse(replace(opened, body=None), Reason.BODY_MISSING)
    ward.refuse(replace(opened, body=b"other wraps"), Reason.BODY_MISMATCH)
    ward.accept(opened)
