from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import pytest_asyncio

from carenet.bus.publishing import Producer, Publisher
from carenet.bus.topics import provision, topics_of
from carenet.local.kafka import EmbeddedKafka
from carenet.node.config import WorkerConfig
from carenet.node.identity import NodeKeys
from carenet.statements.genesis import Genesis, NodeKey
from carenet.store.store import Store
from tests.support.chronicle import Chronicle, genesis_of

NODE_KEYS = NodeKeys(b"\1" * 32, b"\2" * 32)


@pytest.fixture
def genesis(topic_name: str) -> Genesis:
    """A network of three partitions on a topic of this test's own."""
    genesis = genesis_of(f"{topic_name}.events", 3)
    return replace(genesis, nodes=(NodeKey("node", NODE_KEYS.sign_public, NODE_KEYS.mldsa_public),))


@pytest.fixture
def chronicle(genesis: Genesis) -> Chronicle:
    """Its story, told now: real brokers set the time."""
    return Chronicle(genesis, iat_s=int(time.time()))


@pytest_asyncio.fixture(loop_scope="session")
async def config(kafka: EmbeddedKafka, database: str, genesis: Genesis) -> WorkerConfig:
    """A worker's, with its topics made."""
    await provision(kafka.bootstrap, topics_of(genesis, "node"))
    return WorkerConfig(kafka.bootstrap, database, genesis, "node", NODE_KEYS)


@pytest_asyncio.fixture(loop_scope="session")
async def store(config: WorkerConfig) -> AsyncIterator[Store]:
    """The node's store, seeded."""
    async with Store(config.postgres) as opened:
        await opened.create_schema(config.genesis)
        await opened.seed(config.genesis)
        yield opened


@pytest_asyncio.fixture(loop_scope="session")
async def publisher(config: WorkerConfig) -> AsyncIterator[Publisher]:
    """Publishes the story."""
    async with Publisher(config.kafka, config.genesis) as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="session")
async def producer(config: WorkerConfig) -> AsyncIterator[Producer]:
    """Sends anything to Kafka."""
    async with Producer(config.kafka) as opened:
        yield opened
