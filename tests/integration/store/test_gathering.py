"""Small commits of several partitions in one transaction, on a real database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

import pytest
import pytest_asyncio

from carenet.ledger.hashes import hash_leaf
from carenet.rules.effects import Effects
from carenet.rules.prepare import scope_of
from carenet.rules.rows import IdempotencyKey
from carenet.statements.genesis import Genesis
from carenet.store.faults import LostPartition, UsedId
from carenet.store.gathering import Gathering
from carenet.store.store import Store
from tests.support.actors import Actor
from tests.support.chronicle import Chronicle, genesis_of
from tests.support.folding import REPLICATED, decide, dump, fold_into, raw_records

PARTITIONS = (0, 1, 2)
ALL = (*REPLICATED, "partition_state")


@pytest.fixture
def genesis() -> Genesis:
    return genesis_of("test.events", len(PARTITIONS))


class Ground:
    """A patient in each of three partitions, and how many batches each transaction wrote."""

    def __init__(self, store: Store, chronicle: Chronicle) -> None:
        self.store, self.chronicle = store, chronicle
        self.patients: list[Actor] = [chronicle.patient("anna", each) for each in PARTITIONS]
        self.groups: list[int] = []
        write = store._commit_quickly

        async def counted(batches: Sequence[Effects]) -> frozenset[int]:
            self.groups.append(len(batches))
            return await write(batches)

        store._gathering = Gathering(counted)

    async def open(self) -> None:
        await fold_into(self.store, self.chronicle.genesis, raw_records(self.chronicle.founding()), batch=10)
        for partition in PARTITIONS[1:]:  # as relays would bring it about
            await self.store._fetch(
                """INSERT INTO participants SELECT $1, id, name, organisation, roles, may_give, sign, hpke, retired,
                statements, suspended FROM participants WHERE partition = 0 ON CONFLICT DO NOTHING""",
                partition,
            )
        for partition, patient in zip(PARTITIONS, self.patients, strict=True):
            start = (await self.store.load_state(partition)).next_offset
            records = raw_records([self.chronicle.open(patient)], start)
            await fold_into(self.store, self.chronicle.genesis, records, batch=1, partition=partition)
        self.groups.clear()

    async def decide(self, partition: int, events: int) -> Effects:
        """A batch of care events that were not published before."""
        start = (await self.store.load_state(partition)).next_offset
        patient = self.patients[partition]
        records = raw_records((self.chronicle.care(patient, f"{each}") for each in range(events)), start)
        return await decide(self.store, scope_of(self.chronicle.genesis, partition), records)


@pytest_asyncio.fixture(loop_scope="session")
async def ground(store: Store, chronicle: Chronicle) -> AsyncIterator[Ground]:
    ground = Ground(store, chronicle)
    await ground.open()
    yield ground


async def _commit(store: Store, batches: Sequence[Effects]) -> list[BaseException | None]:
    return await asyncio.gather(*(store.commit(each) for each in batches), return_exceptions=True)


async def test_what_comes_together_is_written_as_if_it_came_alone(ground: Ground) -> None:
    batches = [await ground.decide(partition, 3) for partition in PARTITIONS]
    assert await _commit(ground.store, batches) == [None, None, None]
    assert ground.groups == [1, 2]  # the first begins at once, and what came meanwhile goes together
    for each in batches:
        partition = each.state.partition
        stored = await ground.store.read_entries(partition, each.accepted[0].index, 100)
        assert [(it.entry, it.statement, it.body) for it in stored] == [
            (it.leaf, it.statement.encoded, it.body) for it in each.accepted
        ]
        state = await ground.store.load_state(partition)
        assert (state.next_offset, state.tree.root()) == (each.state.next_offset, each.state.tree.root())
        rows = await ground.store.load_rows(partition, each.writes)
        assert rows == each.writes


async def test_full_tiles_go_with_it(ground: Ground) -> None:
    while (await ground.store.load_state(1)).tree.size < 300:
        await ground.store.commit(await ground.decide(1, 50))
    assert set(ground.groups) == {1}
    stored = await ground.store.read_entries(1, 0, 256)
    tiles = await ground.store.read_tiles(1, [(0, 0)])
    assert tiles == {(0, 0): b"".join(hash_leaf(each.entry) for each in stored)}


async def test_who_lost_a_partition_is_told_and_the_others_are_written(ground: Ground) -> None:
    batches = [await ground.decide(partition, 2) for partition in (0, 1, 2)]
    await ground.store.commit(await ground.decide(1, 1))
    before = await dump(ground.store, *ALL)
    first, lost, last = await _commit(ground.store, batches)
    assert (first, last) == (None, None)
    assert isinstance(lost, LostPartition)
    after = await dump(ground.store, *ALL)
    for table in ALL:
        assert [row for row in after[table] if row[0] == 1] == [row for row in before[table] if row[0] == 1]


async def test_only_who_uses_an_id_again_is_refused(ground: Ground) -> None:
    used = await ground.decide(1, 1)
    await ground.store.commit(used)
    batches = [await ground.decide(partition, 2) for partition in PARTITIONS]
    ids = {key: row for key, row in used.writes.items() if isinstance(key, IdempotencyKey)}
    batches[1] = replace(batches[1], writes={**batches[1].writes, **ids})
    before = (await ground.store.load_state(1)).next_offset
    first, refused, last = await _commit(ground.store, batches)
    assert (first, last) == (None, None)
    assert isinstance(refused, UsedId)
    assert ground.groups[-3:] == [2, 1, 1]  # together, and then each alone
    assert (await ground.store.load_state(1)).next_offset == before
