"""A node at work on a real topic, to which a test sends any record, right or wrong, and asks what became of it.

In partition 1 there is a patient: the laboratory writes by standing choice, the clinician by a grant, the nurse (of the
same hospital) not at all. The clinical compartment is at its second epoch. The pharmacy was suspended, the laboratory
rotated its key. In partition 0 two more participants were admitted whose relays nobody has sent: relays are the tests'.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from aiokafka import AIOKafkaProducer

from carenet.bus.publishing import Publisher
from carenet.bus.topics import MAX_MESSAGE_BYTES, provision, topics_of
from carenet.encoding.ids import sha256
from carenet.gateway.server import Gateway, GatewayConfig
from carenet.node.config import WorkerConfig
from carenet.node.identity import NodeKeys
from carenet.statements.genesis import NodeKey
from carenet.statements.records import RecordValue, RelayProof
from carenet.statements.statement import parse_statement
from carenet.store.proofs import fetch_inclusion
from carenet.store.store import Store
from carenet.store.stored import StoredEntry, StoredRejection
from tests.support.actors import Actor, actor
from tests.support.gatewayclient import Client
from tests.support.refolding import dump_replicated, fresh_database
from tests.support.waiting import until_answered
from tests.support.working import found, running
from tests.support.world import COMPARTMENTS, Message, Patient, World, epoch_ids

PARTITION = 1  # of the patient
KEYS = NodeKeys(sha256(b"node-0"), sha256(b"node-0's second line"))


@dataclass
class Scene:
    """See the module header.

    Attributes:
        world: the actors and builders; its clock is now.
        store: the node's.
        gateway: the node's.
        producer: sends anything.
        old_lab: the laboratory with the key that it rotated away.
        unrelayed: the admissions that only partition 0 has.
        clients: who has signed in.
    """

    world: World
    store: Store
    gateway: Gateway
    producer: AIOKafkaProducer
    stack: AsyncExitStack
    old_lab: Actor
    unrelayed: list[Message] = field(default_factory=list)
    clients: dict[str, Client] = field(default_factory=dict)

    @property
    def patient(self) -> Patient:
        """The patient."""
        return self.world.patient(PARTITION)

    @property
    def epochs(self) -> tuple[bytes, bytes]:
        """The clinical compartment's epochs, the current one last."""
        first, second = epoch_ids(self.patient.epoch("clinical", number) for number in (0, 1))
        return first, second

    def care(self, by: Actor | None = None, **changes: Any) -> Message:
        """An event that is in order, with some of it changed; by the clinician."""
        self.world.clock_ms = time.time_ns() // 1_000_000
        sealed_to = changes.pop("epoch", self.epochs[-1])
        return self.world.care(by or self.world.clinician, self.patient, sealed_to, **changes)

    async def send(self, partition: int, key: bytes | None, value: bytes | None) -> int:
        """Send a record, wait until it is decided; its offset."""
        sent = await self.producer.send_and_wait(self.world.genesis.topic, value, key, partition)

        async def is_decided() -> bool:
            return bool((await self.store.next_offsets())[partition] > sent.offset)

        await until_answered(is_decided, 15)
        return int(sent.offset)

    async def publish(self, message: Message) -> StoredEntry | StoredRejection:
        """Send a message where it belongs; what became of it."""
        partition = self.world.partition(message.statement.header.subject)
        offset = await self.send(partition, message.key, message.value)
        outcome = await self.store.outcome_at(partition, offset)
        assert outcome is not None
        return outcome

    async def accept(self, message: Message) -> StoredEntry:
        """Publish what must be accepted."""
        outcome = await self.publish(message)
        assert isinstance(outcome, StoredEntry), f"{outcome.reason}: {outcome.detail}"
        return outcome

    async def dump(self) -> dict[str, list[tuple[Any, ...]]]:
        """All that a refused record must leave as it is."""
        rows = await dump_replicated(self.store)
        del rows["rejections"]
        return rows | {"heads": [(partition, *rest) for partition, _, *rest in rows["heads"]]}

    async def ask(self, who: Actor, **fields: Any) -> dict[str, Any]:
        """What the gateway answers somebody to `outcomes`."""
        if who.name not in self.clients:
            self.clients[who.name] = client = await Client.enter(self.gateway.url, who)
            self.stack.push_async_callback(client.socket.close)
        answer = await self.clients[who.name].ask("outcomes", **fields)
        assert answer["type"] == "reply", answer
        return dict(answer["outcome"])

    async def relay(self, message: Message) -> Message:
        """The relay of what partition 0 has accepted, as a node would send it."""
        entry = await self.store.find_by_digest(message.statement.digest)
        assert entry is not None
        return await self.relay_of(entry)

    async def relay_of(self, entry: StoredEntry) -> Message:
        """The relay of an entry of partition 0."""
        assert entry.partition == 0

        async def is_covered() -> bool:
            return await self.store.checkpoint_covering(0, entry.index) is not None

        await until_answered(is_covered, 10)
        checkpoint = await self.store.checkpoint_covering(0, entry.index)
        assert checkpoint is not None
        path = await fetch_inclusion(self.store, 0, entry.index, checkpoint.size)
        proof = RelayProof(entry.entry, entry.index, tuple(path), checkpoint.note)
        return Message(parse_statement(entry.statement), entry.body, proof)


