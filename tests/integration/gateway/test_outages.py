"""PostgreSQL goes away and comes back: sessions stay, and nobody misses or repeats anything."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from carenet.encoding.ids import encode_id
from carenet.errors import TransportError
from carenet.gateway.server import Gateway, GatewayConfig
from carenet.local.postgres import EmbeddedPostgres
from carenet.store.store import Store
from tests.support.gatewayclient import Client, House
from tests.support.waiting import until
from tests.support.world import World


@pytest_asyncio.fixture(loop_scope="session")
async def own_postgres(tmp_path: Path) -> AsyncIterator[EmbeddedPostgres]:
    """A PostgreSQL that the test may kill."""
    async with EmbeddedPostgres(tmp_path) as server:
        yield server


async def test_a_killed_database_costs_no_session_and_no_entry(own_postgres: EmbeddedPostgres) -> None:
    world = World(partitions=1, nodes=1, quorum=1)
    world.clock_ms = time.time_ns() // 1_000_000
    dsn = own_postgres.dsn()
    async with Store(dsn) as store:
        await store.create_schema(world.genesis)
        await store.seed(world.genesis)
        house = House(store, world)
        await house.found()
        async with Gateway(GatewayConfig(dsn)) as gateway:
            client = await Client.enter(gateway.url, world.clinician)
            await client.ask("subscribe", subjects=[encode_id(house.patient.id)])
            await client.caught_up()
            before = await house.accept(house.care(), house.care())

            await own_postgres.kill()
            await until(lambda: not gateway.is_healthy, 10)
            answer = await client.ask("keys", subject=encode_id(house.patient.id))
            assert (answer["type"], answer["reason"]) == ("error", "unavailable")
            await own_postgres.restart()

            after = await publish_again(house)
            await until(lambda: gateway.is_healthy, 20)
            await client.until(lambda message: message.get("index") == after[-1], 10)
            got = client.entries()
            assert got[-len(before) - len(after) :] == [each.index for each in before] + after
            assert len(got) == len(set(got))


async def publish_again(house: House) -> list[int]:
    """Two more events, as soon as the database takes them."""
    messages = house.care(), house.care()
    for _ in range(100):
        try:
            return [each.index for each in await house.accept(*messages)]
        except TransportError:
            await asyncio.sleep(0.1)
    raise AssertionError("the database did not come back")
