"""Bad records on the events topic of a real Kafka, put there directly, past SDK and gateway.

Each is kept with its own reason, changes nothing, and its publisher is told by the gateway: everything where the
statement is proven to be the asker's, the reason alone to all others.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
import pytest_asyncio

from carenet.encoding import cbor, cose
from carenet.encoding.ids import encode_id
from carenet.local.kafka import EmbeddedKafka
from carenet.local.postgres import EmbeddedPostgres
from carenet.statements.records import RecordValue, encode_record
from carenet.store.stored import StoredEntry, StoredRejection
from tests.support.actors import Actor, actor, sign_anything
from tests.support.gatewayclient import raw, text
from tests.support.scene import PARTITION, Scene, scene
from tests.support.world import Message, epoch_ids, in_batch


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def node(
    kafka: EmbeddedKafka, postgres: EmbeddedPostgres, unique_name: Callable[[str], str]
) -> AsyncIterator[Scene]:
    """One node for all records: none of them leaves a trace but its refusal."""
    async with scene(kafka.bootstrap, postgres.dsn(), unique_name) as made:
        yield made


@dataclass(frozen=True)
class Bad:
    """A record.

    Attributes:
        key, value: as Kafka takes them.
        signer: whose the statement provably is; None where nobody's is proven.
        partition: where it is sent.
        winner: digest of the statement that a refusal must name.
        is_locked_out: whether the gateway does not let the signer in, so that it can ask nothing.
    """

    key: bytes | None
    value: bytes | None
    signer: Actor | None = None
    partition: int = PARTITION
    winner: bytes | None = None
    is_locked_out: bool = False


def _bad(message: Message, signer: Actor | None = None, partition: int = PARTITION, winner: bytes | None = None) -> Bad:
    return Bad(message.key, message.value, signer, partition, winner)


def _with_statement(message: Message, encoded: bytes) -> bytes:
    return encode_record(RecordValue(encoded, message.body))


def _flip(data: bytes, bit: int) -> bytes:
    return data[: bit // 8] + bytes([data[bit // 8] ^ 1 << bit % 8]) + data[bit // 8 + 1 :]


# What is no record, or none of this network.


async def _without_key(node: Scene) -> Bad:
    return Bad(None, node.care().value)


async def _without_value(node: Scene) -> Bad:
    return Bad(node.care().key, None)


async def _oversized(node: Scene) -> Bad:
    return Bad(node.care().key, node.care(body=bytes(950_000)).value)


async def _truncated(node: Scene) -> Bad:
    care = node.care()
    return Bad(care.key, care.value[:-1])


async def _half(node: Scene) -> Bad:
    care = node.care()
    return Bad(care.key, care.value[: len(care.value) // 2])


async def _trailing(node: Scene) -> Bad:
    care = node.care()
    return Bad(care.key, care.value + b"\0")


async def _trailing_in_the_statement(node: Scene) -> Bad:
    care = node.care()
    return Bad(care.key, _with_statement(care, care.statement.encoded + b"\0"))


async def _indefinite(node: Scene) -> Bad:
    care = node.care()
    return Bad(care.key, b"\x9f" + care.value[1:] + b"\xff")


async def _longer_header(node: Scene) -> Bad:
    # The header's length in two bytes where one would do: signed so, and refused all the same.
    care = node.care()
    protected = b"\xb8" + bytes([care.statement.protected[0] & 31]) + care.statement.protected[1:]
    signature = node.world.clinician.key.sign(cose.encode_sig_structure(protected, care.statement.payload))
    return Bad(care.key, _with_statement(care, cose.encode_sign1(protected, care.statement.payload, signature)))


async def _nested(node: Scene) -> Bad:
    return Bad(node.care().key, b"\x81" * 100_000 + b"\xf6")


async def _nested_payload(node: Scene) -> Bad:
    world, nested = node.world, b"\x81" * 20 + b"\x00"
    header = cbor.decode(world.suspend(world.authority, world.nurse).statement.protected)
    encoded = sign_anything(world.authority, header, b"\xa1\x61p" + nested)
    return Bad(encode_id(world.network).encode(), encode_record(RecordValue(encoded, None)), partition=0)


async def _unknown_header(node: Scene) -> Bad:
    care = node.care()
    header = cbor.decode(care.statement.protected) | {"priority": 1}
    encoded = sign_anything(node.world.clinician, header, care.statement.payload)
    return Bad(care.key, _with_statement(care, encoded))


async def _batch_place(node: Scene) -> Bad:
    care = node.care()  # signed singly, and posing as one of a batch
    header = cbor.decode(care.statement.protected)
    encoded = sign_anything(node.world.clinician, header, care.statement.payload, batch=[0, 1, []])
    return Bad(care.key, _with_statement(care, encoded))


async def _other_place(node: Scene) -> Bad:
    care = in_batch(node.world.clinician, [node.care(), node.care()])[0]
    place = care.statement.place
    assert place is not None
    unprotected: dict[int | str, Any] = {"batch": [1, place.size, list(place.path)]}
    parts = care.statement.protected, care.statement.payload, care.statement.signature
    return Bad(care.key, _with_statement(care, cose.encode_sign1(*parts, unprotected)))


async def _other_network(node: Scene) -> Bad:
    return _bad(node.care(network=bytes(32)), node.world.clinician)


async def _other_partition(node: Scene) -> Bad:
    return _bad(node.care(), node.world.clinician, partition=2)


async def _network_statement_elsewhere(node: Scene) -> Bad:
    return _bad(node.world.suspend(node.world.authority, node.world.nurse), node.world.authority, partition=2)


async def _other_key(node: Scene) -> Bad:
    other = encode_id(node.world.patient(PARTITION, 1).id).encode()
    return replace(_bad(node.care(), node.world.clinician), key=other)


# Whose it is.


async def _nobody(node: Scene) -> Bad:
    return _bad(node.care(node.world.stranger))


async def _suspended(node: Scene) -> Bad:
    message = node.care(node.world.pharmacy, type="care.medicationdispense")
    return replace(_bad(message, node.world.pharmacy), is_locked_out=True)


async def _rotated_away(node: Scene) -> Bad:
    return _bad(node.care(node.old_lab))


async def _anothers_kid(node: Scene) -> Bad:
    return _bad(node.care(replace(node.world.nurse, id=node.world.clinician.id)))


async def _flipped_signature(node: Scene) -> Bad:
    care = node.care()
    return Bad(care.key, _with_statement(care, _flip(care.statement.encoded, 8 * len(care.statement.encoded) - 100)))


async def _flipped_payload(node: Scene) -> Bad:
    care = node.care()
    at = care.statement.encoded.index(care.statement.payload)
    return Bad(care.key, _with_statement(care, _flip(care.statement.encoded, 8 * at + 3)))


async def _flipped_header(node: Scene) -> Bad:
    care = node.care()
    at = care.statement.encoded.index(care.statement.header.cti)
    return Bad(care.key, _with_statement(care, _flip(care.statement.encoded, 8 * at + 3)))


# When, what and whether again.


async def _future(node: Scene) -> Bad:
    return _bad(node.care(iat_s=node.world.clock_ms // 1000 + 3600), node.world.clinician)


async def _past(node: Scene) -> Bad:
    return _bad(node.care(iat_s=node.world.clock_ms // 1000 - 86_400), node.world.clinician)


async def _without_body(node: Scene) -> Bad:
    return _bad(replace(node.care(), body=None), node.world.clinician)


async def _anothers_body(node: Scene) -> Bad:
    return _bad(replace(node.care(), body=node.care().body), node.world.clinician)


async def _needless_body(node: Scene) -> Bad:
    retracted = node.world.retract(node.world.clinician, node.patient, None)
    return _bad(replace(retracted, body=b"stored for ever"), node.world.clinician)


async def _again(node: Scene) -> Bad:
    care = node.care()
    await node.accept(care)
    return _bad(care, node.world.clinician, winner=care.statement.digest)


async def _rebuilt(node: Scene) -> Bad:
    care = node.care(tag=b"t" * 16)
    await node.accept(care)
    again = node.care(tag=b"t" * 16, cti=care.statement.header.cti)
    return _bad(again, node.world.clinician, winner=care.statement.digest)


async def _same_id(node: Scene) -> Bad:
    care = node.care()
    await node.accept(care)
    return _bad(node.care(cti=care.statement.header.cti), node.world.clinician, winner=care.statement.digest)


async def _unknown_patient(node: Scene) -> Bad:
    unknown = node.world.patient(PARTITION, 1)
    return _bad(node.world.care(node.world.clinician, unknown, node.epochs[-1]), node.world.clinician)


async def _opened_again(node: Scene) -> Bad:
    return _bad(node.world.open(node.world.hospital, node.patient, [node.world.hospital]), node.world.hospital)


async def _unknown_type(node: Scene) -> Bad:
    return _bad(node.world.control(node.world.clinician, "rx.issue", node.patient.id, {}), node.world.clinician)


async def _bad_payload(node: Scene) -> Bad:
    message = node.world.control(node.world.hospital, "grant.withdraw", node.patient.id, {"who": "nobody"})
    return _bad(message, node.world.hospital)


async def _out_of_role(node: Scene) -> Bad:
    return _bad(node.care(node.world.lab, type="care.condition"), node.world.lab)


async def _uninvited(node: Scene) -> Bad:
    return _bad(node.care(node.world.nurse), node.world.nurse)


async def _grants_itself(node: Scene) -> Bad:
    return _bad(node.world.give(node.world.nurse, node.patient, node.world.nurse), node.world.nurse)


async def _no_such_compartment(node: Scene) -> Bad:
    return _bad(node.care(node.world.lab, compartment="genomes"), node.world.lab)


async def _former_epoch(node: Scene) -> Bad:
    return _bad(node.care(epoch=node.epochs[0]), node.world.clinician)


async def _unheard_of_epoch(node: Scene) -> Bad:
    return _bad(node.care(epoch=bytes(16)), node.world.clinician)


async def _wraps_to_a_stranger(node: Scene) -> Bad:
    world = node.world
    epochs = {"clinical": node.patient.epoch("clinical", 2)}
    to = [world.hospital.id, world.nurse.id]
    brings = epoch_ids(epochs.values())
    return _bad(world.begin(world.hospital, node.patient, epochs, to=to, brings=brings), world.hospital)


async def _wraps_to_who_leaves(node: Scene) -> Bad:
    world = node.world
    epochs = {name: node.patient.epoch(name, 2) for name in ("clinical", "medication", "identity")}
    to = [world.hospital.id, world.clinician.id]
    brings = epoch_ids(epochs[name] for name in sorted(epochs))
    left = world.withdraw(world.hospital, node.patient, world.clinician, epochs=epochs, to=to, brings=brings)
    return _bad(left, world.hospital)


# Relays.


async def _relay_with_a_wrong_path(node: Scene) -> Bad:
    relay = await node.relay(node.unrelayed[0])
    assert relay.proof is not None
    return _bad(
        replace(relay, proof=replace(relay.proof, path=(bytes(32), *relay.proof.path[1:]))), node.world.authority
    )


async def _relay_with_anothers_proof(node: Scene) -> Bad:
    forged = node.world.admit(node.world.nurse, actor("accomplice"), ["clinician"])
    return _bad(replace(forged, proof=(await node.relay(node.unrelayed[0])).proof), node.world.nurse)


async def _relay_under_a_forged_checkpoint(node: Scene) -> Bad:
    relay = await node.relay(node.unrelayed[0])
    assert relay.proof is not None
    note = relay.proof.checkpoint
    unsigned = note[: note.index("\n\n") + 2]
    return _bad(replace(relay, proof=replace(relay.proof, checkpoint=unsigned)), node.world.authority)


async def _relay_out_of_order(node: Scene) -> Bad:
    return _bad(await node.relay(node.unrelayed[1]), node.world.authority)


async def _relay_into_partition_0(node: Scene) -> Bad:
    return _bad(await node.relay(node.unrelayed[0]), node.world.authority, partition=0)


async def _relay_again(node: Scene) -> Bad:
    (first,) = await node.store.read_subject_entries(0, node.world.network, 0, 1)
    relay = await node.relay_of(first)
    return _bad(relay, node.world.authority, winner=first.digest)


CASES: dict[str, list[Callable[[Scene], Awaitable[Bad]]]] = {
    "key_missing": [_without_key],
    "value_missing": [_without_value],
    "oversized": [_oversized],
    "bad_encoding": [
        _truncated,
        _half,
        _trailing,
        _trailing_in_the_statement,
        _indefinite,
        _longer_header,
        _nested,
    ],
    "bad_statement": [_unknown_header, _batch_place, _nested_payload],
    "wrong_network": [_other_network],
    "wrong_partition": [_other_partition, _network_statement_elsewhere],
    "wrong_key": [_other_key],
    "unknown_signer": [_nobody],
    "suspended": [_suspended],
    "stale_key": [_rotated_away],
    "wrong_kid": [_anothers_kid],
    "bad_signature": [_flipped_signature, _flipped_payload, _flipped_header, _other_place],
    "future": [_future],
    "too_old": [_past],
    "body_missing": [_without_body],
    "body_mismatch": [_anothers_body],
    "body_unexpected": [_needless_body],
    "duplicate": [_again, _rebuilt, _relay_again],
    "conflicting_id": [_same_id],
    "unknown_subject": [_unknown_patient],
    "subject_exists": [_opened_again],
    "unknown_type": [_unknown_type],
    "bad_payload": [_bad_payload],
    "role_forbids": [_out_of_role],
    "no_grant": [_uninvited],
    "not_decider": [_grants_itself],
    "unknown_compartment": [_no_such_compartment],
    "stale_epoch": [_former_epoch, _unheard_of_epoch],
    "not_a_reader": [_wraps_to_a_stranger, _wraps_to_who_leaves],
    "relay_proof": [
        _relay_with_a_wrong_path,
        _relay_with_anothers_proof,
        _relay_under_a_forged_checkpoint,
        _relay_into_partition_0,
    ],
    "relay_gap": [_relay_out_of_order],
}


@pytest.mark.parametrize(
    ("reason", "make"),
    [
        pytest.param(reason, make, id=f"{reason}-{make.__name__.strip('_')}")
        for reason, makers in CASES.items()
        for make in makers
    ],
)
async def test_a_bad_record_is_kept_with_its_reason_changes_nothing_and_its_publisher_is_told(
    node: Scene, reason: str, make: Callable[[Scene], Awaitable[Bad]]
) -> None:
    bad = await make(node)
    before = await node.dump()
    offset = await node.send(bad.partition, bad.key, bad.value)
    kept = await node.store.find_rejection(bad.partition, offset)
    assert kept is not None, "it was accepted"
    assert kept.reason == reason, kept.detail
    assert kept.head == (bad.value or b"")[:1024]
    assert await node.dump() == before
    await _assert_told(node, bad, kept)


async def _assert_told(node: Scene, bad: Bad, kept: StoredRejection) -> None:
    place = {"partition": kept.partition, "offset": kept.offset}
    # Who does not own it is told why it was refused, and no more; the emergency room has signed none of them.
    assert await node.ask(node.world.emergency, **place) == {"refused": {"reason": kept.reason}}
    assert kept.is_proven is (bad.signer is not None)
    if bad.signer is None or bad.is_locked_out:
        return
    told = (await node.ask(bad.signer, **place))["refused"]
    assert (told["reason"], told["detail"]) == (kept.reason, kept.detail)
    assert kept.detail
    if bad.winner is not None:
        assert told["winner"] == text(bad.winner)
    if kept.reason == "stale_epoch":
        assert raw(told["epoch"]["epoch"]) == node.epochs[-1]


async def test_a_flipped_bit_anywhere_is_refused_and_changes_nothing(node: Scene) -> None:
    care = node.care()
    before = await node.dump()
    sends = [
        await node.producer.send(node.world.genesis.topic, _flip(care.value, bit), care.key, PARTITION)
        for bit in range(0, 8 * len(care.value), 11)
    ]
    offsets = [(await sent).offset for sent in sends]
    await node.send(PARTITION, care.key, b"the last one")
    assert await node.dump() == before
    refused = {each.offset: each.reason for each in await node.store.read_rejections(PARTITION, offsets[0], 1000)}
    assert [offset for offset in offsets if offset not in refused] == []
    assert {refused[offset] for offset in offsets} >= {"bad_encoding", "bad_statement", "bad_signature"}
    assert isinstance(await node.publish(care), StoredEntry), "its own bytes were not used up"


async def test_what_was_refused_before_is_accepted_once_when_its_time_has_come(node: Scene) -> None:
    # Last, since it changes the scene: a participant writes before the relay that admits it, and sends the same again.
    newcomer = actor("newcomer")
    early = node.care(newcomer)
    refused = await node.publish(early)
    assert isinstance(refused, StoredRejection)
    assert refused.reason == "unknown_signer"
    relay = await node.relay(node.unrelayed[0])
    for partition in (1, 2):
        await node.send(partition, relay.key, relay.value)
    accepted = await node.accept(early)
    again = await node.publish(early)
    assert isinstance(again, StoredRejection)
    assert (again.reason, again.winner) == ("duplicate", early.statement.digest)
    # Acceptance wins, whichever send is asked about.
    for offset in (refused.offset, accepted.offset, again.offset):
        told = await node.ask(newcomer, partition=PARTITION, offset=offset, digest=text(early.statement.digest))
        assert told["accepted"]["index"] == accepted.index
