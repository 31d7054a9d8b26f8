from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from carenet.statements.genesis import Genesis
from carenet.store.store import Store
from tests.support.chronicle import Chronicle, genesis_of


@pytest.fixture
def genesis() -> Genesis:
    """A network of one partition."""
    return genesis_of("test.events", 1)


@pytest.fixture
def chronicle(genesis: Genesis) -> Chronicle:
    """Its story."""
    return Chronicle(genesis)


@pytest_asyncio.fixture(loop_scope="session")
async def store(database: str, genesis: Genesis) -> AsyncIterator[Store]:
    """A seeded store in a database of this test's own."""
    async with Store(database) as opened:
        await opened.create_schema(genesis)
        await opened.seed(genesis)
        yield opened
