"""A whole network of one partition in this process: a worker, a gateway and people with real keys.

For tests that replace a piece of the worker's or the gateway's code before it starts; `clinic` runs them as processes,
as production does. One partition needs no relay, hence no stream processors.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from carenet.bus.security import KafkaAt
from carenet.bus.topics import provision, topics_of
from carenet.client.care import Care, connect
from carenet.client.parts import Options
from carenet.gateway.server import Gateway, GatewayConfig
from carenet.local.founding import AUTHORITY, NODE, NODE_FILE, found_network
from carenet.node.config import WorkerConfig
from carenet.node.identity import load_node_keys
from carenet.sealing.identity import Identity, create_identity
from carenet.sealing.keyfile import load_identity
from carenet.statements.genesis import Genesis
from carenet.store.store import Store
from tests.support.clinic import Follower
from tests.support.working import running

_PATIENCE_S = 10.0


@dataclass
class OneNode:
    """A running network.

    Attributes:
        config: the worker's.
        gateway: in this process.
        store: the node's.
        people: their keys by name: a hospital, who is registrar and custodian, a clinician and a laboratory.
        exit: closes connections before the node stops.
        followers: who watch.
    """

    config: WorkerConfig
    gateway: Gateway
    store: Store
    people: dict[str, Identity]
    exit: AsyncExitStack
    followers: list[Follower] = field(default_factory=list)

    @property
    def genesis(self) -> Genesis:
        """The network's."""
        return self.config.genesis

    @property
    def kafka(self) -> KafkaAt:
        """`host:port`."""
        return self.config.kafka

    @property
    def postgres(self) -> str:
        """DSN."""
        return self.config.postgres

    async def enter(self, name: str) -> Care:
        """Somebody's connection, straight to Kafka; closed at the end."""
        care = connect(self.gateway.url, self.people[name], self.kafka, Options(patience_s=_PATIENCE_S))
        return await self.exit.enter_async_context(care)

    async def follow(self, name: str, patients: Sequence[str], *, reads_everything: bool = True) -> Follower:
        """Somebody watches some patients from now on; the store is asked about each update."""
        watch = (await self.enter(name)).watch(patients)
        follower = Follower(name, watch, frozenset(patients), reads_everything, self.store, ask_every=1)
        self.followers.append(follower)
        task = asyncio.create_task(follower.follow())
        self.exit.push_async_callback(_end, task)
        return follower


@asynccontextmanager
async def one_node(directory: Path, kafka: KafkaAt, postgres: str, topic: str) -> AsyncIterator[OneNode]:
    """Found a network, start its node and admit its people.

    Args:
        directory: an empty folder.
        kafka: where Kafka is.
        postgres: DSN of an empty database.
        topic: of the events.
    """
    genesis = found_network(directory, "onenode", 1, topic=topic)
    await provision(kafka, topics_of(genesis, NODE))
    config = WorkerConfig(kafka, postgres, genesis, NODE, load_node_keys(directory / NODE_FILE))
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(Store(postgres, 2))
        await store.create_schema(genesis)
        await store.seed(genesis)
        await stack.enter_async_context(running(config))
        gateway = await stack.enter_async_context(Gateway(GatewayConfig(postgres)))
        people = {AUTHORITY: load_identity(directory / "keys" / f"{AUTHORITY}.key")}
        now_ms = time.time_ns() // 1_000_000
        people |= {name: create_identity(name, genesis.network_id, now_ms) for name in ("hospital", "lee", "lab")}
        leaving = await stack.enter_async_context(AsyncExitStack())
        node = OneNode(config, gateway, store, people, leaving)
        authority = await node.enter(AUTHORITY)
        await authority.admit(people["hospital"], ("registrar", "custodian"), may_give=("clinician",))
        await authority.admit(people["lab"], ("lab",))
        await (await node.enter("hospital")).admit(people["lee"], ("clinician",), organisation=people["hospital"].id)
        yield node


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait({task})
