"""What a session may ask: outcomes, descriptions with proof, keys, receipts, and publishing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition

from carenet.bus.topics import provision, topics_of
from carenet.encoding import cbor
from carenet.encoding.ids import encode_id, sha256
from carenet.gateway.server import Gateway, GatewayConfig
from carenet.ledger.receipts import verify_receipt
from carenet.local.kafka import EmbeddedKafka
from carenet.rules.effects import Rejected
from carenet.statements.keys import compute_epoch_id
from carenet.statements.statement import parse_statement
from tests.support.actors import sign
from tests.support.gatewayclient import Client, House, raw, text
from tests.support.world import Message, epoch_ids

Enter = Callable[..., Awaitable[Client]]
Open = Callable[..., Awaitable[Gateway]]


def check_proof(house: House, shown: dict[str, Any]) -> None:
    node = house.world.nodes[0]
    statement = parse_statement(raw(shown["statement"]))
    verify_receipt(raw(shown["receipt"]), raw(shown["entry"]), statement.digest, {node.id: node.key.public})


async def test_an_outcome_waits_until_it_is_decided(house: House, enter: Enter) -> None:
    client = await enter(house.world.clinician)
    message = house.care()
    digest = text(message.statement.digest)
    number = await client.begin("outcomes", partition=0, offset=house.next_offset, digest=digest)
    assert (await client.ask("describe", participants=True))["type"] == "reply"  # later ones are not held up
    (accepted,) = await house.accept(message)
    answer = await client.answer(number)
    assert answer["outcome"] == {
        "accepted": {
            "partition": 0,
            "index": accepted.index,
            "seq": accepted.entry.seq,
            "entry": text(accepted.entry.encode()),
            "digest": digest,
        }
    }
    again = await client.ask("outcomes", partition=0, offset=accepted.offset, digest=digest)
    assert again["outcome"] == answer["outcome"]


async def test_a_refusal_tells_the_proven_signer_everything_and_others_the_reason(house: House, enter: Enter) -> None:
    world = house.world
    clinician, nurse = await enter(world.clinician), await enter(world.nurse)
    (refused,) = await house.publish(_in_no_compartment(house))
    assert isinstance(refused, Rejected)
    asked = {"partition": 0, "offset": refused.offset}
    told = (await clinician.ask("outcomes", **asked))["outcome"]["refused"]
    assert (told["reason"], told["detail"]) == ("unknown_compartment", refused.detail)
    assert (await nurse.ask("outcomes", **asked))["outcome"] == {"refused": {"reason": "unknown_compartment"}}


def _in_no_compartment(house: House) -> Any:
    world = house.world
    sealed_to = compute_epoch_id(house.patient.epoch("clinical", 0))
    return world.care(world.clinician, house.patient, sealed_to, "psychiatry")


async def test_a_refusal_whose_signature_does_not_hold_tells_nobody_more_than_the_reason(
    house: House, enter: Enter
) -> None:
    message = house.care()
    forged = parse_statement(message.statement.encoded[:-1] + bytes([message.statement.encoded[-1] ^ 1]))
    (refused,) = await house.publish(type(message)(forged, message.body))
    client = await enter(house.world.clinician)
    answer = await client.ask("outcomes", partition=0, offset=refused.offset)
    assert answer["outcome"] == {"refused": {"reason": "bad_signature"}}


async def test_acceptance_is_found_by_digest_whatever_happened_at_the_asked_offset(house: House, enter: Enter) -> None:
    message = house.care()
    first, repeat = await house.publish(message, message)
    assert isinstance(repeat, Rejected)
    client = await enter(house.world.clinician)
    asked = {"partition": 0, "offset": repeat.offset}
    found = await client.ask("outcomes", **asked, digest=text(message.statement.digest))
    assert found["outcome"]["accepted"]["index"] == first.index  # type: ignore[union-attr]
    bare = await client.ask("outcomes", **asked)
    assert bare["outcome"]["refused"]["winner"] == text(message.statement.digest)


async def test_a_stranger_learns_of_an_acceptance_only_its_place(house: House, enter: Enter) -> None:
    (accepted,) = await house.accept(house.care())
    nurse = await enter(house.world.nurse)
    answer = await nurse.ask("outcomes", partition=0, offset=accepted.offset)
    assert answer["outcome"] == {"accepted": {"partition": 0, "index": accepted.index}}


async def test_a_stale_epoch_comes_with_the_current_one_and_its_proof(house: House, enter: Enter) -> None:
    await house.accept(house.withdraw(house.world.clinician))
    await house.sign_checkpoint()
    (refused,) = await house.publish(house.care(epoch=0))
    client = await enter(house.world.clinician)
    told = (await client.ask("outcomes", partition=0, offset=refused.offset))["outcome"]["refused"]
    assert told["reason"] == "stale_epoch"
    check_proof(house, told["epoch"])
    assert raw(told["epoch"]["public"]) == house.patient.epoch("clinical", 1)


async def test_a_follower_hears_of_each_later_statement_of_its_own(house: House, enter: Enter) -> None:
    client, nurse = await enter(house.world.clinician), await enter(house.world.nurse)
    assert (await client.ask("outcomes", follow=True))["type"] == "reply"
    assert (await nurse.ask("outcomes", follow=True))["type"] == "reply"
    accepted, refused = await house.publish(house.care(), _in_no_compartment(house))
    told = {(await client.receive())["offset"]: None for _ in range(2)}
    assert set(told) == {accepted.offset, refused.offset}
    with pytest.raises(TimeoutError):
        await nurse.receive(0.2)


async def test_an_offset_without_a_record_is_said_to_be_so(house: House, enter: Enter) -> None:
    house.skip_offset()
    await house.accept(house.care())
    client = await enter(house.world.clinician)
    answer = await client.ask("outcomes", partition=0, offset=house.next_offset - 2)
    assert (answer["type"], answer["reason"]) == ("error", "no_record")


async def test_a_subject_is_described_with_proven_epochs_to_any_participant(house: House, enter: Enter) -> None:
    await house.sign_checkpoint()
    client = await enter(house.world.emergency)
    told = await client.ask("describe", subject=encode_id(house.patient.id))
    assert told["custodians"] == [encode_id(house.world.hospital.id)]
    assert (told["kind"], told["write"], told["emergency"], told["partition"]) == ("patient", ["clinician"], True, 0)
    assert set(told["epochs"]) == {"clinical", "medication", "identity"}
    for compartment, epoch in told["epochs"].items():
        check_proof(house, epoch)
        assert raw(epoch["public"]) == house.patient.epoch(compartment, 0)


async def test_a_description_waits_for_a_checkpoint(house: House, enter: Enter, open_gateway: Open) -> None:
    client = await enter(house.world.clinician)
    number = await client.begin("describe", subject=encode_id(house.patient.id))
    await house.sign_checkpoint()
    assert (await client.answer(number))["type"] == "reply"
    hasty = await enter(house.world.clinician, at=await open_gateway(proof_s=0.1))
    (late,) = await house.accept(house.care())
    answer = await hasty.ask("receipt", digest=text(late.entry.digest))
    assert (answer["type"], answer["reason"]) == ("error", "unavailable")


async def test_a_participant_is_described_with_admission_and_rotations(house: House, enter: Enter) -> None:
    world = house.world
    new = world.nurse.with_key("nurse's second key")
    await house.accept(world.rotate(world.nurse, world.nurse, new))
    await house.sign_checkpoint()
    client = await enter(world.clinician)
    told = await client.ask("describe", participant=encode_id(world.nurse.id))
    assert (told["name"], told["organisation"]) == ("nurse", encode_id(world.hospital.id))
    assert raw(told["sign"]) == new.key.public
    types = [parse_statement(raw(each["statement"])).header.type for each in told["statements"]]
    assert types == ["participant.admit", "participant.rotate"]
    for each in told["statements"]:
        check_proof(house, each)


async def test_lists_name_participants_and_the_askers_own_subjects(house: House, enter: Enter) -> None:
    client, custodian = await enter(house.world.clinician), await enter(house.world.hospital)
    names = {each["name"] for each in (await client.ask("describe", participants=True))["participants"]}
    assert {"authority", "hospital", "clinician"} <= names
    (subject,) = (await client.ask("describe", subjects=True))["subjects"]
    assert (subject["subject"], subject["custodian"]) == (encode_id(house.patient.id), False)
    kept = (await custodian.ask("describe", subjects=True))["subjects"]
    assert {each["subject"] for each in kept} == {encode_id(each.id) for each in house.both}


async def test_grants_are_shown_to_custodians_and_each_reader_its_own(house: House, enter: Enter) -> None:
    await house.accept(house.give(house.world.emergency))
    await (await enter(house.world.hospital)).ask("subscribe", subjects="all")  # answered when all of it is applied
    subject = encode_id(house.patient.id)
    seen = {
        who.name: [each["grantee"] for each in (await (await enter(who)).ask("grants", subject=subject))["grants"]]
        for who in (house.world.hospital, house.world.clinician, house.world.nurse)
    }
    clinician, emergency = encode_id(house.world.clinician.id), encode_id(house.world.emergency.id)
    assert seen == {"hospital": [clinician, emergency], "clinician": [clinician], "nurse": []}


async def test_keys_are_the_wraps_made_for_the_asker_while_it_may_read(house: House, enter: Enter) -> None:
    world, subject = house.world, encode_id(house.patient.id)
    clinician, custodian = await enter(world.clinician), await enter(world.hospital)
    (mine,) = (await clinician.ask("keys", subject=subject))["wraps"]
    assert raw(mine["wrap"]) == b"wrap for " + world.clinician.id
    statement = parse_statement(raw(mine["statement"]))
    assert statement.header.type == "grant.give"
    await house.accept(house.withdraw(world.clinician))
    await custodian.ask("subscribe", subjects="all")  # answered when all of it is applied
    assert (await clinician.ask("keys", subject=subject))["reason"] == "no_grant"
    held = (await custodian.ask("keys", subject=subject))["wraps"]
    assert [raw(each["wrap"]) for each in held] == [b"wrap for " + world.hospital.id] * 2


@pytest.mark.parametrize("body", [b"", b"\xff", cbor.encode([]), cbor.encode({"a": 1}), cbor.encode([5]), b"\x81" * 20])
async def test_a_body_of_wraps_that_is_none_keeps_nobody_from_its_keys(house: House, enter: Enter, body: bytes) -> None:
    world, patient = house.world, house.patient
    shared = world.share(world.hospital, patient, [world.clinician.id], epoch_ids([patient.epoch("clinical", 0)]))
    fields = shared.statement.control | {"body": sha256(body)}
    header = world.header(world.hospital, "key.share", patient.id)
    await house.accept(Message(sign(world.hospital, header, fields), body))
    clinician = await enter(world.clinician)
    await clinician.ask("subscribe", subjects="all")  # answered when all of it is applied
    (mine,) = (await clinician.ask("keys", subject=encode_id(patient.id)))["wraps"]
    assert raw(mine["wrap"]) == b"wrap for " + world.clinician.id


async def test_a_receipt_proves_a_statement_and_comes_with_the_checkpoint(house: House, enter: Enter) -> None:
    message = house.care()
    (accepted,) = await house.accept(message)
    signed = await house.sign_checkpoint()
    client = await enter(house.world.clinician)
    told = await client.ask("receipt", digest=text(message.statement.digest))
    check_proof(house, told | {"statement": text(message.statement.encoded)})
    assert raw(told["entry"]) == accepted.entry.encode()
    assert told["checkpoint"] == signed.note
    assert (await client.ask("checkpoint", partition=0))["checkpoint"] == signed.note


@pytest.mark.parametrize(
    ("kind", "fields", "reason"),
    [
        ("dance", {}, "unsupported"),
        ("subscribe", {"subjects": "inbound"}, "unsupported"),
        ("describe", {}, "bad_request"),
        ("describe", {"subject": "x"}, "bad_request"),
        ("describe", {"subject": encode_id(bytes(32))}, "unknown_subject"),
        ("describe", {"participant": encode_id(bytes(32))}, "unknown_participant"),
        ("keys", {"subject": encode_id(bytes(32))}, "unknown_subject"),
        ("grants", {}, "bad_request"),
        ("outcomes", {"partition": 9, "offset": 0}, "bad_request"),
        ("outcomes", {"partition": 0, "offset": -1}, "bad_request"),
        ("outcomes", {"partition": 0, "offset": 0, "digest": "AA"}, "bad_request"),
        ("receipt", {"digest": text(bytes(32))}, "unknown_statement"),
        ("receipt", {"digest": text(bytes(32)) + "="}, "bad_request"),
        ("checkpoint", {"partition": 1}, "bad_request"),
        ("checkpoint", {"partition": 0}, "no_checkpoint"),
        ("publish", {"statement": "***", "body": None}, "bad_request"),
        ("publish", {"statement": text(b"\xff"), "body": None}, "bad_encoding"),
    ],
)
async def test_a_bad_request_is_answered_and_the_connection_stays(
    house: House, enter: Enter, kind: str, fields: dict[str, Any], reason: str
) -> None:
    client = await enter(house.world.clinician)
    answer = await client.ask(kind, **fields)
    assert (answer["type"], answer["reason"]) == ("error", reason)
    assert (await client.ask("describe", participants=True))["type"] == "reply"


async def test_publishing_without_kafka_says_so(house: House, enter: Enter) -> None:
    client = await enter(house.world.clinician)
    message = house.care()
    answer = await client.ask("publish", statement=text(message.statement.encoded), body=text(message.body or b""))
    assert answer["reason"] == "unavailable"


async def test_what_needs_no_state_is_refused_before_it_costs_a_record(house: House, enter: Enter) -> None:
    client = await enter(house.world.clinician)
    message = house.care()
    statement = text(message.statement.encoded)
    assert (await client.ask("publish", statement=statement, body=None))["reason"] == "body_missing"
    assert (await client.ask("publish", statement=statement, body=text(b"else")))["reason"] == "body_mismatch"
    foreign = house.care(network=bytes(32))
    answer = await client.ask("publish", statement=text(foreign.statement.encoded), body=text(foreign.body or b""))
    assert answer["reason"] == "wrong_network"
    large = house.care(body=bytes(950_000))
    answer = await client.ask("publish", statement=text(large.statement.encoded), body=text(large.body or b""))
    assert answer["reason"] == "oversized"


async def test_a_published_statement_lies_in_kafka_as_it_came(
    house: House, kafka: EmbeddedKafka, database: str
) -> None:
    await provision(kafka.bootstrap, topics_of(house.world.genesis, "node"))
    async with Gateway(GatewayConfig(database, kafka.bootstrap)) as gateway:
        client = await Client.enter(gateway.url, house.world.emergency)  # who carries it is nobody's business
        message = house.care()
        answer = await client.ask("publish", statement=text(message.statement.encoded), body=text(message.body or b""))
        assert answer["partition"] == 0
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka.bootstrap)
    await consumer.start()
    try:
        place = TopicPartition(house.world.genesis.topic, 0)
        consumer.assign([place])
        consumer.seek(place, answer["offset"])
        record = await consumer.getone(place)
    finally:
        await consumer.stop()
    assert (record.key, record.value) == (message.key, message.value)
    assert cbor.decode(record.value) == [message.statement.encoded, message.body]
