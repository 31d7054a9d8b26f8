"""What one client may cost: connections, statements and GETs beyond their bounds are turned away, and told why."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

import pytest
from websockets.exceptions import InvalidStatus

from carenet.client.connection import Connection
from carenet.errors import PushbackError
from carenet.gateway.http import Kept
from carenet.gateway.server import Gateway
from carenet.sealing.identity import create_identity
from tests.integration.gateway.test_http import get
from tests.support.gatewayclient import Client, House, hello, text
from tests.support.waiting import until

Open = Callable[..., Awaitable[Gateway]]


async def test_a_participant_has_so_many_connections_and_the_others_have_theirs(
    house: House, open_gateway: Open
) -> None:
    gateway = await open_gateway(sessions_each=2)
    async with AsyncExitStack() as stack:
        clients = [await Client.enter(gateway.url, house.world.clinician) for _ in range(2)]
        for each in clients:
            stack.push_async_callback(each.socket.close)
        one_more = await Client.dial(gateway.url)
        await one_more.send(hello(await one_more.receive(), house.world.clinician))
        assert await one_more.closed() == 4008
        assert (one_more.socket.close_reason or "").startswith("too_many_connections: ")
        await (await Client.enter(gateway.url, house.world.nurse)).socket.close()
        await clients[0].socket.close()
        await until(lambda: gateway.metrics.sessions._value.get() == 1)
        await (await Client.enter(gateway.url, house.world.clinician)).socket.close()


async def test_who_has_not_signed_in_takes_no_place_of_those_who_have(house: House, open_gateway: Open) -> None:
    gateway = await open_gateway(greeting=2)
    inside = [await Client.enter(gateway.url, house.world.clinician) for _ in range(3)]
    greeting = [await Client.dial(gateway.url) for _ in range(2)]
    with pytest.raises(InvalidStatus) as caught:
        await Client.dial(gateway.url)
    response = caught.value.response
    assert (response.status_code, response.headers["Retry-After"]) == (503, "5")
    assert response.body.startswith(b"too_many_connections: ")
    with pytest.raises(PushbackError) as pushed_back:
        await Connection.open(gateway.url, create_identity("somebody", house.world.network, 1), 5)
    assert pushed_back.value.retry_after_s == 5
    assert "too_many_connections" in str(pushed_back.value)
    assert (await inside[0].ask("describe", subjects=True))["type"] == "reply"
    for each in greeting:
        await each.socket.close()
    await until(lambda: gateway.metrics.greeting._value.get() == 0)
    for each in [*inside, await Client.enter(gateway.url, house.world.nurse)]:
        await each.socket.close()


async def test_connections_that_never_say_a_word_are_bounded_too(open_gateway: Open) -> None:
    gateway = await open_gateway(greeting=2)
    host, port = gateway.url.removeprefix("ws://").split(":")
    silent = [await asyncio.open_connection(host, int(port)) for _ in range(4)]
    await until(lambda: gateway.metrics.greeting._value.get() == 4)
    reader, writer = await asyncio.open_connection(host, int(port))
    told = b""
    with contextlib.suppress(ConnectionResetError):
        told = await reader.read()
    assert told == b"", "cut off without a word"
    assert gateway.metrics.refused.labels("too_many_connections")._value.get() == 1, "and at once, not by a timeout"
    for each in [writer, *(writer for _, writer in silent)]:
        each.close()


async def test_gets_have_a_rate_but_health_is_always_told(open_gateway: Open) -> None:
    gateway = await open_gateway(gets_per_s=0.001, gets_burst=2)
    assert [(await get(gateway.url, "/metrics"))[0] for _ in range(3)] == [200, 200, 429]
    status, headers, body = await get(gateway.url, "/checkpoint/0")
    assert (status, headers["Retry-After"]) == (429, "1")
    assert body.startswith(b"too_many_requests: ")
    assert [(await get(gateway.url, "/health"))[0] for _ in range(5)] == [200] * 5


async def test_what_is_asked_of_the_database_is_asked_once_a_second_however_many_ask() -> None:
    asked = 0

    async def fetch() -> int:
        nonlocal asked
        asked += 1
        await asyncio.sleep(0)
        return asked

    kept = Kept(fetch)
    assert await asyncio.gather(*(kept.get() for _ in range(20))) == [1] * 20
    kept._held = (0.0, 1)  # long ago
    assert [await kept.get() for _ in range(3)] == [2, 2, 2]


async def test_statements_of_one_participant_have_a_rate(house: House, open_gateway: Open) -> None:
    gateway = await open_gateway(publish_per_s=0.1, publish_burst=1)
    clinician = await Client.enter(gateway.url, house.world.clinician)
    nurse = await Client.enter(gateway.url, house.world.nurse)
    statement = text(house.care().statement.encoded)
    reasons = [await clinician.ask("publish", statement=statement, body=None) for _ in range(2)]
    assert [each["reason"] for each in reasons] == ["body_missing", "rate_limited"]
    assert 1 <= reasons[1]["retry_after"] <= 10
    assert (await nurse.ask("publish", statement=statement, body=None))["reason"] == "body_missing"
    for each in (clinician, nurse):
        await each.socket.close()
