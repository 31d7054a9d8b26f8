"""The ground of the fold bench: one Kafka and one PostgreSQL, and on them networks whose patients are there already.

    async with ground(directory, is_kept=False) as on:
        network = await on.prepare("single", patients=2000, tick=…)
        await on.recreate(ROUND, network.prepared)             # a database as it was before the first care event

What a network's patients need (opening, grants and epochs: costly statements, which are not what the bench measures) is
folded once, by a whole stack; then its database is a template, from which each round gets a copy. A folder that is kept
can be used again: what was prepared and published in it stays.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import asyncpg

from carenet.bench.contents import keep_patients
from carenet.bench.stand import CLINICIAN, enrol
from carenet.bus.looking import fetch_end_offsets
from carenet.errors import SetupError
from carenet.local.founding import GENESIS_FILE, found_network, read_genesis
from carenet.local.kafka import EmbeddedKafka
from carenet.local.packages import Progress
from carenet.local.postgres import EmbeddedPostgres
from carenet.local.stack import Stack, StackPlan
from carenet.statements.genesis import Genesis

_PARTITIONS = 8
_MANIFEST = "bench.json"
# Both workers of a round are in the group before either is given partitions: else the first one would take all of them
# and give half of them back after the start.
_GATHER_S = 2.0
# The stack's outbox announced the control statements, and its mark may be a second late: rounds announce care events.
_ANNOUNCED = "UPDATE partition_state SET published_index = size"


@dataclass(slots=True)
class Published:
    """What is on a network's topic.

    Attributes:
        starts: by partition, the first care event's offset, and the next one as the prepared database has it.
        ends: by partition, one past the last care event's offset; empty as long as none was published.
        per_s: how many a second were published.
    """

    starts: dict[int, int]
    ends: dict[int, int]
    per_s: float = 0.0

    @property
    def events(self) -> int:
        """How many care events there are."""
        return sum(self.ends.values()) - sum(self.starts.values()) if self.ends else 0


@dataclass(frozen=True, slots=True)
class BenchNetwork:
    """A network whose patients are registered.

    Attributes:
        directory: its folder, with keys, genesis and the patients' public keys.
        genesis: its own.
        prepared: name of the database that has folded the control statements and nothing else.
    """

    directory: Path
    genesis: Genesis
    prepared: str

    @property
    def patients(self) -> Path:
        """The file of the patients and their keys."""
        return self.directory / "patients.json"

    @property
    def key(self) -> Path:
        """The clinician's key file."""
        return self.directory / "keys" / f"{CLINICIAN}.key"

    def read_published(self) -> Published:
        """What its topic holds."""
        kept = json.loads((self.directory / _MANIFEST).read_text(encoding="utf-8"))
        starts, ends = ({int(at): offset for at, offset in kept[name].items()} for name in ("starts", "ends"))
        return Published(starts, ends, kept["per_s"])

    def write_published(self, published: Published) -> None:
        """Remember what its topic holds."""
        (self.directory / _MANIFEST).write_text(json.dumps(asdict(published)), encoding="utf-8")


class Ground:
    """The running servers; see the module header.

    Attributes:
        directory: where all of it lies.
        kafka: the broker.
        postgres: the database server.
    """

    def __init__(self, directory: Path, kafka: EmbeddedKafka, postgres: EmbeddedPostgres) -> None:
        self.directory, self.kafka, self.postgres = directory, kafka, postgres

    @property
    def pids(self) -> list[int]:
        """Process ids of the two servers."""
        return [pid for pid in (self.kafka.pid, self.postgres.pid) if pid is not None]

    async def prepare(self, name: str, patients: int, tick: Callable[[], None]) -> BenchNetwork:
        """A network with its patients; one that is there already is taken as it is.

        Args:
            name: lower-case letters.
            patients: how many.
            tick: told of each that was registered.

        Raises:
            SetupError: something did not come up, or a folder that was kept holds half a network.
        """
        directory = self.directory / name
        if (directory / _MANIFEST).exists():
            return BenchNetwork(directory, read_genesis(directory), f"prepared_{name}")
        if (directory / GENESIS_FILE).exists():
            raise SetupError(f"{directory} was left half prepared: remove the folder, or name another one")
        genesis = found_network(directory, name, _PARTITIONS, topic=f"{name}.events")
        network = BenchNetwork(directory, genesis, f"prepared_{name}")
        await self.execute(f"CREATE DATABASE {network.prepared}")
        dsn = self.postgres.dsn(network.prepared)
        plan = StackPlan(directory, genesis, kafka=self.kafka.bootstrap, postgres=dsn)
        async with Stack(plan) as stack:
            await enrol(stack, patients, tick)
        starts = await fetch_end_offsets(self.kafka.bootstrap, genesis.topic)
        connection = await asyncpg.connect(dsn)
        try:
            await _check_folded(connection, starts)
            await connection.execute(_ANNOUNCED)
            await keep_patients(connection, network.patients)
        finally:
            await connection.close()
        network.write_published(Published(starts, {}))
        return network

    async def recreate(self, database: str, template: str | None = None) -> str:
        """Make a database anew, empty or as a copy; its DSN. Dropping the old one writes a checkpoint.

        Both wait a few seconds for connections that are about to end, and end the server's own (autovacuum), which
        `WITH (FORCE)` would have to be a superuser for.
        """
        await self.execute(f"DROP DATABASE IF EXISTS {database}")
        await self.execute(f"CREATE DATABASE {database}" + (f" TEMPLATE {template}" if template else ""))
        return self.postgres.dsn(database)

    async def execute(self, sql: str) -> None:
        """Run a statement outside of all transactions."""
        connection = await asyncpg.connect(self.postgres.dsn())
        try:
            await connection.execute(sql)
        finally:
            await connection.close()


async def _check_folded(connection: asyncpg.Connection, ends: dict[int, int]) -> None:
    rows = await connection.fetch("SELECT partition, next_offset FROM partition_state")
    if {row["partition"]: row["next_offset"] for row in rows} != ends:
        raise SetupError("the bench's control statements are not all folded: run it again")


@asynccontextmanager
async def ground(directory: Path, *, is_kept: bool, progress: Progress | None = None) -> AsyncIterator[Ground]:
    """Start the servers; leaving the block ends them, in good order only if the folder is kept.

    Args:
        directory: where their data lies.
        is_kept: whether the data is wanted afterwards.
        progress: told of Kafka's jars as they are fetched.
    """
    kafka = EmbeddedKafka(directory, gather_s=_GATHER_S, progress=progress)
    postgres = EmbeddedPostgres(directory)
    try:
        await kafka.start()
        await postgres.start()
        yield Ground(directory, kafka, postgres)
    finally:
        for server in (kafka, postgres):
            await (server.stop() if is_kept else server.kill())
