"""The store's door: one node's database, opened once a process.

async with Store(dsn) as store:
    await store.create_schema(genesis)
    state = await store.load_state(partition)
    loaded = await store.load_rows(partition, keys)
    await store.commit(effects)                      # one transaction; LostPartition when another was faster
    async with store.snapshot() as then:             # several answers as of one moment
        heads, grants = await then.heads(), await then.active_grants(partition)
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Self

import asyncpg

from carenet.rules.effects import Effects
from carenet.rules.rows import Key, Row
from carenet.statements.genesis import Genesis
from carenet.store import schema
from carenet.store.commit import write_effects
from carenet.store.faults import translated
from carenet.store.gathering import Gathering
from carenet.store.queries import Queries
from carenet.store.quick import commit_quickly, is_quick
from carenet.store.rows import load_rows
from carenet.store.stored import ActivityRow, StoredCheckpoint

_CONNECT_TIMEOUT_S = 5.0
_ANSWER_TIMEOUT_S = 30.0
# What each connection says when it is opened.
_SESSION = {
    "application_name": "carenet",
    # Every statement here is written for an index. A plan that was made while a table was small, and is kept, would
    # otherwise read the whole table for ever.
    "enable_seqscan": "off",
    "jit": "off",  # our statements are short: compiling them costs more than running them
    "statement_timeout": "30s",
    # A worker that is stopped in the middle of a transaction holds its partition's row: others take over in 10 s.
    "idle_in_transaction_session_timeout": "5s",
}

_SAVE_CHECKPOINT = """
INSERT INTO checkpoints (partition, size, note, receipt) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING
"""
_MARK_PUBLISHED = "UPDATE partition_state SET published_index = $2 WHERE partition = $1 AND published_index < $2"
_SAVE_HALT = """
INSERT INTO halts (partition, reason) VALUES ($1, $2)
ON CONFLICT (partition) DO UPDATE SET reason = EXCLUDED.reason, at = now()
"""
_SAVE_ACTIVITY = """
INSERT INTO activity (partition, subject, minute_ms, type, events, late, out_of_order, last_index)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (partition, subject, minute_ms, type) DO UPDATE SET events = EXCLUDED.events, late = EXCLUDED.late,
    out_of_order = EXCLUDED.out_of_order, last_index = EXCLUDED.last_index
WHERE activity.last_index < EXCLUDED.last_index
"""


class _Connection(asyncpg.Connection):  # type: ignore[misc] # asyncpg is untyped
    """A connection that is handed back as it was taken: we never change a session, so nothing has to be reset."""

    def get_reset_query(self) -> str:
        return ""


class Snapshot(Queries):
    """The store as it was at one moment; see `Store.snapshot`. One question at a time."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def _fetch(self, sql: str, *args: Any) -> list[Any]:
        with translated("reading a snapshot"):
            return list(await self._connection.fetch(sql, *args))


