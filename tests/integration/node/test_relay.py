from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import pytest
import pytest_asyncio

from carenet.bus.looking import fetch_end_offsets
from carenet.bus.publishing import Publisher
from carenet.bus.reading import BatchReader
from carenet.bus.topics import provision, topics_of
from carenet.errors import TransportError
from carenet.ledger.checkpoint import Checkpoint, origin_of
from carenet.ledger.notes import sign_note
from carenet.local.kafka import EmbeddedKafka
from carenet.node.relay import IDLE_S, RESEND_S, Relay, run_relay
from carenet.rules.prepare import RawRecord
from carenet.statements.records import RecordValue
from carenet.store.store import Store
from carenet.store.stored import StoredCheckpoint
from tests.support.actors import NOW_S, actor
from tests.support.folding import fold_into
from tests.support.world import World

PARTITIONS = 3


@dataclass(frozen=True)
class Setting:
    """A network whose partition 0 is folded by hand, and a relay that is asked by hand."""

    world: World
    store: Store
    kafka: str
    relay: Relay

    async def admit(self, *names: str) -> None:
        """Have partition 0 accept admissions."""
        state = await self.store.load_state(0)
        messages = [self.world.admit(self.world.authority, actor(name), ("lab",)) for name in names]
        records = [
            RawRecord(state.next_offset + at, each.key, each.value, NOW_S * 1000, True)
            for at, each in enumerate(messages)
        ]
        await fold_into(self.store, self.world.genesis, records, 10)

    async def sign(self) -> None:
        """Sign partition 0 as it is."""
        tree = (await self.store.load_state(0)).tree
        origin = origin_of(self.world.network, 0)
        note = sign_note(Checkpoint(origin, tree.size, tree.root()).text(), origin, self.world.nodes[0].key)
        await self.store.save_checkpoint(StoredCheckpoint(0, tree.size, note, b"receipt"))

    async def sent(self) -> list[int]:
        """How many records each partition's log holds."""
        return list((await fetch_end_offsets(self.kafka, self.world.genesis.topic)).values())

    async def apply(self) -> None:
        """Fold what was sent to the other partitions."""
        ends = await fetch_end_offsets(self.kafka, self.world.genesis.topic)

        async def locate(partitions: frozenset[int]) -> dict[int, int]:
            offsets = await self.store.next_offsets()
            return {each: offsets[each] for each in partitions if each}

        topic = self.world.genesis.topic
        async with BatchReader(self.kafka, topic, topic, locate) as reader, asyncio.timeout(20):
            while await self._is_behind(ends):
                for batch in await reader.read(0.1):
                    await fold_into(self.store, self.world.genesis, batch.records, 10, batch.partition)

    async def _is_behind(self, ends: dict[int, int]) -> bool:
        offsets = await self.store.next_offsets()
        return any(offsets[each] < ends[each] for each in range(1, PARTITIONS))

    async def known(self) -> list[list[str]]:
        """The labs that each partition knows."""
        found = [await self.store.participants(each) for each in range(PARTITIONS)]
        return [sorted(row.name for row in rows if row.roles == ("lab",)) for rows in found]


@pytest_asyncio.fixture(loop_scope="session")
async def setting(kafka: EmbeddedKafka, database: str, topic_name: str) -> AsyncIterator[Setting]:
    world = World(partitions=PARTITIONS, nodes=1, quorum=1)
    world.genesis = replace(world.genesis, topic=f"{topic_name}.events")
    world.network = world.genesis.network_id
    await provision(kafka.bootstrap, topics_of(world.genesis, "north"))
    async with Store(database) as store, Publisher(kafka.bootstrap, world.genesis) as publisher:
        await store.create_schema(world.genesis)
        await store.seed(world.genesis)
        yield Setting(world, store, kafka.bootstrap, Relay(store, publisher, world.genesis))


