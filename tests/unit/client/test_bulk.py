from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from carenet.client.bulk import Tally, run_chunked, run_windowed
from carenet.client.outcomes import Refused
from carenet.errors import TransportError
from tests.support.watching import WAIT_S


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


async def test_a_long_queue_is_taken_in_chunks_of_half_a_window_and_never_more_is_under_way():
    under_way, most, chunks = 0, 0, []

    async def work(chunk: list[int], done: Callable[[], None]) -> None:
        nonlocal under_way, most
        chunks.append(list(chunk))
        under_way += len(chunk)
        most = max(most, under_way)
        for _ in chunk:
            await asyncio.sleep(0)
            under_way -= 1
            done()

    await run_chunked(range(100), work, 16)
    assert [item for chunk in chunks for item in chunk] == list(range(100))
    assert {len(chunk) for chunk in chunks[:-1]} <= {7, 8}  # as many as waited at the moment
    assert 8 < most <= 16


async def test_what_comes_slowly_is_not_kept_waiting_for_company():
    chunks = []
    taken = asyncio.Semaphore(0)

    async def items() -> AsyncIterator[int]:
        for item in range(5):
            yield item
            await taken.acquire()  # the next one comes once this one was taken

    async def work(chunk: list[int], done: Callable[[], None]) -> None:
        chunks.append(chunk)
        for _ in chunk:
            done()
            taken.release()

    async with asyncio.timeout(WAIT_S):
        await run_chunked(items(), work, 16)
    assert chunks == [[0], [1], [2], [3], [4]]


async def test_one_that_takes_long_keeps_only_its_own_place():
    last = asyncio.Event()
    begun = []

    async def work(chunk: list[int], done: Callable[[], None]) -> None:
        begun.extend(chunk)
        if 99 in chunk:
            last.set()
        for item in chunk:
            if item == 0:
                await last.wait()
            done()

    async def work_on_each(chunk: list[int], done: Callable[[], None]) -> None:
        async with asyncio.TaskGroup() as group:
            for item in chunk:
                group.create_task(work([item], done))

    async with asyncio.timeout(WAIT_S):
        await run_chunked(range(100), work_on_each, 8)
    assert begun == list(range(100))


@pytest.mark.parametrize("window", [1, 2, 3])
async def test_the_smallest_windows_work_too(window: int):
    seen = []

    async def work(chunk: list[int], done: Callable[[], None]) -> None:
        seen.extend(chunk)
        for _ in chunk:
            done()

    async with asyncio.timeout(WAIT_S):
        await run_chunked(range(10), work, window)
        await run_chunked([], work, window)
    assert seen == list(range(10))


@pytest.mark.parametrize("place", ["items", "work"])
async def test_a_failure_of_items_or_work_is_raised_as_itself_and_ends_everything(place: str):
    async def items() -> AsyncIterator[int]:
        for item in range(10):
            await asyncio.sleep(0)
            yield item
        if place == "items":
            raise TransportError("gone")

    cancelled = []

    async def work(chunk: list[int], _: Callable[[], None]) -> None:
        if place == "work" and 9 in chunk:
            raise TransportError("gone")
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(chunk)
            raise

    async with asyncio.timeout(WAIT_S):
        with pytest.raises(TransportError, match="gone"):
            await run_chunked(items(), work, 32)
    assert cancelled
