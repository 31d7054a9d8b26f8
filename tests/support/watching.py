"""Taking what a watcher gets, with an end to the waiting."""

from __future__ import annotations

import asyncio

from carenet.client.updates import CaughtUp, Event, Update
from carenet.client.watch import Watch
from tests.support.waiting import STRETCH

WAIT_S = 10.0 * STRETCH


async def take_care(watch: Watch, count: int = 1) -> list[Update]:
    """The next updates that are care data.

    Raises:
        TimeoutError: they did not come.
    """
    taken: list[Update] = []
    async with asyncio.timeout(WAIT_S):
        while len(taken) < count:
            update = await anext(watch)
            if not update.statement.is_control:
                taken.append(update)
    return taken


async def take_until_level(watch: Watch) -> list[Event]:
    """Everything up to the message that nothing is behind any longer."""
    taken: list[Event] = []
    async with asyncio.timeout(WAIT_S):
        while True:
            event = await watch.next_event()
            taken.append(event)
            if isinstance(event, CaughtUp) and event.everything:
                return taken


async def is_silent(watch: Watch, seconds: float = 0.5) -> bool:
    """Whether no update of care data comes for a while."""
    try:
        async with asyncio.timeout(seconds):
            while (await anext(watch)).statement.is_control:
                pass
    except TimeoutError:
        return True
    return False
