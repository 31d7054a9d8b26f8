"""A node for processors to run at: topics, a seeded database, a state folder, and the processors as real processes."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from carenet.bus.topics import provision, topics_of
from carenet.encoding.ids import sha256
from carenet.local.kafka import EmbeddedKafka
from carenet.local.own import STREAMS
from carenet.local.process import ChildProcess, Command
from carenet.node.identity import NodeKeys, save_node_keys
from carenet.statements.genesis import Genesis, NodeKey
from carenet.store.store import Store
from tests.support.world import World


@dataclass(frozen=True)
class Place:
    """Where a node's processes run."""

    directory: Path
    kafka: str
    postgres: str
    genesis: Genesis
    world: World
    store: Store

    def faust(self, role: str) -> ChildProcess:
        """A process of a role; it is not started."""
        env = dict(os.environ) | {
            "CARENET_DIR": str(self.directory),
            "CARENET_KAFKA": self.kafka,
            "CARENET_POSTGRES": self.postgres,
            "CARENET_ROLES": role,
            "CARENET_NODE": "north",
        }
        argv = (sys.executable, *STREAMS)
        root = Path(__file__).resolve().parents[3]
        log = self.directory / f"{role}-{id(object())}.log"
        return ChildProcess(Command(argv, log, env=env, cwd=root, grace_s=10))


@pytest.fixture
async def place(kafka: EmbeddedKafka, database: str, topic_name: str, tmp_path: Path) -> AsyncIterator[Place]:
    """A node of a network of three partitions, with one signing node."""
    world = World(partitions=3, nodes=1, quorum=1)
    keys = NodeKeys(sha256(b"node-0"), sha256(b"node-0/ml-dsa"))
    node = NodeKey("north", keys.sign_public, keys.mldsa_public)
    world.genesis = replace(world.genesis, topic=f"{topic_name}.events", nodes=(node,))
    world.network = world.genesis.network_id
    world.clock_ms = int(time.time() * 1000)
    save_node_keys(keys, tmp_path / "node.key")
    (tmp_path / "network.cbor").write_bytes(world.genesis.encode())
    await provision(kafka.bootstrap, topics_of(world.genesis, "north"))
    async with Store(database) as store:
        await store.create_schema(world.genesis)
        await store.seed(world.genesis)
        yield Place(tmp_path, kafka.bootstrap, database, world.genesis, world, store)


@pytest.fixture
async def run(place: Place) -> AsyncIterator[Callable[[str], ChildProcess]]:
    """Starts processors, and ends them after the test."""
    children: list[ChildProcess] = []

    def make(role: str) -> ChildProcess:
        children.append(place.faust(role))
        return children[-1]

    yield make
    for child in children:
        if child.exit_code is None and child.is_running:
            await child.kill()
        print(child, child.log_tail(), sep="\n")  # noqa: T201 - pytest shows it with a failure
