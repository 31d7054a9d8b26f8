"""The whole of carenet on one machine: Kafka, PostgreSQL, fold workers, stream processors and gateway as children.

Order: the folder's lock; the servers side by side (or those that exist); topics, access rules and schema; then our own
processes side by side, each told by its environment where the others are (`own`). `run.json` says what runs to the
commands that talk to it. Leaving the block stops everything, our processes before the servers; if this process is
killed, the kernel ends the children.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from carenet.bus.security import KafkaAt, bootstrap_of
from carenet.bus.topics import provision, topics_of
from carenet.errors import SetupError
from carenet.local.dirlock import lock_directory
from carenet.local.kafka import EmbeddedKafka
from carenet.local.kafka_accounts import ADMIN, NODE, PARTICIPANT
from carenet.local.kafka_cluster import KafkaCluster, check_count
from carenet.local.own import Gateways, Surroundings, Workers
from carenet.local.packages import Progress
from carenet.local.postgres import EmbeddedPostgres
from carenet.local.probes import Probe, answers
from carenet.local.runfile import RunFile, remove_run_file, write_run_file
from carenet.local.service import CommandService
from carenet.local.supervisor import Event, Status, Supervised, Supervisor
from carenet.statements.genesis import Genesis
from carenet.store.store import Store


@dataclass(frozen=True, slots=True)
class StackPlan:
    """What to run.

    Attributes:
        directory: the state folder.
        genesis: the network, founded before.
        kafka: a Kafka that exists, and how to log in there; or None to run one.
        postgres: DSN of a PostgreSQL that exists, or None to run one.
        brokers: how many Kafka brokers to run: 1, open, or from 3 on as in production (`kafka_cluster`).
        workers: how many fold workers share the partitions; at most one a partition.
        gateways: how many gateways share the port.
        gateway_port: 0 takes the last one if free, else any free one.
        environment: variables for our processes beside the ones that this room sets.
        patience_s: a worker that has not moved for so long while the topic grew is restarted; agents after twice that.
    """

    directory: Path
    genesis: Genesis
    kafka: KafkaAt | None = None
    postgres: str | None = field(default=None, repr=False)
    brokers: int = 1
    workers: int = 1
    gateways: int = 1
    gateway_port: int = 0
    environment: dict[str, str] = field(default_factory=dict)
    patience_s: float = 15.0


class Stack:
    """A running carenet; an async context manager.

    Args:
        plan: what to run.
        on_event: told of every start, death and restart; must not block.
        progress: told of Kafka's jars as they are fetched, on a machine that has none yet.

    Attributes:
        kafka: Kafka's `host:port`, several separated by commas.
        node_kafka: where Kafka is, and how the node logs in there.
        participants_kafka: the same for those who publish straight to it.
        postgres: DSN of the node's database.
        gateway: the gateways' address.
    """

    def __init__(
        self, plan: StackPlan, on_event: Callable[[Event], None] = lambda _: None, progress: Progress | None = None
    ) -> None:
        self.plan = plan
        self.directory = plan.directory.absolute()
        self._on_event = on_event
        self._progress = progress
        self._exit = AsyncExitStack()
        self._supervisors: list[Supervisor] = []
        self._services: dict[str, EmbeddedKafka | EmbeddedPostgres | CommandService] = {}
        self._cluster: KafkaCluster | None = None
        self._is_up = False
        self.kafka = ""
        self.node_kafka: KafkaAt = plan.kafka or ""
        self.participants_kafka: KafkaAt = self.node_kafka
        self.postgres = plan.postgres or ""
        self.gateway = ""
        self.metrics: dict[str, str] = {}  # name → address, of each process of ours

    def __repr__(self) -> str:
        return f"<Stack {self.gateway or 'not running'}: {', '.join(self._services)}>"

    def status(self) -> list[Status]:
        """How each child is now, in the order of starting."""
        return [status for supervisor in self._supervisors for status in supervisor.status()]

    async def kill(self, name: str) -> None:
        """End one child with SIGKILL, for tests of what happens then; the supervisor brings it back."""
        await self._services[name].kill()

    async def __aenter__(self) -> Self:
        """Start everything.

        Raises:
            SetupError: the folder is in use, or something did not come up; what was started is stopped again.
        """
        partitions = self.plan.genesis.partitions
        if self.plan.workers > partitions:
            raise SetupError(f"{partitions} partitions are work for {partitions} fold workers at most")
        try:
            self._exit.enter_context(lock_directory(self.directory))
            await self._start_servers()
            await self._prepare()
            await self._start_processes()
            self._exit.callback(remove_run_file, self.directory)
            self._is_up = True
            self._write_run_file()
        except BaseException:
            await self._exit.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._exit.aclose()

    async def _start_servers(self) -> None:
        brokers = self._make_brokers()
        servers = [Supervised(each, _probe_of(each)) for each in brokers]
        postgres = EmbeddedPostgres(self.directory) if self.plan.postgres is None else None
        if postgres is not None:
            servers.append(Supervised(postgres, lambda: answers(postgres.is_ready)))
        await self._supervise(servers)
        if self._cluster is not None:
            self.node_kafka, self.participants_kafka = self._cluster.login(NODE), self._cluster.login(PARTICIPANT)
        elif brokers:
            self.node_kafka = self.participants_kafka = brokers[0].bootstrap
        self.kafka = bootstrap_of(self.node_kafka)
        self.postgres = postgres.dsn() if postgres else self.postgres

    def _make_brokers(self) -> list[EmbeddedKafka]:
        plan = self.plan
        if plan.kafka is not None:
            return []
        check_count(self.directory, plan.brokers)
        if plan.brokers == 1:
            return [EmbeddedKafka(self.directory, progress=self._progress)]
        self._cluster = KafkaCluster(self.directory, plan.brokers, progress=self._progress)
        return self._cluster.brokers

    async def _prepare(self) -> None:
        topics = topics_of(self.plan.genesis, self._node)
        if self._cluster is None:
            await provision(self.node_kafka, topics)
        else:
            await provision(self._cluster.login(ADMIN), topics)
            await self._cluster.admit(self.plan.genesis, self._node)
        async with Store(self.postgres) as store:
            await store.create_schema(self.plan.genesis)

    async def _start_processes(self) -> None:
        plan = self.plan
        around = Surroundings(
            self.directory, plan.genesis, self._node, self.node_kafka, self.postgres, plan.environment
        )
        gateways = Gateways(around, plan.gateways, plan.gateway_port)
        workers = Workers(around, plan.workers, plan.patience_s)
        self.gateway, self.metrics = gateways.address, workers.metrics | gateways.metrics
        await self._supervise([*workers, *gateways])

    async def _supervise(self, children: Sequence[Supervised]) -> None:
        for child in children:
            service = child.service
            assert isinstance(service, EmbeddedKafka | EmbeddedPostgres | CommandService)
            self._services[service.name] = service
        supervisor = Supervisor(children, self._hear)
        self._supervisors.append(supervisor)
        await self._exit.enter_async_context(supervisor)

    @property
    def _node(self) -> str:
        return self.plan.genesis.nodes[0].name

    def _hear(self, event: Event) -> None:
        self._on_event(event)
        if self._is_up:
            self._write_run_file()

    def _write_run_file(self) -> None:
        pids = {status.service: status.pid for status in self.status() if status.pid is not None}
        has_accounts = self._cluster is not None
        run = RunFile(
            os.getpid(), self.kafka, self.postgres, self.gateway, pids, self.metrics, kafka_accounts=has_accounts
        )
        write_run_file(self.directory, run)


def _probe_of(broker: EmbeddedKafka) -> Callable[[], Probe]:
    return lambda: answers(broker.is_ready)
