"""The processes of our own that a stack runs: what each is told by its environment, and how one sees that it is well.

Fold workers share the partitions, and gateways the port: the kernel spreads connections over those that listen, so the
node has one address. Each has a port of its own besides, on which it says how it is; a worker is ready when Kafka has
given it partitions, a gateway when it hears of what is committed.
"""

from __future__ import annotations

import os
import ssl
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from carenet.bus.looking import fetch_committed, fetch_end_offsets
from carenet.bus.security import LOGIN_VARIABLES, KafkaAt, environment_of
from carenet.bus.topics import app_id_of, topics_of
from carenet.client.tls import make_context, trust_of
from carenet.errors import SetupError
from carenet.local.ports import choose_ports
from carenet.local.probes import Standstill, fetch_health, http_ok
from carenet.local.process import Command
from carenet.local.service import CommandService
from carenet.local.supervisor import Supervised
from carenet.settings import Settings
from carenet.statements.genesis import Genesis
from carenet.store.store import Store

METRICS_PORT = "CARENET_METRICS_PORT"
STREAMS = ("-m", "faust", "-A", "streams.app", "--loop", "uvloop", "worker", "-l", "warn")  # arguments of Python
_AGENTS = "agents"
_HOST = "127.0.0.1"
_START_TIMEOUT_S = 60.0  # of a process on a machine that starts all the others too


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Where our processes find what they need.

    Attributes:
        directory: the state folder, absolute.
        genesis: the network's.
        node: the node's name.
        kafka: where Kafka is, and how the node logs in.
        postgres: DSN of the node's database.
        environment: variables beside the ones that are set here.
    """

    directory: Path
    genesis: Genesis
    node: str
    kafka: KafkaAt
    postgres: str = field(repr=False)
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)

    def command(self, name: str, arguments: tuple[str, ...], extra: Mapping[str, str]) -> Command:
        """A Python process that finds everything in its environment; argv can be read by every user."""
        # Not what one of them alone may have: another's login, a port.
        inherited = {each: os.environ[each] for each in os.environ if each not in {*LOGIN_VARIABLES, METRICS_PORT}}
        environment = inherited | dict(self.environment) | dict(extra) | environment_of(self.kafka)
        environment |= {
            "CARENET_DIR": str(self.directory),
            "CARENET_POSTGRES": self.postgres,
            "CARENET_NODE": self.node,
        }
        return Command((sys.executable, *arguments), self.directory / f"{name}.log", env=environment, grace_s=5.0)


def numbered(name: str, count: int) -> list[str]:
    """The names of several of a kind: `worker`, `worker-2`, `worker-3`."""
    return [name if number == 1 else f"{name}-{number}" for number in range(1, count + 1)]


class Workers:
    """Fold workers and agents, which share what there is to do by Kafka's consumer groups.

    Args:
        around: where they find what they need.
        count: how many fold workers.
        patience_s: a worker that has not moved for so long while the topic grew is unwell; agents after twice that.

    Attributes:
        metrics: name → address of what each counts.
    """

    def __init__(self, around: Surroundings, count: int, patience_s: float) -> None:
        self._around = around
        self._names = numbered("worker", count)
        self._patience_s = patience_s
        names = [*self._names, _AGENTS]
        self._ports = choose_ports(around.directory / "workers.ports", dict.fromkeys(names, 0))
        self.metrics = {name: f"http://{_HOST}:{self._ports[name]}/metrics" for name in names}

    def __iter__(self) -> Iterator[Supervised]:
        ports = self._ports
        for name in self._names:
            worker = self._faust(name, "timeline", ports[name])
            yield Supervised(worker, lambda: Standstill(self._read_position, self._patience_s))
        agents = self._faust(_AGENTS, "agents", ports[_AGENTS])
        # Twice as patient: an agent says how far it is every few seconds only, and reads its tables first.
        yield Supervised(agents, lambda: Standstill(self._read_agents_position, 2 * self._patience_s))

    def _faust(self, name: str, role: str, port: int) -> CommandService:
        command = self._around.command(name, STREAMS, {"CARENET_ROLES": role, METRICS_PORT: str(port)})

        async def has_partitions() -> bool:
            return bool((await fetch_health(_HOST, port)).get("assigned"))

        return CommandService(name, command, None if name == _AGENTS else has_partitions, _START_TIMEOUT_S)

    async def _read_agents_position(self) -> tuple[int, int]:
        around = self._around
        topic = topics_of(around.genesis, around.node).entries.name
        ends = await fetch_end_offsets(around.kafka, topic)
        committed = await fetch_committed(around.kafka, app_id_of(around.genesis, around.node, "agents"), topic)
        return sum(committed.values()), sum(ends.values())

    async def _read_position(self) -> tuple[int, int]:
        ends = await fetch_end_offsets(self._around.kafka, self._around.genesis.topic)
        async with Store(self._around.postgres) as store:
            return sum((await store.next_offsets()).values()), sum(ends.values())


class Gateways:
    """Gateways of one node behind one address.

    Args:
        around: where they find what they need.
        count: how many.
        port: 0 takes the last one if free, else any free one.

    Attributes:
        address: as clients dial it.
        metrics: name → address of what each counts.
    """

    def __init__(self, around: Surroundings, count: int, port: int) -> None:
        self._around = around
        self._names = numbered("gateway", count)
        directory = around.directory
        self._port = choose_ports(directory / "gateway.port", {"gateway": port})["gateway"]
        self._own_ports = choose_ports(directory / "gateways.ports", dict.fromkeys(self._names, 0)) if count > 1 else {}
        self._tls = _probing_context(_told(around.environment))
        secure = "" if self._tls is None else "s"
        self.address = f"ws{secure}://{_HOST}:{self._port}"
        ports = {name: self._own_ports.get(name, self._port) for name in self._names}
        self.metrics = {name: f"http{secure}://{_HOST}:{own}/metrics" for name, own in ports.items()}

    def __iter__(self) -> Iterator[Supervised]:
        for name in self._names:
            extra = {"CARENET_GATEWAY_PORT": str(self._port)}
            own_port = self._own_ports.get(name)
            if own_port is not None:
                extra |= {"CARENET_GATEWAY_SHARES_PORT": "true", METRICS_PORT: str(own_port)}
            command = self._around.command(name, ("-m", "carenet.gateway"), extra)
            yield _watched_by_http(name, command, own_port or self._port, self._tls)


def _told(environment: Mapping[str, str]) -> Settings:
    """What our processes will read about TLS."""
    there = os.environ | environment
    variables = {name: f"CARENET_{name.upper()}" for name in Settings.model_fields if name.startswith("tls_")}
    told: dict[str, Any] = {name: there[each] for name, each in variables.items() if each in there}
    return Settings(**told)


def _probing_context(settings: Settings) -> ssl.SSLContext | None:
    """How to ask a gateway of our own for its health, if the environment gives it certificates.

    Raises:
        SetupError: it would ask us for a certificate, and we have none.
    """
    if settings.tls_certificate is None:
        return None
    if settings.tls_client_ca is not None and settings.tls_client_certificate is None:
        raise SetupError(
            "with CARENET_TLS_CLIENT_CA the gateway wants a certificate of everyone, of carenet up too: set "
            "CARENET_TLS_CLIENT_CERTIFICATE and CARENET_TLS_CLIENT_KEY"
        )
    context = make_context(trust_of(settings))
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # a child of ours, whatever name it goes by
    return context


def _watched_by_http(name: str, command: Command, port: int, tls: ssl.SSLContext | None = None) -> Supervised:
    health = http_ok(_HOST, port, "/health", tls)

    async def is_up() -> bool:
        return await health() is None

    return Supervised(
        CommandService(name, command, is_up, _START_TIMEOUT_S), lambda: http_ok(_HOST, port, "/health", tls)
    )