@asynccontextmanager
async def scene(kafka: str, postgres: str, unique_name: Callable[[str], str]) -> AsyncIterator[Scene]:
    """Set the scene.

    Args:
        kafka: `host:port`.
        postgres: DSN of any database of the server.
        unique_name: makes names.
    """
    world = World(partitions=3, nodes=1, quorum=1)
    nodes = (NodeKey("node", KEYS.sign_public, KEYS.mldsa_public),)
    world.genesis = replace(world.genesis, topic=f"{unique_name('scene')}.events", nodes=nodes)
    world.network = world.genesis.network_id
    world.clock_ms = time.time_ns() // 1_000_000
    async with AsyncExitStack() as stack:
        dsn = await stack.enter_async_context(fresh_database(postgres, unique_name("scene")))
        await provision(kafka, topics_of(world.genesis, "node"))
        store = await stack.enter_async_context(Store(dsn))
        await store.create_schema(world.genesis)
        await store.seed(world.genesis)
        await stack.enter_async_context(running(WorkerConfig(kafka, dsn, world.genesis, "node", KEYS)))
        gateway = await stack.enter_async_context(Gateway(GatewayConfig(dsn)))
        producer = AIOKafkaProducer(bootstrap_servers=kafka, acks="all", max_request_size=MAX_MESSAGE_BYTES)
        await producer.start()
        stack.push_async_callback(producer.stop)
        old_lab = world.lab
        made = Scene(world, store, gateway, producer, stack, old_lab)
        async with Publisher(kafka, world.genesis) as publisher:
            founding = [RecordValue(each.statement.encoded, each.body) for each in _founding(world)]
            await found(publisher, store, world.genesis, founding)
        await _open(made)
        yield made


def _founding(world: World) -> list[Message]:
    """Everyone is admitted; then the pharmacy is suspended and the laboratory takes another key."""
    new_lab = world.lab.with_key("laboratory's second key")
    messages = [
        world.admit(world.authority, world.hospital, ["registrar", "custodian"], may_give=["clinician"]),
        world.admit(world.hospital, world.clinician, ["clinician"], world.hospital),
        world.admit(world.hospital, world.nurse, ["clinician"], world.hospital),
        world.admit(world.authority, world.lab, ["lab"]),
        world.admit(world.authority, world.pharmacy, ["pharmacy"]),
        world.admit(world.authority, world.emergency, ["emergency"]),
        world.suspend(world.authority, world.pharmacy),
        world.rotate(world.lab, world.lab, new_lab),
    ]
    world.lab = new_lab
    return messages


async def _open(made: Scene) -> None:
    world, patient = made.world, made.patient
    await made.accept(world.open(world.hospital, patient, [world.hospital], write=["lab", "pharmacy"]))
    brings = epoch_ids(patient.epoch(each, 0) for each in COMPARTMENTS)
    given = world.give(
        world.hospital,
        patient,
        world.clinician,
        compartments=COMPARTMENTS,
        actions=("read", "write"),
        to=[world.clinician.id],
        brings=brings,
    )
    await made.accept(given)
    epochs = {"clinical": patient.epoch("clinical", 1)}
    to = [world.hospital.id, world.clinician.id]
    await made.accept(world.begin(world.hospital, patient, epochs, to=to, brings=epoch_ids(epochs.values())))
    for name in ("newcomer", "latecomer"):
        admission = world.admit(world.authority, actor(name), ["lab"])
        await made.accept(admission)
        made.unrelayed.append(admission)
