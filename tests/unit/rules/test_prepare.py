from __future__ import annotations

from dataclasses import replace

import pytest

from carenet.encoding import cbor, cose
from carenet.encoding.ids import encode_id
from carenet.rules.prepare import RawRecord, prepare, scope_of
from carenet.rules.reasons import Reason
from carenet.statements.records import MAX_RECORD_BYTES, RecordValue, encode_record
from tests.support.actors import Actor, sign_anything
from tests.support.ward import PARTITION, Ward
from tests.support.world import Message, Patient, in_batch


@pytest.fixture
def ward() -> Ward:
    return Ward()


@pytest.fixture
def care(ward: Ward) -> Message:
    return ward.world.care(ward.world.clinician, ward.patient, ward.current())


@pytest.mark.parametrize("key", [None, b""])
def test_a_record_without_a_key_is_refused(ward: Ward, care: Message, key: bytes | None) -> None:
    ward.refuse_record(PARTITION, key, care.value, Reason.KEY_MISSING)


def test_a_record_without_a_value_is_refused(ward: Ward, care: Message) -> None:
    ward.refuse_record(PARTITION, care.key, None, Reason.VALUE_MISSING)


def test_a_record_whose_time_the_broker_did_not_set_is_refused(ward: Ward, care: Message) -> None:
    ward.refuse_record(PARTITION, care.key, care.value, Reason.NO_LOG_TIME, is_log_append_time=False)


@pytest.mark.parametrize("timestamp_ms", [-1, 2**53, 2**63 - 1])
def test_a_record_whose_time_no_entry_can_hold_is_refused(ward: Ward, care: Message, timestamp_ms: int) -> None:
    ward.refuse_record(PARTITION, care.key, care.value, Reason.NO_LOG_TIME, timestamp_ms=timestamp_ms)


def test_an_oversized_record_is_refused_before_it_is_read(ward: Ward, care: Message) -> None:
    ward.refuse_record(PARTITION, care.key, bytes(MAX_RECORD_BYTES + 1), Reason.OVERSIZED)


def test_a_record_of_exactly_the_largest_size_is_accepted(ward: Ward) -> None:
    small = ward.world.care(ward.world.clinician, ward.patient, ward.current(), body=bytes(1000))
    room = MAX_RECORD_BYTES - len(small.value) - 2  # the body's length takes two more bytes
    message = ward.world.care(ward.world.clinician, ward.patient, ward.current(), body=bytes(1000 + room))
    assert len(message.value) == MAX_RECORD_BYTES
    ward.accept(message)


def test_a_truncated_record_is_refused_at_every_length(ward: Ward, care: Message) -> None:
    for end in range(0, len(care.value), 9):
        ward.refuse_record(PARTITION, care.key, care.value[:end], Reason.BAD_ENCODING)


@pytest.mark.parametrize(
    "value",
    [
        b"\x00",
        b"garbage",
        b"\x9b" + b"\xff" * 8,  # an array of 2**64 - 1 items
        b"\x81" * 100_000,  # nested without end
        cbor.encode({}),
        cbor.encode([b"", None]),
        b"\x82\x58\x01\x00\xf6",  # a length that is not in its shortest form
        b"\x9f\x40\xf6\xff",  # an indefinite length
    ],
)
def test_bytes_that_are_no_record_are_refused(ward: Ward, care: Message, value: bytes) -> None:
    ward.refuse_record(PARTITION, care.key, value, Reason.BAD_ENCODING)


def test_trailing_bytes_are_refused_behind_record_and_statement(ward: Ward, care: Message) -> None:
    ward.refuse_record(PARTITION, care.key, care.value + b"\x00", Reason.BAD_ENCODING)
    longer = encode_record(RecordValue(care.statement.encoded + b"\x00", care.body))
    ward.refuse_record(PARTITION, care.key, longer, Reason.BAD_ENCODING)


def test_a_header_that_is_not_deterministic_is_refused_although_its_signature_holds(ward: Ward, care: Message) -> None:
    protected = b"\xb8" + bytes([care.statement.protected[0] & 31]) + care.statement.protected[1:]  # a longer length
    signature = ward.world.clinician.key.sign(cose.encode_sig_structure(protected, care.statement.payload))
    encoded = cose.encode_sign1(protected, care.statement.payload, signature)
    ward.refuse_record(PARTITION, care.key, encode_record(RecordValue(encoded, care.body)), Reason.BAD_ENCODING)


def test_an_unknown_header_is_refused_although_its_signature_holds(ward: Ward, care: Message) -> None:
    header = cbor.decode(care.statement.protected) | {"priority": 1}
    encoded = sign_anything(ward.world.clinician, header, care.statement.payload)
    ward.refuse_record(PARTITION, care.key, encode_record(RecordValue(encoded, care.body)), Reason.BAD_STATEMENT)


