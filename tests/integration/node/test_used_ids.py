"""A batch is decided without asking whether its ids were used; if one was, the commit finds out, and it is judged."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from carenet.node.pipeline import Pipeline, PreparedBatch
from carenet.rules.effects import Effects
from carenet.rules.prepare import scope_of
from carenet.rules.reasons import Reason
from carenet.rules.rows import IdempotencyKey, Key, Row
from carenet.statements.records import RecordValue
from carenet.store.faults import UsedId
from carenet.store.store import Store
from tests.support.actors import Actor
from tests.support.chronicle import Chronicle, genesis_of
from tests.support.folding import raw_records

GENESIS = genesis_of("used.events", 1)


@pytest_asyncio.fixture(loop_scope="session")
async def store(database: str) -> AsyncIterator[Store]:
    async with Store(database) as opened:
        await opened.create_schema(GENESIS)
        await opened.seed(GENESIS)
        yield opened


class Folding:
    """A pipeline over a real store, with what a lane does, and a count of the ids that were asked for."""

    def __init__(self, store: Store) -> None:
        self.store, self.asked, self.offset = store, 0, 0
        self.pipeline = Pipeline(self, scope_of(GENESIS, 0))

    async def load_rows(self, partition: int, keys: set[Key]) -> dict[Key, Row | None]:
        self.asked += sum(isinstance(key, IdempotencyKey) for key in keys)
        return await self.store.load_rows(partition, keys)

    async def prepare(self, *values: RecordValue) -> PreparedBatch:
        records = raw_records(values, self.offset)
        self.offset += len(records)
        return await self.pipeline.prepare(records)

    async def commit(self, effects: Effects) -> Effects:
        await self.store.commit(effects)
        self.pipeline.note_commit(effects)
        return effects

    async def fold(self, *values: RecordValue) -> Effects:
        batch = await self.prepare(*values)
        return await self.commit(await self.pipeline.decide(batch, await self.store.load_state(0)))


@pytest.fixture
def chronicle() -> Chronicle:
    return Chronicle(GENESIS)


@pytest_asyncio.fixture(loop_scope="session")
async def folding(store: Store, chronicle: Chronicle, anna: Actor) -> Folding:
    folding = Folding(store)
    await folding.fold(*chronicle.founding(), chronicle.open(anna))
    await folding.fold(chronicle.care(anna))
    return folding


@pytest.fixture
def anna(chronicle: Chronicle) -> Actor:
    return chronicle.patient("anna")


@pytest.mark.parametrize("count", [2, 100])  # by the short way to the store, and by the general one
async def test_ids_are_not_asked_for(folding: Folding, chronicle: Chronicle, anna: Actor, count: int) -> None:
    folding.asked = 0
    effects = await folding.fold(*(chronicle.care(anna) for _ in range(count)))
    assert (len(effects.accepted), folding.asked) == (count, 0)


@pytest.mark.parametrize("others", [1, 100])
async def test_a_repeat_is_found_at_the_commit_and_judged_then(
    folding: Folding, chronicle: Chronicle, anna: Actor, others: int
) -> None:
    event = chronicle.care(anna)
    (accepted,) = (await folding.fold(event)).accepted
    batch = await folding.prepare(event, *(chronicle.care(anna) for _ in range(others)))
    state = await folding.store.load_state(0)
    with pytest.raises(UsedId):
        await folding.store.commit(await folding.pipeline.decide(batch, state))
    assert (await folding.store.load_state(0)).next_offset == state.next_offset
    effects = await folding.commit(await folding.pipeline.decide_again(batch, state))
    (refused,) = effects.rejected
    assert (refused.reason, refused.winner) == (Reason.DUPLICATE, accepted.entry.digest)
    assert len(effects.accepted) == others


async def test_a_repeat_that_would_be_refused_for_another_reason_too_is_told_that_it_was_accepted(
    folding: Folding, chronicle: Chronicle, anna: Actor
) -> None:
    event = chronicle.care(anna)
    (accepted,) = (await folding.fold(event)).accepted
    (refused,) = (await folding.fold(RecordValue(event.statement, b"another body"))).rejected
    assert (refused.reason, refused.winner) == (Reason.DUPLICATE, accepted.entry.digest)


async def test_what_cannot_be_read_costs_no_second_look(folding: Folding, chronicle: Chronicle, anna: Actor) -> None:
    folding.asked = 0
    event = chronicle.care(anna)
    torn = RecordValue(event.statement[:-1] + bytes([event.statement[-1] ^ 1]), event.body)
    effects = await folding.fold(event, chronicle.care(anna))
    assert (len(effects.accepted), folding.asked) == (2, 0)
    await folding.fold(torn)  # well formed, with a bad signature: whether it was accepted before is looked up
    assert folding.asked == 1


async def test_after_a_repeat_ids_are_asked_for(folding: Folding, chronicle: Chronicle, anna: Actor) -> None:
    event = chronicle.care(anna)
    await folding.fold(event)
    batch, state = await folding.prepare(event), await folding.store.load_state(0)
    await folding.commit(await folding.pipeline.decide_again(batch, state))
    folding.asked = 0
    (refused,) = (await folding.fold(event)).rejected
    assert (refused.reason, folding.asked) == (Reason.DUPLICATE, 1)
