from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest_asyncio

from carenet.gateway.limits import Limits
from carenet.gateway.server import Gateway, GatewayConfig
from carenet.store.store import Store
from tests.support.actors import Actor
from tests.support.gatewayclient import Client, House
from tests.support.world import World

Open = Callable[..., Awaitable[Gateway]]


@pytest_asyncio.fixture(loop_scope="session")
async def house(database: str) -> AsyncIterator[House]:
    """A founded network of one partition, in a database of this test's own."""
    world = World(partitions=1, nodes=1, quorum=1)
    world.clock_ms = time.time_ns() // 1_000_000
    async with Store(database) as store:
        await store.create_schema(world.genesis)
        await store.seed(world.genesis)
        house = House(store, world)
        await house.found()
        yield house


@pytest_asyncio.fixture(loop_scope="session")
async def open_gateway(house: House) -> AsyncIterator[Open]:
    """Starts a gateway, with limits of the test's choice; closed afterwards."""
    async with AsyncExitStack() as stack:

        async def start(**limits: float) -> Gateway:
            config = GatewayConfig(house.store.dsn, limits=Limits(**{"close_s": 1, **limits}))  # type: ignore[arg-type]
            return await stack.enter_async_context(Gateway(config))

        yield start


@pytest_asyncio.fixture(loop_scope="session")
async def gateway(open_gateway: Open) -> Gateway:
    """A gateway with the usual limits."""
    return await open_gateway()


@pytest_asyncio.fixture(loop_scope="session")
async def enter(gateway: Gateway) -> AsyncIterator[Callable[..., Awaitable[Client]]]:
    """Signs somebody in; closed afterwards."""
    async with AsyncExitStack() as stack:

        async def sign_in(who: Actor, at: Gateway | None = None, **options: object) -> Client:
            client = await Client.enter((at or gateway).url, who, **options)
            stack.push_async_callback(client.socket.close)
            return client

        yield sign_in
