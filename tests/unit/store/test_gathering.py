"""Who is told what when commits are gathered, whoever is cancelled; the writing waits for the test."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from carenet.errors import TransportError
from carenet.ledger.tree import Tree
from carenet.rules.effects import Effects
from carenet.rules.rows import PartitionState
from carenet.store.gathering import Gathering


def _effects(partition: int, entries: int = 1) -> Effects:
    accepted: Any = (None,) * entries  # counted only
    state = PartitionState(partition, 1, 0, Tree())
    return Effects(before=0, accepted=accepted, rejected=(), tiles=(), writes={}, state=state, is_urgent=False)


class Writing:
    """Writes nothing, each time when it is told to go on."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self._may_end = asyncio.Semaphore(0)

    async def write(self, batches: Sequence[Effects]) -> frozenset[int]:
        partitions = [each.state.partition for each in batches]
        self.groups.append(partitions)
        await self._may_end.acquire()
        return frozenset(partitions)

    def go_on(self, times: int) -> None:
        for _ in range(times):
            self._may_end.release()


async def _begin(gathering: Gathering, *batches: Effects) -> list[asyncio.Task[None]]:
    tasks = [asyncio.create_task(gathering.commit(each)) for each in batches]
    for _ in range(3):
        await asyncio.sleep(0)
    return tasks


async def test_what_comes_meanwhile_goes_with_the_next_and_not_too_much_at_once() -> None:
    writing = Writing()
    batches = [_effects(0), _effects(1, 200), _effects(2, 50), _effects(3, 50), _effects(4), _effects(4)]
    tasks = await _begin(Gathering(writing.write), *batches)
    assert writing.groups == [[0]]
    writing.go_on(4)
    await asyncio.gather(*tasks)
    assert writing.groups == [[0], [1, 2], [3, 4], [4]]


async def test_who_is_cancelled_before_its_turn_is_never_written() -> None:
    writing = Writing()
    first, second, third = await _begin(Gathering(writing.write), _effects(0), _effects(1), _effects(2))
    second.cancel()
    writing.go_on(2)
    await asyncio.gather(first, third)
    assert writing.groups == [[0], [2]]


async def test_who_writes_for_others_and_is_cancelled_leaves_none_of_them_waiting() -> None:
    writing = Writing()
    gathering = Gathering(writing.write)
    first, second, third = await _begin(gathering, _effects(0), _effects(1), _effects(2))
    writing.go_on(1)
    await first
    await asyncio.sleep(0)
    assert writing.groups == [[0], [1, 2]]
    second.cancel()
    with pytest.raises(TransportError, match="may have been written"):
        await third
    with pytest.raises(asyncio.CancelledError):
        await second
    writing.go_on(1)
    await gathering.commit(_effects(1))  # and the next has its turn