class Store(Queries):
    """One node's database, over a pool of connections; an async context manager.

    Args:
        dsn: `postgresql://…`.
        max_connections: most connections of the pool, from 1.

    Raises:
        TransportError: on entering, if PostgreSQL cannot be reached.
        SetupError: on entering, if it refuses this user or knows no such database.
    """

    def __init__(self, dsn: str, max_connections: int = 8) -> None:
        self.dsn = dsn  # has a password in it: keep it out of logs
        self._max_connections = max_connections
        self._open_pool: Any = None
        self._gathering = Gathering(self._commit_quickly)

    def __repr__(self) -> str:
        if self._open_pool is None:
            return "<Store: closed>"
        return f"<Store: {self._open_pool.get_size() - self._open_pool.get_idle_size()} connections at work>"

    async def __aenter__(self) -> Self:
        with translated("connecting to PostgreSQL"):
            self._open_pool = await asyncpg.create_pool(
                self.dsn,
                min_size=1,
                max_size=self._max_connections,
                connection_class=_Connection,
                timeout=_CONNECT_TIMEOUT_S,
                command_timeout=_ANSWER_TIMEOUT_S,
                server_settings=_SESSION,
            )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        pool, self._open_pool = self._open_pool, None
        pool.terminate()  # all that counts was committed; saying goodbye may hang when the server is away

    @property
    def _pool(self) -> Any:
        if self._open_pool is None:
            raise RuntimeError("the store is not open")
        return self._open_pool

    async def create_schema(self, genesis: Genesis) -> None:
        """Make the tables if there are none.

        Raises:
            SetupError: the database is kept in another form, or is another network's.
        """
        with translated("making the schema"):
            async with self._transaction() as connection:
                await schema.create_schema(connection, genesis)

    async def seed(self, genesis: Genesis) -> None:
        """Write the genesis's rows into the partitions that have none yet."""
        with translated("seeding the genesis"):
            async with self._transaction() as connection:
                await schema.check_schema(connection, genesis)
                await schema.seed(connection, genesis)

    async def fetch_genesis(self) -> Genesis:
        """The genesis of the network whose replica this database is."""
        with translated("reading the genesis"):
            async with self._pool.acquire(timeout=_ANSWER_TIMEOUT_S) as connection:
                return await schema.fetch_genesis(connection)

    async def load_rows(self, partition: int, keys: Iterable[Key]) -> dict[Key, Row | None]:
        """The decision state's rows for these keys, None for those that have none; one round trip."""
        with translated(f"loading rows of partition {partition}"):
            async with self._pool.acquire(timeout=_ANSWER_TIMEOUT_S) as connection:
                return await load_rows(connection, partition, keys)

    async def commit(self, effects: Effects) -> None:
        """Write what a batch does, all or nothing.

        Raises:
            LostPartition: another worker moved the partition on; nothing was written.
            UsedId: an id was used before, which loading its row would have told; nothing was written.
            CorruptionError: another row exists that must not; nothing was written.
            TransportError: PostgreSQL broke off; it may have been written: `load_state` tells.
        """
        with translated(f"committing to partition {effects.state.partition}"):
            if is_quick(effects):
                await self._gathering.commit(effects)
                return
            async with self._transaction() as connection:
                await write_effects(connection, effects)

    async def _commit_quickly(self, batches: Sequence[Effects]) -> frozenset[int]:
        with translated(f"committing to {len(batches)} partitions"):
            async with self._pool.acquire(timeout=_ANSWER_TIMEOUT_S) as connection:
                return await commit_quickly(connection, batches)

    async def save_checkpoint(self, checkpoint: StoredCheckpoint) -> None:
        """Keep a checkpoint that this node signed; the first one at a size stays."""
        values = (checkpoint.partition, checkpoint.size, checkpoint.note, checkpoint.receipt)
        await self._fetch(_SAVE_CHECKPOINT, *values)

    async def mark_published(self, partition: int, index: int) -> None:
        """Say that the entries before `index` are in the entries topic; the mark only grows."""
        await self._fetch(_MARK_PUBLISHED, partition, index)

    async def save_halt(self, partition: int, reason: str) -> None:
        """Say that this node stopped serving a partition, and why."""
        await self._fetch(_SAVE_HALT, partition, reason)

    async def clear_halt(self, partition: int) -> None:
        """Say that it serves the partition again."""
        await self._fetch("DELETE FROM halts WHERE partition = $1", partition)

    async def save_activity(self, rows: Sequence[ActivityRow]) -> None:
        """Keep what `activity` counted; of two figures for one minute, the one that counted further stays."""
        records = [
            (
                each.partition,
                each.subject,
                each.minute_ms,
                each.type,
                each.events,
                each.late,
                each.out_of_order,
                each.last_index,
            )
            for each in rows
        ]
        with translated("saving activity"):
            async with self._pool.acquire(timeout=_ANSWER_TIMEOUT_S) as connection:
                await connection.executemany(_SAVE_ACTIVITY, records)

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Snapshot]:
        """Several answers as of one moment. Keep it short: after 5 s without a question the server ends it."""
        with translated("opening a snapshot"):
            connection = await self._pool.acquire(timeout=_ANSWER_TIMEOUT_S)
        try:
            transaction = connection.transaction(isolation="repeatable_read", readonly=True)
            with translated("opening a snapshot"):
                await transaction.start()
            try:
                yield Snapshot(connection)
            finally:
                with translated("closing a snapshot"):
                    await transaction.rollback()
        finally:
            await self._pool.release(connection)

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[Any]:
        async with self._pool.acquire(timeout=_ANSWER_TIMEOUT_S) as connection, connection.transaction():
            yield connection

    async def _fetch(self, sql: str, *args: Any) -> list[Any]:
        with translated("asking PostgreSQL"):
            return list(await self._pool.fetch(sql, *args))
