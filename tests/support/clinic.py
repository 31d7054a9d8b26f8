"""A whole stack of child processes and the people who work with it, for tests that kill parts of it.

`Clinic` is a running network: a hospital (registrar and custodian), two clinicians of its own, a laboratory and an
emergency room, each with a key file in the stack's folder. `Follower` watches and counts what it is pushed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from carenet.bus.security import KafkaAt
from carenet.client.care import Care, connect
from carenet.client.parts import Options
from carenet.client.updates import Update
from carenet.client.watch import Watch
from carenet.demo.expected import Place
from carenet.encoding.ids import encode_id
from carenet.errors import TransportError
from carenet.local.founding import AUTHORITY, found_network, read_genesis
from carenet.local.stack import Stack, StackPlan
from carenet.local.supervisor import Event, EventKind
from carenet.sealing.identity import Identity, create_identity
from carenet.sealing.keyfile import load_identity, save_identity
from carenet.statements.genesis import Genesis
from carenet.store.store import Store
from tests.support.waiting import STRETCH

PATIENCE_S = 60.0 * STRETCH
PARTITIONS = 3


@dataclass
class Clinic:
    """A running network.

    Attributes:
        stack: its processes.
        said: all that the supervisor said.
        people: their keys by name.
        exit: closes connections before the stack stops.
    """

    stack: Stack
    said: list[Event]
    people: dict[str, Identity]
    exit: AsyncExitStack

    @property
    def directory(self) -> Path:
        """The stack's folder."""
        return self.stack.directory

    @property
    def genesis(self) -> Genesis:
        """The network's."""
        return self.stack.plan.genesis

    @property
    def kafka(self) -> KafkaAt:
        """Where Kafka is, for whoever reads the topics."""
        return self.stack.node_kafka

    @property
    def postgres(self) -> str:
        """DSN of the node's database."""
        return self.stack.postgres

    async def enter(self, name: str, *, is_direct: bool = False) -> Care:
        """A connection of somebody's, through the gateway or with statements straight to Kafka; closed at the end."""
        kafka = self.stack.participants_kafka if is_direct else None
        care = connect(self.stack.gateway, self.people[name], kafka, Options(patience_s=PATIENCE_S))
        return await self.exit.enter_async_context(care)

    def heard(self, service: str, since: int = 0) -> list[EventKind]:
        """What the supervisor said of a service, from a place in `said` on."""
        return [event.kind for event in self.said[since:] if event.service == service]


@asynccontextmanager
async def clinic(directory: Path, **plan: Any) -> AsyncIterator[Clinic]:
    """Bring up a network with its people admitted.

    Args:
        directory: its folder.
        plan: fields of `StackPlan`.
    """
    genesis = found_network(directory, "clinic", PARTITIONS)
    assert genesis == read_genesis(directory)
    said: list[Event] = []
    async with Stack(StackPlan(directory, genesis, **plan), said.append) as stack, AsyncExitStack() as leaving:
        people = {AUTHORITY: load_identity(directory / "keys" / f"{AUTHORITY}.key")}
        people |= {name: _create(directory, name, genesis) for name in ("hospital", "lee", "okafor", "lab", "er")}
        made = Clinic(stack, said, people, leaving)
        authority = await made.enter(AUTHORITY)
        await authority.admit(people["hospital"], ("registrar", "custodian"), may_give=("clinician",))
        await authority.admit(people["lab"], ("lab",))
        await authority.admit(people["er"], ("emergency",))
        hospital = await made.enter("hospital")
        for name in ("lee", "okafor"):
            await hospital.admit(people[name], ("clinician",), organisation=people["hospital"].id)
        yield made


def _create(directory: Path, name: str, genesis: Genesis) -> Identity:
    path = directory / "keys" / f"{name}.key"
    save_identity(create_identity(name, genesis.network_id, time.time_ns() // 1_000_000), path)
    return load_identity(path)


@dataclass
class Follower:
    """Watches from the beginning what somebody may read of some patients, and counts.

    Attributes:
        name: whose watch it is.
        watch: the subscription.
        patients: ids of those whom it watches; None for all.
        reads_everything: whether it may read all entries of them: then it is owed chains without a gap.
        store: the node's, which is asked now and then whether what was just pushed is committed; None asks nothing.
        ask_every: of how many updates one is asked about.
        places: the entries that were pushed, in order of arrival.
        chains: by patient, the sequence numbers that were pushed, in order of arrival.
        unopened: care data that did not open.
        uncommitted: entries that were pushed when the store did not have them yet.
    """

    name: str
    watch: Watch
    patients: frozenset[str] | None = None
    reads_everything: bool = False
    store: Store | None = None
    ask_every: int = 50
    places: list[Place] = field(default_factory=list)
    chains: dict[str, list[int]] = field(default_factory=dict)
    unopened: int = 0
    uncommitted: int = 0

    def watches(self, subject: bytes) -> bool:
        """Whether this is one of its patients."""
        return self.patients is None or encode_id(subject) in self.patients

    async def follow(self) -> None:
        """Take what is pushed until cancelled."""
        async for event in self.watch.events():
            if isinstance(event, Update):
                self.places.append((event.partition, event.index))
                self.chains.setdefault(event.patient, []).append(event.seq)
                self.unopened += not event.statement.is_control and event.content is None
                if self.store is not None and len(self.places) % self.ask_every == 0:
                    self.uncommitted += not await self._is_committed(self.store, event)

    @staticmethod
    async def _is_committed(store: Store, event: Update) -> bool:
        try:
            return (await store.heads())[event.partition].size > event.index
        except TransportError:
            return True  # it was killed: there is nobody to ask

    async def has(self, expected: set[Place], timeout_s: float) -> None:
        """Return when all of these were pushed.

        Raises:
            TimeoutError: some were not; says how many.
        """
        try:
            async with asyncio.timeout(timeout_s * STRETCH):
                while not expected <= set(self.places):  # noqa: ASYNC110 - the watch sends no event
                    await asyncio.sleep(0.1)
        except TimeoutError as exc:
            lost = sorted(expected - set(self.places))
            raise TimeoutError(f"{self.name} was not pushed {len(lost)} entries, the first {lost[:3]}") from exc
