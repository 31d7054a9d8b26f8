"""Permits: what was judged once is not judged again, and never otherwise than by the whole list of checks."""

from __future__ import annotations

import pytest

from carenet.rules.fold import needs
from carenet.rules.prepare import Prepared, RawRecord, prepare
from carenet.rules.reasons import Reason
from carenet.rules.rows import EpochsKey, GrantsKey, IdempotencyKey, Key, SubjectKey
from carenet.rules.view import View
from tests.support.actors import Actor
from tests.support.ward import Ward
from tests.support.world import Message

MINUTE_MS = 60_000


@pytest.fixture
def ward() -> Ward:
    return Ward()


@pytest.fixture
def clinician(ward: Ward) -> Actor:
    return ward.world.clinician


def care(ward: Ward, by: Actor) -> Message:
    return ward.world.care(by, ward.patient, ward.current())


def attach(ward: Ward, *messages: Message) -> list[Prepared]:
    records = [
        prepare(RawRecord(offset, each.key, each.value, ward.world.clock_ms, is_log_append_time=True), scope)
        for scope in [ward.replica.scope]
        for offset, each in enumerate(messages, ward.replica.state.next_offset)
    ]
    ward.replica.permits.attach(records, ward.replica.state)
    return records


def asked(ward: Ward, *records: Prepared) -> set[Key]:
    return needs(records, View({}), ward.replica.scope)


def test_what_was_judged_before_asks_for_its_id_and_its_subject_alone(ward: Ward, clinician: Actor) -> None:
    ward.accept(care(ward, clinician))
    (record,) = attach(ward, care(ward, clinician))
    assert record.permit is not None
    assert {type(key) for key in asked(ward, record)} == {IdempotencyKey, SubjectKey}


def test_of_two_alike_that_are_new_the_first_asks_for_all_rows(ward: Ward, clinician: Actor) -> None:
    first, second = attach(ward, care(ward, clinician), care(ward, clinician))
    assert (first.permit, first.is_alike) == (None, False)
    assert (second.permit, second.is_alike) == (None, True)
    assert asked(ward, second) < asked(ward, first) | asked(ward, second)
    assert {GrantsKey(ward.patient.id), EpochsKey(ward.patient.id)} <= asked(ward, first)


def test_a_control_statement_of_the_batch_takes_the_permits_of_its_subject(ward: Ward, clinician: Actor) -> None:
    ward.accept(care(ward, clinician))
    withdrawal = ward.world.withdraw(ward.world.hospital, ward.patient, clinician)
    record, _ = attach(ward, care(ward, clinician), withdrawal)
    assert record.permit is None


def test_a_network_statement_takes_all_permits(ward: Ward, clinician: Actor) -> None:
    ward.accept(care(ward, clinician))
    ward.accept(ward.world.suspend(ward.world.hospital, ward.world.nurse))
    (record,) = attach(ward, care(ward, clinician))
    assert record.permit is None


def test_a_permit_ends_when_its_grant_does(ward: Ward) -> None:
    world, nurse = ward.world, ward.world.nurse
    until_ms = world.clock_ms + MINUTE_MS
    grant = world.give(world.hospital, ward.patient, nurse, actions=["write"], history=False, until_ms=until_ms)
    ward.accept(grant)
    ward.accept(care(ward, nurse))
    assert attach(ward, care(ward, nurse))[0].permit is not None
    world.clock_ms = until_ms
    late = care(ward, nurse)
    assert attach(ward, late)[0].permit is None
    ward.refuse(late, Reason.NO_GRANT)


def test_a_forged_statement_finds_no_help_in_a_permit(ward: Ward, clinician: Actor) -> None:
    ward.accept(care(ward, clinician))
    genuine = care(ward, clinician)
    forged = genuine.statement.encoded[:-1] + bytes([genuine.statement.encoded[-1] ^ 1])
    assert genuine.body is not None
    value = genuine.value.replace(genuine.statement.encoded, forged)
    refused = ward.refuse_record(ward.replica.scope.partition, genuine.key, value, Reason.BAD_SIGNATURE)
    assert not refused.is_proven


def test_a_correction_is_judged_whole_each_time(ward: Ward, clinician: Actor) -> None:
    accepted = ward.accept(care(ward, clinician))
    correction = ward.world.care(clinician, ward.patient, ward.current(), replaces=accepted.statement.digest)
    ward.accept(correction)
    records = attach(ward, correction, correction)
    assert [(each.permit, each.is_alike) for each in records] == [(None, False)] * 2
