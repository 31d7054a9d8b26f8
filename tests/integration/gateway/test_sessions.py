"""How a connection begins and ends: challenge, limits, garbage, slow readers, and what happens around a restart."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

from carenet.encoding import cbor
from carenet.encoding.ids import encode_id
from carenet.gateway.server import Gateway
from carenet.gateway.session import Session
from carenet.ledger.entry import decode_entry
from tests.support.actors import Actor, actor
from tests.support.gatewayclient import CBOR, JSON, Client, House, hello, raw, text
from tests.support.waiting import STRETCH

Enter = Callable[..., Awaitable[Client]]
Open = Callable[..., Awaitable[Gateway]]


async def say_hello(gateway: Gateway, who: Actor, **changes: Any) -> Client:
    client = await Client.dial(gateway.url)
    await client.send(hello(await client.receive(), who, **changes))
    return client


async def test_the_challenge_names_network_origin_and_a_fresh_nonce(house: House, gateway: Gateway) -> None:
    first, second = [await (await Client.dial(gateway.url)).receive() for _ in range(2)]
    assert first["network"] == encode_id(house.world.network)
    assert first["origin"] == gateway.url
    assert first["nonce"] != second["nonce"]


async def test_a_right_answer_is_welcomed_with_the_genesis(house: House, gateway: Gateway) -> None:
    welcome = await (await say_hello(gateway, house.world.clinician)).receive()
    assert (welcome["type"], welcome["name"], welcome["roles"]) == ("welcome", "clinician", ["clinician"])
    assert welcome["genesis"] == text(house.world.genesis.encode())
    assert (welcome["partitions"], welcome["participant"]) == (1, encode_id(house.world.clinician.id))


async def test_a_wrong_answer_to_the_challenge_is_not_let_in(house: House, gateway: Gateway) -> None:
    world = house.world
    wrong: list[tuple[Actor, dict[str, Any]]] = [
        (world.clinician, {"signature": text(bytes(64))}),
        (world.clinician, {"nonce": text(b"x" * 32)}),
        (world.clinician, {"kid": text(world.nurse.kid)}),
        (world.clinician, {"participant": encode_id(world.nurse.id)}),
        (world.clinician, {"signed_id": world.nurse.id}),
        (world.stranger, {}),
    ]
    for who, changes in wrong:
        assert await (await say_hello(gateway, who, **changes)).closed() == 4003


async def test_an_answer_for_another_gateway_is_worth_nothing(house: House, gateway: Gateway) -> None:
    client = await Client.dial(gateway.url)
    challenge = await client.receive()
    await client.send(hello(challenge | {"origin": "ws://elsewhere:1"}, house.world.clinician))
    assert await client.closed() == 4003


async def test_an_answer_to_an_earlier_challenge_is_worth_nothing(house: House, gateway: Gateway) -> None:
    earlier = await (await Client.dial(gateway.url)).receive()
    client = await Client.dial(gateway.url)
    await client.receive()
    await client.send(hello(earlier, house.world.clinician))
    assert await client.closed() == 4003


async def test_who_does_not_answer_is_sent_away(open_gateway: Open) -> None:
    client = await Client.dial((await open_gateway(hello_s=0.3)).url)
    assert await client.closed(2) == 4003


@pytest.mark.parametrize(
    "frame",
    [
        b"\x00\x01 binary",
        "not JSON",
        "[]",
        "{}",
        '{"type": 1}',
        '{"type": "describe"}',
        '{"type": "describe", "id": "1"}',
        '{"type": "describe", "id": -1}',
        '{"type": "describe", "id": true}',
        '{"type": "describe", "id": 1' + "[" * 5000,
    ],
)
async def test_garbage_closes_the_connection(house: House, enter: Enter, frame: bytes | str) -> None:
    client = await enter(house.world.clinician)
    await client.socket.send(frame)
    assert await client.closed() == 4002


@pytest.mark.parametrize(
    "frame",
    [
        '{"type": "describe", "id": 1, "participants": true}',  # a text frame
        b"",
        cbor.encode({"type": "describe"}),
        cbor.encode({"type": "describe", "id": -1}),
        cbor.encode({"type": "describe", "id": 1, "participants": True}) + b"\0",
        b"\xa2\x64type\x68describe\x62id\x01",  # not in the deterministic order
        b"\xa1" * 5000,
    ],
)
async def test_garbage_closes_a_connection_that_speaks_cbor(house: House, enter: Enter, frame: bytes | str) -> None:
    client = await enter(house.world.clinician, subprotocols=[CBOR])
    await client.socket.send(frame)
    assert await client.closed() == 4002


async def test_who_speaks_cbor_gets_bytes_as_byte_strings(house: House, enter: Enter) -> None:
    client = await enter(house.world.clinician, subprotocols=[JSON, CBOR])
    assert client.socket.subprotocol == CBOR  # the gateway prefers it
    answer = await client.ask("subscribe", subjects=[encode_id(house.patient.id)])
    assert answer["type"] == "subscribed"
    await client.caught_up()
    message = house.care()
    (accepted,) = await house.accept(message)
    push = await client.until(lambda told: told.get("index") == accepted.index)
    assert (push["entry"], push["statement"], push["body"]) == (
        accepted.entry.encode(),
        message.statement.encoded,
        message.body,
    )
    refused = await client.ask("receipt", digest=text(bytes(32)))  # text where bytes belong
    assert (refused["type"], refused["reason"]) == ("error", "bad_request")
    assert (await client.ask("receipt", digest=bytes(32)))["reason"] == "unknown_statement"


@pytest.mark.parametrize("frame", ["", "nonsense", '{"type": "publish", "id": 1}', '{"type": "hello", "kid": 5}'])
async def test_garbage_before_hello_closes_the_connection(gateway: Gateway, frame: str) -> None:
    client = await Client.dial(gateway.url)
    await client.receive()
    await client.socket.send(frame)
    assert await client.closed() == 4002


async def test_a_large_frame_before_hello_is_refused(gateway: Gateway) -> None:
    client = await Client.dial(gateway.url)
    await client.receive()
    await client.socket.send("x" * 5000)
    assert await client.closed() == 1009


@pytest.mark.parametrize("change", ["suspended", "rotated"])
async def test_who_loses_its_access_while_it_is_greeted_is_cut_off(house: House, gateway: Gateway, change: str) -> None:
    services = gateway._services
    assert services is not None
    nurse, world = house.world.nurse, house.world
    row = services.authority.participant(nurse.id)
    assert row is not None
    suspends = change == "suspended"
    await house.accept(world.suspend(world.hospital, nurse) if suspends else world.rotate(nurse, nurse, actor("new")))
    await services.feed.wait_for({0: (await house.store.heads())[0].size}, 5)

    async def serve_late(connection: ServerConnection) -> None:
        await Session(connection, row, services).run()  # with what was true when it answered the challenge

    async with serve(serve_late, "127.0.0.1", 0, subprotocols=[Subprotocol(JSON)]) as server:
        client = await Client.dial(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        assert await client.closed() == (4004 if suspends else 4000)


async def test_a_frame_above_the_limit_is_refused(house: House, enter: Enter) -> None:
    client = await enter(house.world.clinician)
    await client.socket.send("x" * (2 * 1024 * 1024 + 1))
    assert await client.closed() == 1009


async def test_half_a_frame_and_a_dead_line_leave_nothing_behind(house: House, enter: Enter, gateway: Gateway) -> None:
    client = await enter(house.world.clinician)
    client.socket.transport.write(b"\x81\xfe\x10\x00abcd{")  # a masked text frame of 4,096 bytes that ends after one
    await asyncio.sleep(0.05)
    client.socket.transport.abort()
    async with asyncio.timeout(5 * STRETCH):
        while gateway.metrics.sessions._value.get():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert (await (await enter(house.world.clinician)).ask("describe", participants=True))["type"] == "reply"


async def test_half_a_handshake_disturbs_nobody(house: House, enter: Enter, gateway: Gateway) -> None:
    parts = urlsplit(gateway.url)
    with socket.create_connection((parts.hostname, parts.port)) as raw_socket:
        raw_socket.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nUpgr")
        client = await enter(house.world.clinician)
        assert (await client.ask("describe", participants=True))["type"] == "reply"


async def test_a_client_of_another_protocol_is_turned_away(gateway: Gateway) -> None:
    with pytest.raises(InvalidStatus):
        await Client.dial(gateway.url, subprotocols=["other.v1"])
    with pytest.raises(InvalidStatus):
        await Client.dial(gateway.url, subprotocols=None)


async def test_too_many_requests_under_way_close_the_connection(house: House, enter: Enter, open_gateway: Open) -> None:
    client = await enter(house.world.clinician, at=await open_gateway(requests=10))
    for _ in range(11):
        await client.begin("outcomes", partition=0, offset=10**9)
    assert await client.closed() == 4008


async def test_too_many_sessions_are_turned_away(house: House, enter: Enter, open_gateway: Open) -> None:
    small = await open_gateway(sessions=1)
    await enter(house.world.clinician, at=small)
    with pytest.raises(InvalidStatus):
        await Client.dial(small.url)


async def test_a_reader_that_never_reads_is_cut_off_delays_nobody_and_resumes_whole(
    house: House, enter: Enter, open_gateway: Open
) -> None:
    gateway = await open_gateway(stall_s=1.0)
    subjects = [encode_id(house.patient.id)]
    sleeper, reader = await enter(house.world.clinician, at=gateway), await enter(house.world.hospital, at=gateway)
    cursor = await sleeper.ask("subscribe", subjects=subjects)
    await reader.ask("subscribe", subjects=subjects)
    await reader.caught_up()
    sent = []
    for _ in range(10):
        batch = await house.accept(*(house.care(body=bytes(150_000)) for _ in range(20)))
        sent += [each.index for each in batch]
        async with asyncio.timeout(5 * STRETCH):  # the other one gets each batch while the sleeper sleeps
            await reader.until(lambda message, last=sent[-1]: message.get("index") == last, 5)
    assert [index for index in reader.entries() if index >= sent[0]] == sent

    await asyncio.sleep(1.5)
    received, places = [], {"at": cursor["at"], "behind": cursor["behind"], "passes": cursor["passes"]}
    with contextlib.suppress(ConnectionClosed):  # what lay in the socket's buffers still comes
        while True:
            received += take_in(await sleeper.receive(), places)
    assert sleeper.socket.close_code in {4001, 1006}
    assert gateway.metrics.closes.labels(4001)._value.get() == 1

    again = await enter(house.world.clinician, at=gateway)
    await again.ask("subscribe", subjects=subjects, cursor=places)
    await again.caught_up()
    received += again.entries()
    assert len(received) == len(set(received))
    assert set(sent) <= set(received)


def take_in(message: dict[str, Any], places: dict[str, Any]) -> list[int]:
    """What a client does with a push: move its places, and say which entry came."""
    if message["type"] == "behind":
        places["behind"] |= message["subjects"]
        places["passes"] |= message["passes"]
    elif message["type"] == "caught_up":
        for subject in message["subjects"]:
            places["behind"].pop(subject, None)
        places["at"] |= message["at"]
    elif message["type"] == "entry":
        if message["backlog"]:
            (subject,) = places["behind"]
            places["behind"][subject] = decode_entry(raw(message["entry"])).seq + 1
        else:
            places["at"][str(message["partition"])] = message["index"] + 1
        return [message["index"]]
    return []


async def test_a_gateway_that_goes_away_says_so_and_another_one_goes_on(
    house: House, enter: Enter, open_gateway: Open
) -> None:
    subjects = [encode_id(house.patient.id)]
    async with Gateway((await open_gateway()).config) as first:
        client = await Client.enter(first.url, house.world.clinician)
        places = await client.ask("subscribe", subjects=subjects)
        await client.caught_up()
        (seen,) = await house.accept(house.care())
        await client.until(lambda message: message.get("index") == seen.index)
    assert await client.closed() == 4000
    missed = await house.accept(house.care(), house.care())
    second = await enter(house.world.clinician)
    cursor = {"at": {"0": seen.index + 1}, "behind": {}, "passes": {}}
    assert (await second.ask("subscribe", subjects=subjects, cursor=cursor))["withdrawn"] == []
    await second.caught_up()
    assert second.entries() == [each.index for each in missed]
    assert places["behind"]


async def test_a_cursor_ahead_of_the_log_is_not_believed(house: House, enter: Enter, open_gateway: Open) -> None:
    client = await enter(house.world.clinician, at=await open_gateway(ahead_s=0.2))
    cursor = {"at": {"0": 10**6}, "behind": {}}
    answer = await client.ask("subscribe", subjects="all", cursor=cursor)
    assert (answer["type"], answer["reason"]) == ("error", "unavailable")


async def test_anothers_cursor_shows_only_what_the_reader_may_see(house: House, enter: Enter) -> None:
    (mine,) = await house.accept(house.care(house.other))
    stolen = {"at": {"0": 0}, "behind": {encode_id(house.other.id): 0, encode_id(house.patient.id): 0}}
    client = await enter(house.world.clinician)
    answer = await client.ask("subscribe", subjects="all", cursor=stolen)
    assert list(answer["behind"]) == [encode_id(house.patient.id)]
    await client.caught_up()
    assert mine.index not in client.entries()
    assert client.entries()
    nurse = await enter(house.world.nurse)
    assert (await nurse.ask("subscribe", subjects="all", cursor=stolen))["behind"] == {}


async def test_access_that_ended_while_a_client_was_away_is_told(house: House, enter: Enter) -> None:
    client = await enter(house.world.clinician)
    first = await client.ask("subscribe", subjects="all")
    await client.caught_up()
    await client.socket.close()
    cursor = {"at": first["at"], "behind": {}, "passes": {}}
    await house.accept(house.withdraw(house.world.clinician))
    again = await enter(house.world.clinician)
    answer = await again.ask("subscribe", subjects="all", cursor=cursor)
    assert answer["withdrawn"] == [encode_id(house.patient.id)]
    assert answer["behind"] == {}


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"subjects": []},
        {"subjects": ["x"]},
        {"subjects": "some"},
        {"subjects": "all", "types": "care.observation"},
        {"subjects": "all", "types": ["care observation"]},
        {"subjects": "all", "compartments": [1]},
        {"subjects": "all", "cursor": []},
        {"subjects": "all", "cursor": {"at": {"7": 0}}},
        {"subjects": "all", "cursor": {"at": {"0": -1}}},
        {"subjects": "all", "cursor": {"at": {"²": 0}}},
        {"subjects": "all", "cursor": {"behind": {"x": 0}}},
        {"subjects": "all", "cursor": {"behind": {"A" * 43: 0}, "passes": {"A" * 43: [1]}}},
    ],
)
async def test_an_ill_formed_subscription_is_answered(house: House, enter: Enter, fields: dict[str, Any]) -> None:
    client = await enter(house.world.clinician)
    answer = await client.ask("subscribe", **fields)
    assert (answer["type"], answer["reason"]) == ("error", "bad_request")
    assert (await client.ask("subscribe", subjects="all"))["type"] == "subscribed"
