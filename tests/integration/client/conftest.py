"""A whole node in this process, with a real Kafka, a real PostgreSQL and a real gateway, and people with real keys."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from carenet.bus.topics import provision, topics_of
from carenet.client.care import Care, connect
from carenet.client.parts import Options
from carenet.gateway.server import Gateway, GatewayConfig
from carenet.local.kafka import EmbeddedKafka
from carenet.node.config import WorkerConfig
from carenet.node.identity import create_node_keys
from carenet.node.relay import run_relay
from carenet.node.worker import FoldWorker
from carenet.sealing.identity import Identity, create_identity
from carenet.statements.genesis import AuthorityKey, Genesis, NodeKey
from carenet.store.store import Store

PARTITIONS = 3


@dataclass
class Node:
    """A running node and the people who have keys.

    Attributes:
        genesis: the network's.
        authority: the key that admits.
        kafka: `host:port`.
        database: DSN.
        folder: for spools.
        gateway: the running gateway.
    """

    genesis: Genesis
    authority: Identity
    kafka: str
    database: str
    folder: Path
    gateway: Gateway
    stack: AsyncExitStack
    people: dict[str, Identity] = field(default_factory=dict)

    def person(self, name: str) -> Identity:
        """Somebody's keys."""
        if name not in self.people:
            self.people[name] = create_identity(name, self.genesis.network_id, 1)
        return self.people[name]

    async def restart_gateway(self, pause_s: float = 0.0) -> None:
        """Stop the gateway, and start another one at its address."""
        port = int(self.gateway.url.rpartition(":")[2])
        await self.gateway.__aexit__(None, None, None)
        await asyncio.sleep(pause_s)
        self.gateway = Gateway(replace(self.gateway.config, port=port))
        await self.gateway.__aenter__()

    async def enter(self, identity: Identity, *, kafka: str | None = None) -> Care:
        """A connection, closed after the test."""
        care = connect(self.gateway.url, identity, kafka, Options(spool=self.folder, patience_s=20))
        return await self.stack.enter_async_context(care)

    async def found(self) -> tuple[Care, Care, Care]:
        """The hospital and two of its clinicians, admitted; their connections."""
        authority = await self.enter(self.authority)
        hospital = self.person("hospital")
        await authority.admit(hospital, ["registrar", "custodian"], may_give=["clinician"])
        house = await self.enter(hospital)
        for name in ("lee", "okafor"):
            await house.admit(self.person(name), ["clinician"], organisation=hospital.id)
        return house, await self.enter(self.person("lee")), await self.enter(self.person("okafor"))


@pytest.fixture
async def node(kafka: EmbeddedKafka, database: str, topic_name: str, tmp_path: Path) -> AsyncIterator[Node]:
    """A founded network of three partitions with nobody admitted."""
    authority, keys = create_identity("authority", bytes(32), 1), create_node_keys()
    genesis = Genesis(
        format=1,
        name="test",
        salt=bytes(16),
        authorities=(AuthorityKey("authority", authority.sign_key.public),),
        threshold=1,
        nodes=(NodeKey("north", keys.sign_public, keys.mldsa_public),),
        quorum=1,
        topic=f"{topic_name}.events",
        partitions=PARTITIONS,
        snapshot_every=2**20,
        retention_days=0,
        rulebook=1,
    )
    authority = replace(authority, network=genesis.network_id)
    await provision(kafka.bootstrap, topics_of(genesis, "north"))
    async with Store(database) as store:
        await store.create_schema(genesis)
        await store.seed(genesis)
    worker = FoldWorker(WorkerConfig(kafka.bootstrap, database, genesis, "north", keys))
    tasks = [
        asyncio.create_task(worker.run()),
        asyncio.create_task(run_relay(database, kafka.bootstrap, genesis, asyncio.Event())),
    ]
    async with AsyncExitStack() as stack:
        gateway = await Gateway(GatewayConfig(database, kafka.bootstrap)).__aenter__()
        made = Node(genesis, authority, kafka.bootstrap, database, tmp_path / "spool", gateway, stack)
        stack.push_async_callback(lambda: made.gateway.__aexit__(None, None, None))
        yield made
    worker.stop()
    tasks[1].cancel()
    for task in tasks:
        with contextlib.suppress(asyncio.CancelledError):
            await task
