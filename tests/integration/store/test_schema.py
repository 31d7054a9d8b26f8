from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from carenet.errors import SetupError, TransportError
from carenet.local.ports import free_port
from carenet.rules.fold import genesis_rows
from carenet.rules.prepare import scope_of
from carenet.store.store import Store
from tests.support.chronicle import genesis_of
from tests.support.folding import REPLICATED, dump

GENESIS = genesis_of("test.events", 3)


async def test_the_schema_is_made_once_by_however_many_processes(database: str) -> None:
    async with Store(database) as one, Store(database) as other:
        await asyncio.gather(*(store.create_schema(GENESIS) for store in (one, other, one, other)))
        await asyncio.gather(*(store.seed(GENESIS) for store in (one, other, one, other)))
        assert sorted(await one.next_offsets()) == [0, 1, 2]


async def test_seeding_again_changes_nothing_and_seeds_every_database_alike(database: str) -> None:
    async with Store(database) as store:
        await store.create_schema(GENESIS)
        await store.seed(GENESIS)
        first = await dump(store, *REPLICATED, "partition_state")
        await store.seed(GENESIS)
        assert await dump(store, *REPLICATED, "partition_state") == first
        for partition in range(3):
            rows = genesis_rows(scope_of(GENESIS, partition))
            assert await store.load_rows(partition, rows) == rows


async def test_the_genesis_can_be_read_back(database: str) -> None:
    async with Store(database) as store:
        await store.create_schema(GENESIS)
        assert await store.fetch_genesis() == GENESIS


async def test_another_networks_database_is_refused(database: str) -> None:
    async with Store(database) as store:
        await store.create_schema(GENESIS)
        for make in (store.create_schema, store.seed):
            with pytest.raises(SetupError, match="belongs to network"):
                await make(replace(GENESIS, name="other"))


async def test_another_schema_version_is_refused(database: str) -> None:
    async with Store(database) as store:
        await store.create_schema(GENESIS)
        await store._fetch("UPDATE meta SET value = '0' WHERE key = 'schema_version'")
        with pytest.raises(SetupError, match="schema version 0"):
            await store.create_schema(GENESIS)


async def test_a_database_without_schema_says_so(database: str) -> None:
    async with Store(database) as store:
        with pytest.raises(SetupError, match="schema"):
            await store.load_state(0)


async def test_a_partition_that_was_not_seeded_says_so(database: str) -> None:
    async with Store(database) as store:
        await store.create_schema(GENESIS)
        with pytest.raises(SetupError, match="no partition 7"):
            await store.load_state(7)


async def test_a_server_that_is_not_there_is_worth_another_try() -> None:
    with pytest.raises(TransportError):
        async with Store(f"postgresql://carenet@127.0.0.1:{free_port()}/carenet"):
            pass


async def test_an_unknown_database_is_a_matter_of_setup(database: str) -> None:
    with pytest.raises(SetupError):
        async with Store(database.replace("/test_", "/no_such_")):
            pass
