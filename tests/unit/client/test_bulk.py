from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from carenet.client.bulk import Tally, run_windowed
from carenet.client.outcomes import Refused
from carenet.errors import TransportError


async def test_never_more_than_a_window_is_under_way_and_nothing_is_left_out():
    under_way, most, done = 0, 0, []

    async def work(item: int) -> None:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0)
        under_way -= 1
        done.append(item)

    await run_windowed(range(50), work, 4)
    assert most == 4
    assert sorted(done) == list(range(50))


async def test_items_are_begun_in_their_order():
    begun: list[int] = []

    async def work(item: int) -> None:
        begun.append(item)
        await asyncio.sleep(0.001 * (item % 3))

    async def items() -> AsyncIterator[int]:
        for item in range(20):
            await asyncio.sleep(0)
            yield item

    await run_windowed(items(), work, 5)
    assert begun == list(range(20))


async def test_the_first_failure_is_raised_as_itself():
    async def work(item: int) -> None:
        if item == 3:
            raise TransportError("gone")
        await asyncio.sleep(0.01)

    with pytest.raises(TransportError, match="gone"):
        await run_windowed(range(10), work, 4)


def test_a_tally_counts_refusals_by_reason():
    tally = Tally()
    for reason in ("no_grant", "no_grant", "suspended"):
        tally.count(Refused(reason))
    assert (tally.accepted, dict(tally.refused)) == (0, {"no_grant": 2, "suspended": 1})
