"""The running stack of a soak: its processes, their memory, and how long their starts take."""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from carenet.bench.contents import keep_patients
from carenet.bench.cpu import read_cpu_s
from carenet.bench.processes import find_pid, read_rss
from carenet.bench.soak_report import Start, Starts
from carenet.bench.stand import CLINICIAN, NETWORK, enrol
from carenet.client.care import Care
from carenet.errors import TransportError
from carenet.local.founding import found_network
from carenet.local.stack import Stack, StackPlan
from carenet.local.supervisor import Event, EventKind
from carenet.statements.genesis import Genesis
from carenet.store.store import Store

WORKER, GATEWAY = "worker", "gateway"

_STARTS = 3  # of each; the middle one counts
_POLL_S = 0.02
_SETTLE_S = 300.0
_PATIENCE_S = 600.0  # of the supervisor: a worker that a soak holds up stands still, as it should
_RESOURCE = {"resourceType": "Observation", "status": "final"}
_BYTES = "SELECT pg_database_size(current_database())"


@dataclass(frozen=True, slots=True)
class Stage:
    """See the module header.

    Attributes:
        directory: the stack's folder, removed afterwards.
        stack: running, with patients registered.
        store: the node's.
        heard: when the supervisor last said a thing of a service; monotonic seconds.
    """

    directory: Path
    stack: Stack
    store: Store
    heard: dict[tuple[str, EventKind], float]

    @property
    def genesis(self) -> Genesis:
        """The network's."""
        return self.stack.plan.genesis

    @property
    def key(self) -> Path:
        """The key file of the clinician, who reads and writes every patient."""
        return self.directory / "keys" / f"{CLINICIAN}.key"

    @property
    def patients(self) -> Path:
        """The file of the patients and their keys, for processes that publish."""
        return self.directory / "patients.json"

    def pid(self, service: str) -> int:
        """A service's process.

        Raises:
            SetupError: it does not run.
        """
        return find_pid(self.stack, service)

    def rss(self, service: str) -> int:
        """Bytes of memory that a service's process has.

        Raises:
            SetupError: it does not run.
        """
        return read_rss(self.pid(service))

    async def database_bytes(self) -> int:
        """Size of the node's database."""
        async with _connected(self.stack.postgres) as connection:
            return int(await connection.fetchval(_BYTES))

    def disk_bytes(self) -> int:
        """Size of Kafka's and PostgreSQL's folders."""
        files = (each for name in ("kafka", "postgres") for each in (self.directory / name).rglob("*"))
        return sum(each.lstat().st_blocks * 512 for each in files)

    async def until(self, is_true: Callable[[], Awaitable[bool]], what: str) -> None:
        """Wait for something.

        Raises:
            TransportError: it did not come about.
        """
        try:
            async with asyncio.timeout(_SETTLE_S):
                while not await is_true():  # noqa: ASYNC110 - other processes send no event
                    await asyncio.sleep(_POLL_S)
        except TimeoutError as exc:
            raise TransportError(f"{what} did not come to its end in {_SETTLE_S:g} s") from exc

    async def time_starts(self, care: Care, patient: bytes) -> Starts:
        """End worker and gateway in good order a few times, and time the starts that follow.

        Args:
            care: the clinician's, with statements straight to Kafka.
            patient: about whom the events are for which a worker's start is waited.
        """
        worker, gateway = [], []
        for _ in range(_STARTS):
            before_s = await self._end(WORKER, EventKind.DIED)
            (await care.publish(patient, _RESOURCE)).or_raise()  # decided by the new one
            took_s = time.monotonic() - self.heard[WORKER, EventKind.STARTING]
            worker.append(Start(took_s, self._cpu_s(WORKER) - before_s))
            before_s = await self._end(GATEWAY, EventKind.READY)
            took_s = self.heard[GATEWAY, EventKind.READY] - self.heard[GATEWAY, EventKind.STARTING]
            gateway.append(Start(took_s, self._cpu_s(GATEWAY) - before_s))
        return Starts(worker, gateway)

    def _cpu_s(self, service: str | None = None) -> float:
        """CPU of PostgreSQL, and of a process of ours since it was started."""
        return read_cpu_s([self.pid(each) for each in ("postgres", service) if each is not None])

    async def _end(self, service: str, then: EventKind) -> float:
        """Ask a process to end, and wait until the supervisor says something of it; PostgreSQL's CPU before."""
        asked_s, before_s = time.monotonic(), self._cpu_s()
        os.kill(self.pid(service), signal.SIGTERM)

        async def is_said() -> bool:
            return self.heard.get((service, then), 0.0) > asked_s

        await self.until(is_said, f"ending the {service}")
        return before_s


@asynccontextmanager
async def stage(patients: int) -> AsyncIterator[Stage]:
    """Bring up a stage; leaving the block stops the servers and removes the folder.

    Args:
        patients: how many are registered.
    """
    heard: dict[tuple[str, EventKind], float] = {}

    def hear(event: Event) -> None:
        heard[event.service, event.kind] = time.monotonic()

    async with AsyncExitStack() as leaving:
        directory = Path(leaving.enter_context(tempfile.TemporaryDirectory(prefix="carenet-soak-")))
        plan = StackPlan(directory, found_network(directory, NETWORK), patience_s=_PATIENCE_S)
        stack = await leaving.enter_async_context(Stack(plan, hear))
        await enrol(stack, patients)
        store = await leaving.enter_async_context(Store(stack.postgres, 2))
        made = Stage(directory, stack, store, heard)
        async with _connected(stack.postgres) as connection:
            await keep_patients(connection, made.patients)
        yield made


@asynccontextmanager
async def _connected(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    """For questions that no node asks."""
    connection = await asyncpg.connect(dsn)
    try:
        yield connection
    finally:
        await connection.close()
