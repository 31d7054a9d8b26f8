from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection

from carenet.client import wire
from carenet.client.care import Care, connect
from carenet.client.connection import Connection
from carenet.client.cursor import Cursor
from carenet.client.parts import Options
from carenet.client.session import DeclinedError, Session
from carenet.client.wire import to_text
from carenet.encoding.ids import encode_id
from carenet.errors import BadInputError, ProofError, RefusedError, TransportError
from carenet.sealing.identity import create_identity
from carenet.statements.keys import compute_epoch_id
from tests.support.actors import hpke_public
from tests.support.proven import ProvenLog
from tests.support.scripted import Message, Scripted, listening, send
from tests.support.watching import take_until_level
from tests.support.world import World

WORLD = World(nodes=1, quorum=1)
ALICE = create_identity("alice", WORLD.network, 1)
PATIENT = WORLD.patient(1)
RESOURCE = {"resourceType": "Observation"}


async def nothing(_request: Message, _socket: ServerConnection) -> Message | None:
    return None


async def echo(request: Message, _socket: ServerConnection) -> Message:
    return {"said": request["type"]}


def care(gateway: Scripted) -> Care:
    return connect(gateway.url, ALICE, options=Options(patience_s=2))


@pytest.mark.parametrize(
    ("challenge", "welcome"),
    [
        ({"network": encode_id(bytes(32))}, {}),
        ({"origin": "ws://127.0.0.1:1"}, {}),
        ({"type": "welcome"}, {}),
        ({}, {"genesis": to_text(replace(WORLD.genesis, salt=b"\1" * 16).encode())}),
        ({}, {"genesis": "AA"}),
        ({}, {"type": "error"}),
    ],
    ids=["another-network", "another-origin", "no-challenge", "another-genesis", "no-genesis", "no-welcome"],
)
async def test_a_gateway_that_is_not_what_was_dialled_is_left(challenge: Message, welcome: Message):
    async with listening(Scripted(WORLD, nothing, challenge, welcome)) as gateway:
        with pytest.raises(BadInputError):
            await Connection.open(gateway.url, ALICE, 5)


@pytest.mark.parametrize(("code", "reason"), [(4003, "not_authenticated"), (4004, "suspended")])
async def test_a_close_code_says_why_we_may_not_enter(code: int, reason: str):
    async with listening(Scripted(WORLD, nothing, close_after_hello=code)) as gateway:
        with pytest.raises(RefusedError, match=reason):
            await Connection.open(gateway.url, ALICE, 5)


async def test_a_gateway_that_says_nothing_is_given_up():
    async with listening(Scripted(WORLD, nothing, is_mute=True)) as gateway:
        with pytest.raises(TransportError, match="no gateway answers"):
            await Connection.open(gateway.url, ALICE, 0.2)


async def test_an_address_without_a_gateway_is_a_transport_error():
    with pytest.raises(TransportError, match="no gateway answers"):
        await Connection.open("ws://127.0.0.1:9", ALICE, 5)


async def test_a_question_whose_connection_broke_is_put_again():
    async def break_once(request: Message, socket: ServerConnection) -> Message | None:
        if gateway.connections == 1:
            await socket.close(1012)
            return None
        return await echo(request, socket)

    async with listening(Scripted(WORLD, break_once)) as gateway, Session(gateway.url, ALICE, 5) as session:
        assert (await session.ask("describe"))["said"] == "describe"
        assert gateway.connections == 2


async def test_a_server_that_is_away_is_asked_again_and_a_no_is_a_no():
    async def away_once(_request: Message, _socket: ServerConnection) -> Message:
        reason = "unavailable" if len(gateway.asked) == 1 else "unknown_subject"
        return {"type": "error", "reason": reason, "detail": "x"}

    async with listening(Scripted(WORLD, away_once)) as gateway, Session(gateway.url, ALICE, 5) as session:
        with pytest.raises(DeclinedError, match="unknown_subject"):
            await session.ask("describe")
        assert len(gateway.asked) == 2


async def test_a_question_without_an_answer_ends_with_our_patience():
    async with listening(Scripted(WORLD, nothing)) as gateway, Session(gateway.url, ALICE, 0.2) as session:
        with pytest.raises(TransportError, match=r"within 0\.2 s"):
            await session.ask("describe")


