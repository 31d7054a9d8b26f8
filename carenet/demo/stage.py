"""Everything that a demo's scenes work on: the running servers, the cast with its connections, and the patients."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

from carenet.bus.security import KafkaAt
from carenet.client.care import Care, connect
from carenet.client.outcomes import Outcome
from carenet.demo.cast import CAST, EMERGENCY, HOSPITAL, TEAM, Nicknames, missing_roles
from carenet.demo.screens import Screens
from carenet.demo.watchers import Stopwatch
from carenet.encoding.ids import decode_id, encode_id
from carenet.local.founding import AUTHORITY
from carenet.rules.rows import SubjectRow
from carenet.sealing.identity import Identity
from carenet.statements.genesis import Genesis
from carenet.statements.records import partition_of
from carenet.store.store import Store

_REGISTERING = 8  # patients that are registered side by side
_RELAYED_S = 10.0  # for an admission to reach every partition
_POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class Servers:
    """Where the stack is.

    Attributes:
        gateway: WebSocket URL.
        kafka: where Kafka is, and how to log in.
        store: the node's database, for counting.
    """

    gateway: str
    kafka: KafkaAt
    store: Store


@dataclass(slots=True)
class Stage:
    """A demo's world.

    Attributes:
        genesis: the network's.
        servers: where the stack is.
        identities: the cast's keys, by name.
        screens: where people see what happens.
        nicknames: what the folder calls its patients.
        stopwatch: when each event was published.
        care: the cast's connections, by name.
        patients: subject ids by nickname.
        surprises: what should not have happened, in words.
    """

    genesis: Genesis
    servers: Servers
    identities: dict[str, Identity]
    screens: Screens
    nicknames: Nicknames
    stopwatch: Stopwatch = field(default_factory=Stopwatch)
    care: dict[str, Care] = field(default_factory=dict)
    patients: dict[str, bytes] = field(default_factory=dict)
    surprises: list[str] = field(default_factory=list)
    _registering: dict[str, asyncio.Lock] = field(default_factory=dict, repr=False)

    def __repr__(self) -> str:
        return f"<Stage: {len(self.care)} of the cast connected, {len(self.patients)} patients>"

    async def admit_cast(self) -> list[str]:
        """Admit whoever the network does not know yet.

        Returns:
            Names of those who were admitted now.

        Raises:
            RefusedError: the network's rules said no, as they do to a key that was suspended.
            TransportError: undecided within the SDK's patience.
        """
        admitted = [row.id for row in await self.servers.store.participants()]
        missing = missing_roles(self.identities, admitted)
        for admitter in (AUTHORITY, HOSPITAL):
            roles = [role for role in missing if role.admitted_by == admitter]
            if not roles:
                continue
            async with connect(self.servers.gateway, self.identities[admitter], self.servers.kafka) as care:
                for role in roles:
                    house = self.identities[admitter].id if role.is_member else None
                    applicant = self.identities[role.name]
                    await care.admit(applicant, role.roles, organisation=house, may_give=role.may_give)
                    self.screens.board.count_accepted()
        await self._await_relays()
        return [role.name for role in missing]

    async def _await_relays(self) -> None:
        """Wait until every partition knows the cast: what came earlier would be refused and sent again."""
        cast = {self.identities[role.name].id for role in CAST}
        with contextlib.suppress(TimeoutError):  # the SDK mends what comes too early
            async with asyncio.timeout(_RELAYED_S):
                for partition in range(self.genesis.partitions):
                    while not cast <= {row.id for row in await self.servers.store.participants(partition)}:  # noqa: ASYNC110
                        await asyncio.sleep(_POLL_S)

    async def connect_cast(self, exits: AsyncExitStack, by_gateway: Sequence[str] = ()) -> None:
        """Connect everyone to the gateway; what an earlier run left in their spools is delivered.

        Args:
            exits: closes the connections.
            by_gateway: names of those who publish through the gateway rather than straight to Kafka.
        """
        for role in CAST:
            kafka = None if role.name in by_gateway else self.servers.kafka
            care = connect(self.servers.gateway, self.identities[role.name], kafka)
            self.care[role.name] = await exits.enter_async_context(care)

    async def register(self, names: Iterable[str], on_their_way: Iterable[str] = ()) -> int:
        """Register patients and give the team, and for some the emergency room, access; what exists is left.

        Args:
            names: the patients' nicknames.
            on_their_way: those of them whom the emergency room may read at once.

        Returns:
            How many patients are new.

        Raises:
            RefusedError: the network's rules said no.
        """
        expected = set(on_their_way)
        slots = asyncio.Semaphore(_REGISTERING)

        async def register(name: str) -> bool:
            async with slots:
                return await self.register_one(name, is_expected=name in expected)

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(register(name)) for name in names]
        return sum(task.result() for task in tasks)

    async def register_one(self, name: str, *, is_expected: bool) -> bool:
        """Register one patient, as `register` does; whether it is new."""
        async with self._registering.setdefault(name, asyncio.Lock()):
            subject = self.nicknames.read().get(name)
            is_new = subject is None or await self._find_subject(subject) is None
            if subject is None or is_new:
                subject = decode_id(await self.care[HOSPITAL].register_patient())
                self.screens.board.count_accepted()
                self.nicknames.remember(name, subject)
            self.patients[name] = subject
            await self._give_access(subject, is_expected=is_expected)
            return is_new

    async def let_emergency_read(self, patient: str) -> bool:
        """Give the emergency room access to a patient, history included; False if it has it already."""
        if self.identities[EMERGENCY].id in await self._readers(self.patients[patient]):
            return False
        await self._grant(self.patients[patient], EMERGENCY, "read")
        return True

    async def end_emergency_access(self, patient: str) -> None:
        """Withdraw the emergency room's access to a patient: the next epochs begin with the same entry."""
        await self.care[HOSPITAL].withdraw(self.patients[patient], self.identities[EMERGENCY].id)
        self.screens.board.count_accepted()

    async def publish(self, author: str, patient: str, body: dict[str, Any] | bytes, cti: bytes) -> Outcome:
        """Publish one event and count what becomes of it; a refusal is a surprise here.

        Args:
            author: one of the cast.
            patient: nickname.
            body: the FHIR resource.
            cti: 16 bytes that name the event for its author.
        """
        subject, board = self.patients[patient], self.screens.board
        board.published += 1
        self.stopwatch.start(subject, cti)
        outcome = await self.care[author].publish(subject, body, cti=cti)
        if outcome.accepted:
            board.accepted += 1
        else:
            board.count_refusal(outcome.reason)
            self.surprises.append(f"{author} was refused: {outcome.reason} {outcome.detail}".strip())
        board.done += 1
        return outcome

    async def _give_access(self, subject: bytes, *, is_expected: bool) -> None:
        readers = await self._readers(subject)
        for name in TEAM:
            if self.identities[name].id not in readers:
                await self._grant(subject, name, "read", "write")
        if is_expected and self.identities[EMERGENCY].id not in readers:
            await self._grant(subject, EMERGENCY, "read")

    async def _grant(self, subject: bytes, grantee: str, *actions: str) -> None:
        await self.care[HOSPITAL].grant(subject, self.identities[grantee].id, actions)
        self.screens.board.count_accepted()

    async def _readers(self, subject: bytes) -> set[bytes]:
        """Grantees of grants that nothing has ended."""
        grants = await self.servers.store.grants_of(self.partition_of(subject), subject)
        return {grant.row.grantee for grant in grants if grant.row.to_seq is None}

    async def _find_subject(self, subject: bytes) -> SubjectRow | None:
        return await self.servers.store.find_subject(self.partition_of(subject), subject)

    def partition_of(self, subject: bytes) -> int:
        """The partition whose log holds a patient."""
        return partition_of(encode_id(subject), encode_id(self.genesis.network_id), self.genesis.partitions)