def test_a_batch_is_folded_whatever_its_order_and_each_of_it_alone(ward: Ward) -> None:
    messages = in_batch(ward.world.clinician, [ward.world.care(*_args(ward)) for _ in range(5)])
    for message in (messages[3], messages[0], messages[4]):
        ward.accept(message)
    ward.refuse(messages[3], Reason.DUPLICATE)


def test_a_refused_statement_of_a_batch_harms_no_other(ward: Ward) -> None:
    late = ward.world.care(*_args(ward), iat_s=ward.world.clock_ms // 1000 - 4000)
    first, refused, last = in_batch(
        ward.world.clinician, [ward.world.care(*_args(ward)), late, ward.world.care(*_args(ward))]
    )
    ward.accept(first)
    ward.refuse(refused, Reason.TOO_OLD)
    ward.accept(last)


def test_a_statement_at_another_place_of_its_batch_is_refused(ward: Ward) -> None:
    message = in_batch(ward.world.clinician, [ward.world.care(*_args(ward)) for _ in range(2)])[0]
    statement = message.statement
    assert statement.place is not None
    for place, reason in (
        ([1, 2, list(statement.place.path)], Reason.BAD_SIGNATURE),
        ([0, 2, [bytes(32)]], Reason.BAD_SIGNATURE),
        ([0, 3, [bytes(32)]], Reason.BAD_STATEMENT),
    ):
        encoded = cose.encode_sign1(statement.protected, statement.payload, statement.signature, {"batch": place})
        ward.refuse_record(PARTITION, message.key, encode_record(RecordValue(encoded, message.body)), reason)
    ward.accept(message)


def test_a_single_signature_under_the_algorithm_of_batches_is_refused(ward: Ward, care: Message) -> None:
    header = cbor.decode(care.statement.protected) | {cose.ALG: -65537}
    encoded = sign_anything(ward.world.clinician, header, care.statement.payload, batch=[0, 1, []])
    ward.refuse_record(PARTITION, care.key, encode_record(RecordValue(encoded, care.body)), Reason.BAD_SIGNATURE)


def test_a_statement_for_another_network_is_refused(ward: Ward) -> None:
    message = ward.world.care(ward.world.clinician, ward.patient, ward.current(), network=bytes(32))
    ward.refuse(message, Reason.WRONG_NETWORK)


def test_a_record_in_another_partition_than_its_subjects_is_refused(ward: Ward, care: Message) -> None:
    for partition in {0, 1, 2} - {PARTITION}:
        ward.refuse_record(partition, care.key, care.value, Reason.WRONG_PARTITION)


def test_a_network_statement_outside_partition_0_is_refused_without_its_proof(ward: Ward) -> None:
    message = ward.world.suspend(ward.world.authority, ward.world.lab)
    ward.refuse_record(1, message.key, message.value, Reason.WRONG_PARTITION)


def test_a_record_under_another_key_than_its_subject_is_refused(ward: Ward, care: Message) -> None:
    other = encode_id(ward.world.patient(PARTITION, 1).id).encode()
    for key in (other, care.key + b"=", care.key.lower(), ward.patient.id):
        ward.refuse_record(PARTITION, key, care.value, Reason.WRONG_KEY)


def test_a_relay_in_partition_0_or_of_a_patients_statement_is_refused(ward: Ward) -> None:
    admission = ward.net.relay(ward.net.replicas[0].entries[0])
    ward.refuse_record(0, admission.key, admission.value, Reason.RELAY_PROOF)
    care = ward.world.care(ward.world.clinician, ward.patient, ward.current())
    ward.refuse(replace(care, proof=admission.proof), Reason.RELAY_PROOF)


def test_a_flipped_bit_anywhere_in_a_record_is_refused(ward: Ward, care: Message) -> None:
    before = ward.replica.dump()
    for bit in range(0, 8 * len(care.value), 5):
        flipped = bytearray(care.value)
        flipped[bit // 8] ^= 1 << bit % 8
        ward.net.deliver(PARTITION, care.key, bytes(flipped))
    after = ward.replica.dump()
    assert after | {"offset": 0} == before | {"offset": 0}


def test_preparing_keeps_only_the_beginning_of_a_value() -> None:
    scope = scope_of(Ward().world.genesis, 0)
    prepared = prepare(RawRecord(0, b"k", bytes(5000), 0, is_log_append_time=True), scope)
    assert prepared.head == bytes(1024)


def test_a_signature_is_verified_once_for_a_key(ward: Ward, care: Message) -> None:
    prepared = prepare(RawRecord(0, care.key, care.value, 0, is_log_append_time=True), ward.replica.scope)
    assert prepared.fault is None
    assert prepared.is_signed_by(ward.world.clinician.key.public)
    assert not prepared.is_signed_by(ward.world.nurse.key.public)
    assert prepared._verified == (ward.world.nurse.key.public, False)


def _args(ward: Ward) -> tuple[Actor, Patient, bytes]:
    return ward.world.clinician, ward.patient, ward.current()