async def test_a_message_beyond_the_gateways_limit_is_not_sent():
    async with listening(Scripted(WORLD, nothing)) as gateway, Session(gateway.url, ALICE, 5) as session:
        with pytest.raises(BadInputError, match="100000"):
            await session.ask("publish", statement="x" * 200_000)
        assert not gateway.asked


async def test_a_gateway_that_talks_nonsense_is_left_for_good():
    async def nonsense(_request: Message, socket: ServerConnection) -> None:
        await socket.send("{nonsense")

    async with listening(Scripted(WORLD, nonsense)) as gateway, Session(gateway.url, ALICE, 5) as session:
        for _ in range(2):
            with pytest.raises(BadInputError, match="CBOR"):
                await session.ask("describe")


async def test_an_epoch_key_that_a_gateway_made_up_is_refused_and_nothing_is_sealed_to_it():
    public = hpke_public("the gateway's own")
    statement = WORLD.open(WORLD.hospital, PATIENT, [WORLD.hospital]).statement
    made_up = ProvenLog(WORLD).shown(statement) | {
        "public": to_text(public),
        "epoch": to_text(compute_epoch_id(public)),
    }

    async def describe(_request: Message, _socket: ServerConnection) -> dict[str, Any]:
        told = {"subject": encode_id(PATIENT.id), "kind": "patient", "custodians": [], "write": [], "next_seq": 1}
        return told | {"epochs": {"clinical": made_up}}

    async with listening(Scripted(WORLD, describe)) as gateway, care(gateway) as alice:
        with pytest.raises(ProofError, match="another key"):
            await alice.publish(PATIENT.id, RESOURCE)
        assert {request["type"] for request in gateway.asked} == {"describe"}


@pytest.mark.parametrize(
    ("known", "spoken"), [(("carenet.v1.json",), "carenet.v1.json"), (tuple(wire.CODECS), "carenet.v1.cbor")]
)
async def test_the_sdk_speaks_what_the_gateway_knows_and_rather_cbor(known: tuple[str, ...], spoken: str):
    async def say_which(_request: Message, socket: ServerConnection) -> Message:
        return {"said": socket.subprotocol}

    scripted = Scripted(WORLD, say_which, subprotocols=known)
    async with listening(scripted) as gateway, Session(gateway.url, ALICE, 5) as session:
        assert (await session.ask("receipt", digest=bytes(32)))["said"] == spoken
    assert wire.read_bytes(gateway.asked[0], "digest") == bytes(32)


async def test_a_watch_that_was_cut_off_comes_back_with_its_cursor():
    subject = encode_id(PATIENT.id)

    async def cut_off_once(_request: Message, socket: ServerConnection) -> None:
        if gateway.connections <= 2:  # the first is the session's
            subscribed = {"type": "subscribed", "id": 0, "at": {"0": 4, "1": 2}, "behind": {subject: 7}}
            await send(socket, subscribed)
            await socket.close(4001)
            return
        await send(socket, {"type": "subscribed", "id": 0, "at": {"0": 9}, "behind": {}})
        await send(socket, {"type": "caught_up", "subjects": [], "all": True})

    async with listening(Scripted(WORLD, cut_off_once)) as gateway, care(gateway) as alice:
        watch = alice.watch(PATIENT.id, types=["care.*"])
        await take_until_level(watch)
        first, second = gateway.asked
        assert (first["subjects"], first["types"], first.get("cursor")) == ([subject], ["care.*"], None)
        assert second["cursor"] == Cursor({0: 4, 1: 2}, {subject: 7}).to_message()
        assert watch.cursor == Cursor({0: 9})


async def test_too_many_requests_are_waited_for():
    async def too_many_once(request: Message, socket: ServerConnection) -> Message | None:
        if gateway.connections == 1:
            await socket.close(4008)
            return None
        return await echo(request, socket)

    async with listening(Scripted(WORLD, too_many_once)) as gateway, Session(gateway.url, ALICE, 20) as session:
        started = asyncio.get_running_loop().time()
        assert (await session.ask("describe"))["said"] == "describe"
        assert asyncio.get_running_loop().time() - started > 0.9
