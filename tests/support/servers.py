"""Real servers for tests: one Kafka and one PostgreSQL for each test process, started when first asked for.

Fixtures:
- `kafka`, `postgres`: the servers; tests that kill or restart one make their own instead.
- `database`: DSN of a fresh, empty database, dropped afterwards.
- `topic_name`: a topic name that no other test has. `unique_name`: a maker of names for groups, ids and the like.

Each process (pytest-xdist worker) has servers of its own on free ports in a temporary folder of its own, so runs
side by side do not meet. Servers die with the process that started them, also when that is killed.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio

from carenet.local.kafka import EmbeddedKafka
from carenet.local.postgres import EmbeddedPostgres

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def server_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder for the servers' state, removed at the end."""
    folder = tmp_path_factory.mktemp("servers")
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def kafka(server_folder: Path) -> AsyncIterator[EmbeddedKafka]:
    """This process's Kafka."""
    async with EmbeddedKafka(server_folder) as server:
        yield server


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def postgres(server_folder: Path) -> AsyncIterator[EmbeddedPostgres]:
    """This process's PostgreSQL."""
    async with EmbeddedPostgres(server_folder) as server:
        yield server


@pytest.fixture(scope="session")
def unique_name() -> Callable[[str], str]:
    """Makes a name from a prefix that nobody else in any test process has: `[a-z0-9_]`."""
    return lambda prefix: f"{prefix}_{os.getpid()}_{next(_numbers)}"


@pytest.fixture
def topic_name(unique_name: Callable[[str], str]) -> str:
    """A topic name of this test's own; the topic itself is not created."""
    return unique_name("topic")


@pytest_asyncio.fixture(loop_scope="session")
async def database(postgres: EmbeddedPostgres, unique_name: Callable[[str], str]) -> AsyncIterator[str]:
    """DSN of an empty database of this test's own."""
    name = unique_name("test")
    await _execute(postgres.dsn(), f"CREATE DATABASE {name}")
    yield postgres.dsn(name)
    await _drop(postgres.dsn(), name)


async def _drop(dsn: str, name: str) -> None:
    for _ in range(50):
        try:
            return await _execute(dsn, f"DROP DATABASE {name} WITH (FORCE)")
        except asyncpg.InsufficientPrivilegeError:  # autovacuum is there, which only the server's owner may end
            await asyncio.sleep(0.1)
    raise TimeoutError(f"autovacuum does not leave {name}")


async def _execute(dsn: str, statement: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
