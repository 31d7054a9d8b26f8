"""The whole of carenet on one machine: Kafka, PostgreSQL, fold workers, stream processors and gateway as children.

Order: the folder's lock; the two servers (or those that exist); topics and schema; then our own processes, each told
by its environment where the others are. `run.json` says what runs to the commands that talk to it. Leaving the block
stops everything, our processes before the servers; if this process is killed, the kernel ends the children.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from carenet.bus.looking import fetch_committed, fetch_end_offsets
from carenet.bus.topics import app_id_of, provision, topics_of
from carenet.local.dirlock import lock_directory
from carenet.local.kafka import EmbeddedKafka
from carenet.local.packages import Progress
from carenet.local.ports import choose_ports
from carenet.local.postgres import EmbeddedPostgres
from carenet.local.probes import Standstill, answers, http_ok
from carenet.local.process import Command
from carenet.local.runfile import RunFile, remove_run_file, write_run_file
from carenet.local.service import CommandService
from carenet.local.supervisor import Event, Status, Supervised, Supervisor
from carenet.statements.genesis import Genesis
from carenet.store.store import Store

_HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class StackPlan:
    """What to run.

    Attributes:
        directory: the state folder.
        genesis: the network, founded before.
        kafka: `host:port` of a Kafka that exists, or None to run one.
        postgres: DSN of a PostgreSQL that exists, or None to run one.
        workers: how many fold workers share the partitions.
        gateway_port: 0 takes the last one if free, else any free one.
        environment: variables for our processes beside the ones that this room sets.
        patience_s: a worker that has not moved for so long while the topic grew is restarted; agents after twice that.
    """

    directory: Path
    genesis: Genesis
    kafka: str | None = None
    postgres: str | None = field(default=None, repr=False)
    workers: int = 1
    gateway_port: int = 0
    environment: dict[str, str] = field(default_factory=dict)
    patience_s: float = 15.0


class Stack:
    """A running carenet; an async context manager.

    Args:
        plan: what to run.
        on_event: told of every start, death and restart; must not block.
        progress: told of Kafka's jars as they are fetched, on a machine that has none yet.
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
        self.kafka = plan.kafka or ""
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
        try:
            self._exit.enter_context(lock_directory(self.directory))
            await self._start_servers()
            await self._prepare()
            await self._start_processes()
            self._exit.callback(remove_run_file, self.directory)
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
        servers = []
        kafka = postgres = None
        if self.plan.kafka is None:
            kafka = EmbeddedKafka(self.directory, progress=self._progress)
            servers.append(Supervised(kafka, lambda: answers(kafka.is_ready)))
        if self.plan.postgres is None:
            postgres = EmbeddedPostgres(self.directory)
            servers.append(Supervised(postgres, lambda: answers(postgres.is_ready)))
        await self._supervise(servers)
        self.kafka = kafka.bootstrap if kafka else self.kafka
        self.postgres = postgres.dsn() if postgres else self.postgres

    async def _prepare(self) -> None:
        await provision(self.kafka, topics_of(self.plan.genesis, self._node))
        async with Store(self.postgres) as store:
            await store.create_schema(self.plan.genesis)

    async def _start_processes(self) -> None:
        port = choose_ports(self.directory / "gateway.port", {"gateway": self.plan.gateway_port})["gateway"]
        self.gateway = f"ws://{_HOST}:{port}"
        names = ["worker" if number == 0 else f"worker-{number + 1}" for number in range(self.plan.workers)]
        ports = choose_ports(self.directory / "metrics.ports", dict.fromkeys([*names, "agents"], 0))
        self.metrics = {
            name: f"http://{_HOST}:{number}/metrics" for name, number in (ports | {"gateway": port}).items()
        }
        children = [Supervised(self._faust(name, "timeline", ports[name]), self._standstill) for name in names]
        children.append(Supervised(self._faust("agents", "agents", ports["agents"]), self._agents_standstill))
        gateway = self._command("gateway", ("-m", "carenet.gateway"), {"CARENET_GATEWAY_PORT": str(port)})
        health = http_ok(_HOST, port, "/health")

        async def is_up() -> bool:
            return await health() is None

        gateway_service = CommandService("gateway", gateway, is_up)
        children.append(Supervised(gateway_service, lambda: http_ok(_HOST, port, "/health")))
        await self._supervise(children)

    async def _supervise(self, children: Sequence[Supervised]) -> None:
        for child in children:
            service = child.service
            assert isinstance(service, EmbeddedKafka | EmbeddedPostgres | CommandService)
            self._services[service.name] = service
        supervisor = Supervisor(children, self._hear)
        self._supervisors.append(await self._exit.enter_async_context(supervisor))

    @property
    def _node(self) -> str:
        return self.plan.genesis.nodes[0].name

    def _faust(self, name: str, role: str, metrics_port: int) -> CommandService:
        arguments = ("-m", "faust", "-A", "streams.app", "--loop", "uvloop", "worker", "-l", "warn")
        extra = {"CARENET_ROLES": role, "CARENET_METRICS_HOST": _HOST, "CARENET_METRICS_PORT": str(metrics_port)}
        return CommandService(name, self._command(name, arguments, extra))

    def _command(self, name: str, arguments: tuple[str, ...], extra: dict[str, str]) -> Command:
        environment = os.environ | self.plan.environment | extra
        environment |= {
            "CARENET_DIR": str(self.directory),
            "CARENET_KAFKA": self.kafka,
            "CARENET_POSTGRES": self.postgres,
            "CARENET_NODE": self._node,
        }
        return Command((sys.executable, *arguments), self.directory / f"{name}.log", env=environment, grace_s=5.0)

    def _standstill(self) -> Standstill:
        return Standstill(self._read_position, self.plan.patience_s)

    def _agents_standstill(self) -> Standstill:
        # Twice as patient: an agent says how far it is every few seconds only, and reads its tables first.
        return Standstill(self._read_agents_position, 2 * self.plan.patience_s)

    async def _read_agents_position(self) -> tuple[int, int]:
        topic = topics_of(self.plan.genesis, self._node).entries.name
        ends = await fetch_end_offsets(self.kafka, topic)
        committed = await fetch_committed(self.kafka, app_id_of(self.plan.genesis, self._node, "agents"), topic)
        return sum(committed.values()), sum(ends.values())

    async def _read_position(self) -> tuple[int, int]:
        ends = await fetch_end_offsets(self.kafka, self.plan.genesis.topic)
        async with Store(self.postgres) as store:
            return sum((await store.next_offsets()).values()), sum(ends.values())

    def _hear(self, event: Event) -> None:
        self._on_event(event)
        if self.gateway:
            self._write_run_file()

    def _write_run_file(self) -> None:
        pids = {status.service: status.pid for status in self.status() if status.pid is not None}
        write_run_file(
            self.directory, RunFile(os.getpid(), self.kafka, self.postgres, self.gateway, pids, self.metrics)
        )
