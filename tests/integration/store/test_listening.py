from __future__ import annotations

import asyncio

import asyncpg
import pytest

from carenet.errors import TransportError
from carenet.rules.prepare import scope_of
from carenet.statements.genesis import Genesis
from carenet.store.commit import CHANNEL
from carenet.store.listening import Committed, listen
from carenet.store.store import Store
from tests.support.chronicle import Chronicle
from tests.support.folding import decide, raw_records


async def test_a_commit_is_heard_with_how_far_it_went(store: Store, genesis: Genesis, chronicle: Chronicle) -> None:
    effects = await decide(store, scope_of(genesis, 0), raw_records([*chronicle.founding(), b"rubbish"]))
    async with listen(store.dsn) as listener:
        await store.commit(effects)
        assert await listener.wait(5) == [Committed(0, 2, 3)]
        assert await listener.wait(0.01) == []


async def test_what_is_no_commit_is_not_heard(store: Store) -> None:
    async with listen(store.dsn) as listener:
        for payload in ("", "0:1", "a:b:c", "0:-1:2", "0:1:2:3"):
            await store._fetch("SELECT pg_notify($1, $2)", CHANNEL, payload)
        await store._fetch("SELECT pg_notify($1, '7:8:9')", CHANNEL)
        assert await listener.wait(5) == [Committed(7, 8, 9)]


async def test_a_lost_connection_is_told(store: Store, database: str) -> None:
    async with listen(store.dsn) as listener:
        waiting = asyncio.create_task(listener.wait(10))
        other = await asyncpg.connect(database)
        await other.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'carenet-ear' AND datname = current_database()"
        )
        await other.close()
        with pytest.raises(TransportError, match="lost"):
            await waiting
