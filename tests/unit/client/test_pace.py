from __future__ import annotations

import asyncio

import pytest

from carenet.client.pace import Pace
from carenet.errors import TransportError
from tests.support.waiting import STRETCH


async def turn(pace: Pace, done: list[int], number: int) -> None:
    async with pace.turn():
        await asyncio.sleep(0)
        done.append(number)
        pace.note_success()


async def test_nobody_waits_while_there_is_no_hold() -> None:
    pace, done = Pace(), list[int]()
    await asyncio.gather(*(turn(pace, done, each) for each in range(100)))
    assert done == list(range(100))


async def test_during_a_hold_nobody_begins_and_afterwards_all_go_on_in_their_order() -> None:
    pace, done = Pace(), list[int]()
    pace.hold(30)
    tasks = [asyncio.create_task(turn(pace, done, each)) for each in range(5)]
    await asyncio.sleep(0.01)
    assert pace.is_held
    assert not done
    pace.hold(0)
    await asyncio.gather(*tasks)
    assert done == [0, 1, 2, 3, 4]


async def test_a_hold_ends_by_itself() -> None:
    pace, done = Pace(), list[int]()
    pace.hold(0.01)
    await turn(pace, done, 1)
    assert not pace.is_held


async def test_a_hold_halves_how_many_send_at_once_and_successes_bring_it_back() -> None:
    pace, most = Pace(window=8), 0
    for _ in range(2):
        pace.hold(10)
        pace.hold(10)  # that it goes on is no second reason
        pace.hold(0)

    async def send() -> None:
        nonlocal most
        async with pace.turn():
            most = max(most, pace._under_way)
            await asyncio.sleep(0)

    await asyncio.gather(*(send() for _ in range(20)))
    assert most == 2
    assert not pace.is_unhindered
    for _ in range(100):
        pace.note_success()
    assert int(pace._window) == 8
    assert pace.is_unhindered


async def test_patience_ends_only_when_nobody_gets_through() -> None:
    pace = Pace(patience_s=0.05)
    pace.hold(30)
    with pytest.raises(TransportError, match="behind"):
        await turn(pace, [], 1)
    pace.hold(0)
    pace._window = 1.0
    begun = asyncio.Event()

    async def work() -> None:
        async with pace.turn():
            begun.set()
            for _ in range(12):
                await asyncio.sleep(0.02)
                pace.note_success()

    task = asyncio.create_task(work())
    await begun.wait()
    pace._window = 1.0
    done: list[int] = []
    waiting = asyncio.create_task(turn(pace, done, 1))
    while not task.done():
        pace._window = 1.0
        await asyncio.sleep(0.01)
    await waiting
    assert done == [1]


async def test_a_sender_that_is_cancelled_leaves_its_turn_to_others() -> None:
    pace, done = Pace(), list[int]()
    pace.hold(30)
    tasks = [asyncio.create_task(turn(pace, done, each)) for each in range(3)]
    await asyncio.sleep(0)
    tasks[0].cancel()
    pace._window = 1.0
    pace.hold(0)  # gives the turn to the first that is left
    tasks[1].cancel()
    async with asyncio.timeout(5 * STRETCH):
        await asyncio.gather(*tasks, return_exceptions=True)
    assert done == [2]
    assert pace._under_way == 0


async def test_who_asks_to_be_told_is_told_when_it_waits_and_when_it_goes_on() -> None:
    told: list[float] = []
    pace = Pace(on_wait=told.append)
    pace.hold(3)
    pace.hold(1000)
    pace.hold(0)
    pace.hold(0)
    assert told == [3, 60, 0]
