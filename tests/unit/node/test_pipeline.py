from __future__ import annotations

import asyncio

from carenet.ledger.tree import Tree
from carenet.node.pipeline import Pipeline
from carenet.rules.fold import genesis_rows
from carenet.rules.prepare import scope_of
from carenet.rules.rows import Key, PartitionState, Row
from tests.support.chronicle import Chronicle, genesis_of
from tests.support.folding import raw_records

GENESIS = genesis_of("t.events", 1)
SCOPE = scope_of(GENESIS, 0)


class Rows:
    """A source of rows in memory that counts how often it is asked."""

    def __init__(self) -> None:
        self.rows: dict[Key, Row] = dict(genesis_rows(SCOPE))
        self.asked = 0

    async def load_rows(self, partition: int, keys: set[Key]) -> dict[Key, Row | None]:
        assert partition == 0
        self.asked += 1
        return {key: self.rows.get(key) for key in keys}


def _story(events: int) -> list:
    chronicle = Chronicle(GENESIS)
    anna = chronicle.patient("anna")
    return raw_records([*chronicle.founding(), chronicle.open(anna), *(chronicle.care(anna) for _ in range(events))])


async def test_batches_of_any_size_are_decided_alike() -> None:
    records = _story(40)
    roots = []
    for size in (1, 7, len(records)):
        source, state = Rows(), PartitionState(0, 0, 0, Tree())
        pipeline = Pipeline(source, SCOPE)
        for at in range(0, len(records), size):
            effects = await pipeline.decide(await pipeline.prepare(records[at : at + size]), state)
            assert effects.rejected == ()
            source.rows.update(effects.writes)
            state = effects.state
        roots.append(state.tree.root())
        assert state.next_offset == len(records)
    assert len(set(roots)) == 1


async def test_others_have_a_turn_while_a_large_batch_is_prepared() -> None:
    turns = 0

    async def take_turns() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    others = asyncio.create_task(take_turns())
    records = _story(1)
    await Pipeline(Rows(), SCOPE).prepare(records * 1500)
    others.cancel()
    assert turns >= 3


async def test_signers_that_are_known_are_verified_before_anything_is_decided() -> None:
    records = _story(3)
    source = Rows()
    pipeline = Pipeline(source, SCOPE)
    first = await pipeline.decide(await pipeline.prepare(records[:3]), PartitionState(0, 0, 0, Tree()))
    assert not any(each._verified for each in (await pipeline.prepare(records[3:])).records)
    source.rows.update(first.writes)
    await pipeline.decide(await pipeline.prepare(records[3:4]), first.state)
    assert all(
        each._verified is not None and each._verified[1] for each in (await pipeline.prepare(records[4:])).records
    )


async def test_rows_are_asked_for_a_batch_at_a_time() -> None:
    source = Rows()
    pipeline = Pipeline(source, SCOPE)
    batch = await pipeline.prepare(_story(40))
    assert source.asked == 0
    await asyncio.gather(pipeline.decide(batch, PartitionState(0, 0, 0, Tree())))
    assert source.asked <= 4


async def test_what_was_committed_stays_at_hand_and_decides_alike() -> None:
    records = _story(20)
    source, state = Rows(), PartitionState(0, 0, 0, Tree())
    pipeline = Pipeline(source, SCOPE)
    asked = []
    for record in records:
        before = source.asked
        effects = await pipeline.decide(await pipeline.prepare([record]), state)
        assert effects.rejected == ()
        source.rows.update(effects.writes)
        pipeline.note_commit(effects)
        state = effects.state
        asked.append(source.asked - before)
    undisturbed = Pipeline(Rows(), SCOPE)
    again = await undisturbed.decide(await undisturbed.prepare(records), PartitionState(0, 0, 0, Tree()))
    assert state.tree.root() == again.state.tree.root()
    assert asked[-1] == 0


async def test_a_decision_that_was_not_committed_leaves_nothing_behind() -> None:
    records = _story(1)
    source, state = Rows(), PartitionState(0, 0, 0, Tree())
    pipeline = Pipeline(source, SCOPE)
    lost = await pipeline.decide(await pipeline.prepare(records), state)
    again = await pipeline.decide(await pipeline.prepare(records), state)
    assert again.accepted == lost.accepted
    assert not pipeline._kept