async def test_a_statement_waits_until_a_checkpoint_covers_it(setting: Setting) -> None:
    assert await setting.relay.reconcile() == IDLE_S
    await setting.admit("a", "b")
    assert await setting.relay.reconcile() < 0.1
    assert await setting.sent() == [0, 0, 0]
    await setting.sign()
    await setting.admit("c")
    assert await setting.relay.reconcile() < 0.1, "c has no proof yet"
    assert await setting.sent() == [0, 2, 2]
    await setting.sign()
    assert await setting.relay.reconcile() < IDLE_S
    assert await setting.sent() == [0, 3, 3]


async def test_relays_are_accepted_in_order_and_then_nothing_is_sent(setting: Setting) -> None:
    await setting.admit("a", "b", "c")
    await setting.sign()
    await setting.relay.reconcile()
    await setting.apply()
    assert await setting.known() == [["a", "b", "c"]] * PARTITIONS
    assert await setting.store.rejections(10) == []
    await asyncio.sleep(RESEND_S)
    assert await setting.relay.reconcile() == IDLE_S
    assert await setting.sent() == [0, 3, 3]
    heads = [await setting.store.find_subject(each, setting.world.network) for each in range(PARTITIONS)]
    assert len(set(map(repr, heads))) == 1, "one chain in every log"


async def test_what_was_not_applied_is_sent_again_after_a_second_and_not_before(setting: Setting) -> None:
    await setting.admit("a")
    await setting.sign()
    for _ in range(5):
        await setting.relay.reconcile()
    assert await setting.sent() == [0, 1, 1]
    await asyncio.sleep(RESEND_S)
    for _ in range(5):
        await setting.relay.reconcile()
    assert await setting.sent() == [0, 2, 2]
    await setting.apply()
    assert await setting.known() == [["a"]] * PARTITIONS
    assert {each.reason for each in await setting.store.rejections(10)} == {"duplicate"}


async def test_a_new_relay_sends_only_what_the_store_lacks(setting: Setting) -> None:
    await setting.admit("a", "b")
    await setting.sign()
    await setting.relay.reconcile()
    await setting.apply()
    await setting.admit("c")
    await setting.sign()
    async with Publisher(setting.kafka, setting.world.genesis) as publisher:
        await Relay(setting.store, publisher, setting.world.genesis).reconcile()
    assert await setting.sent() == [0, 3, 3]


async def test_a_partition_that_kafka_refuses_does_not_keep_the_others_waiting(setting: Setting) -> None:
    class OneWay(Publisher):
        async def relay(self, partition: int, value: RecordValue) -> object:  # type: ignore[override]
            if partition == 1:
                raise TransportError("partition 1 has no leader")
            return await super().relay(partition, value)

    await setting.admit("a")
    await setting.sign()
    async with OneWay(setting.kafka, setting.world.genesis) as publisher:
        relay = Relay(setting.store, publisher, setting.world.genesis)
        with pytest.raises(TransportError, match="no leader"):
            await relay.reconcile()
    assert await setting.sent() == [0, 0, 1]


async def test_the_running_relay_is_woken_and_rests_when_another_process_is_at_it(setting: Setting) -> None:
    woken, is_mine = asyncio.Event(), True
    running = asyncio.create_task(
        run_relay(setting.store.dsn, setting.kafka, setting.world.genesis, woken, lambda: is_mine)
    )
    try:
        await asyncio.sleep(0.3)
        await setting.admit("a")
        await setting.sign()
        woken.set()
        await asyncio.sleep(0.3)
        assert await setting.sent() == [0, 1, 1]
        await setting.apply()
        is_mine = False
        await asyncio.sleep(IDLE_S)
        await setting.admit("b")
        await setting.sign()
        woken.set()
        await asyncio.sleep(0.3)
        assert await setting.sent() == [0, 1, 1]
    finally:
        running.cancel()
        await asyncio.wait([running])
    assert running.cancelled()
