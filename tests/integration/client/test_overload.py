"""A fold that is held back: publishers are told to slow down on either way to Kafka, nothing is lost, all goes on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from carenet.bus.looking import fetch_end_offsets
from carenet.client.bulk import CareEvent
from carenet.client.care import Care, connect
from carenet.client.parts import Options
from carenet.gateway.limits import Limits
from carenet.gateway.server import Gateway, GatewayConfig
from tests.integration.client.conftest import Node
from tests.support.waiting import until, until_answered

BOUND_S = 0.3


@asynccontextmanager
async def held_back(database: str) -> AsyncIterator[None]:
    """No batch can be committed meanwhile: another transaction holds the partitions' rows."""
    connection = await asyncpg.connect(database)
    try:
        async with connection.transaction():
            await connection.execute("SELECT 1 FROM partition_state FOR UPDATE")
            yield
    finally:
        await connection.close()


@dataclass
class Scene:
    """A gateway that says `overloaded` soon, a patient, and two clinicians who may write about it."""

    node: Node
    gateway: Gateway
    house: Care
    patient: str
    stack: AsyncExitStack
    told: list[float] = field(default_factory=list)

    async def enter(self, name: str, kafka: str | None = None) -> Care:
        options = Options(spool=self.node.folder, patience_s=30, on_wait=self.told.append)
        return await self.stack.enter_async_context(connect(self.gateway.url, self.node.person(name), kafka, options))

    async def ends(self) -> int:
        """How many records there are."""
        return sum((await fetch_end_offsets(self.node.kafka, self.node.genesis.topic)).values())

    def shown(self, name: str, **labels: str) -> float:
        """A figure of the gateway's metrics."""
        return self.gateway.metrics.registry.get_sample_value(f"carenet_gateway_{name}", labels) or 0.0


@pytest_asyncio.fixture(loop_scope="session")
async def scene(node: Node) -> AsyncIterator[Scene]:
    house, _, _ = await node.found()
    patient = await house.register_patient()
    for name in ("lee", "okafor"):
        await house.grant(patient, node.person(name).id, ("read", "write"))
    config = GatewayConfig(node.database, node.kafka, limits=Limits(max_wait_s=BOUND_S))
    async with Gateway(config) as gateway, AsyncExitStack() as stack:
        yield Scene(node, gateway, house, patient, stack)


def observation(number: int) -> dict[str, Any]:
    return {"resourceType": "Observation", "status": "final", "code": {"text": f"number {number}"}}


@pytest.mark.parametrize("way", ["through-the-gateway", "straight-to-kafka"])
async def test_a_publisher_waits_while_the_fold_is_behind_and_then_all_of_its_events_are_accepted(
    scene: Scene, way: str
) -> None:
    lee = await scene.enter("lee", scene.node.kafka if way == "straight-to-kafka" else None)
    pace = lee._parts.session.pace
    async with held_back(scene.node.database):
        first = asyncio.create_task(lee.publish(scene.patient, observation(0)))
        await until(lambda: pace.is_held)
        assert scene.shown("overloaded") == 1
        before = await scene.ends()
        events = [CareEvent(scene.patient, observation(number)) for number in range(1, 40)]
        rest = asyncio.create_task(lee.publish_many(events))
        grant = asyncio.create_task(scene.house.grant(scene.patient, scene.node.person("lee").id, ("manage",)))

        async def has_arrived() -> bool:
            return await scene.ends() > before

        await until_answered(has_arrived)  # who gives or withdraws access need not wait
        assert not rest.done()
        assert await scene.ends() == before + 1, "but care data does"
    assert (await first).accepted
    assert ((await rest).accepted, dict((await rest).refused)) == (39, {})
    await grant
    await until(lambda: not pace.is_held and scene.shown("overloaded") == 0)
    assert scene.told[0] >= 1
    assert scene.told[-1] == 0


async def test_who_does_not_know_yet_is_refused_with_a_time_and_tries_again(scene: Scene) -> None:
    lee, okafor = await scene.enter("lee"), await scene.enter("okafor")
    async with held_back(scene.node.database):
        first = asyncio.create_task(lee.publish(scene.patient, observation(0)))
        await until(lambda: lee._parts.session.pace.is_held)
        second = asyncio.create_task(okafor.publish(scene.patient, observation(1)))
        await until(lambda: scene.shown("refused_total", reason="overloaded") == 1)
        assert okafor._parts.session.pace.is_held, "and sends nothing else meanwhile"
    assert (await first).accepted
    assert (await second).accepted
