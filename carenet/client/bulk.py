"""Bulk publishing: many deliveries under way at once, never more than a window of them.

While the queue is long they are taken from it in chunks, which are cheap to sign, store and send; while it is short,
one by one as they come.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from carenet.client.outcomes import Outcome

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class CareEvent:
    """One resource to publish; the fields are `Care.publish`'s arguments."""

    patient: str | bytes
    resource: dict[str, Any] | bytes | str = field(repr=False)
    cti: bytes | None = None
    replaces: bytes | None = None
    compartment: str | None = None


@dataclass(slots=True)
class Tally:
    """What became of many statements.

    Attributes:
        accepted: how many.
        refused: how many by reason.
    """

    accepted: int = 0
    refused: Counter[str] = field(default_factory=Counter)

    def count(self, outcome: Outcome) -> None:
        """Add one."""
        if outcome.accepted:
            self.accepted += 1
        else:
            self.refused[outcome.reason] += 1


async def run_windowed(
    items: Iterable[T] | AsyncIterable[T], work: Callable[[T], Awaitable[None]], window: int
) -> None:
    """Work on items, at most `window` at a time, begun in their order: as many workers take them one by one.

    Raises:
        The first error that `work` or the items raise; what was under way is cancelled.
    """
    source = _iterate(items)
    turn = asyncio.Lock()  # held while the next item is taken: an async generator cannot be asked twice at once

    async def take() -> None:
        while True:
            async with turn:
                try:
                    item = await anext(source)
                except StopAsyncIteration:
                    return
            await work(item)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(window):
                group.create_task(take())
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None


async def run_chunked(
    items: Iterable[T] | AsyncIterable[T],
    work: Callable[[list[T], Callable[[], None]], Coroutine[Any, Any, None]],
    window: int,
) -> None:
    """Work on chunks of items, at most `window` items under way, taken in their order.

    A chunk is what waits at the moment: one item where they come slowly, half a window where they come faster than they
    are done with. Then the next chunk waits until there is room for all of it, since small ones would be dear.

    Args:
        items: what to work on; read ahead by half a window.
        work: given a chunk, and what it must call once for each item that is done with.
        window: at least 1.

    Raises:
        The first error that `work` or the items raise; what was under way is cancelled.
    """
    most = max(1, window // 2)
    # Of lists of one; an empty one is the end. With the item in hand, it holds one chunk.
    waiting: asyncio.Queue[list[T]] = asyncio.Queue(max(1, most - 1))
    room = _Room(window)

    async def read() -> None:
        async for item in _iterate(items):
            await waiting.put([item])
        await waiting.put([])

    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(read())
            while chunk := await waiting.get():
                has_ended = False
                await room.wait_for(lambda: min(most, 1 + waiting.qsize()))
                while len(chunk) < most and not waiting.empty() and not has_ended:
                    following = waiting.get_nowait()
                    chunk += following
                    has_ended = not following
                room.take(len(chunk))
                group.create_task(work(chunk, room.give_back))
                if has_ended:
                    break
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None


class _Room:
    """How many more items may be under way."""

    def __init__(self, window: int) -> None:
        self._free = window
        self._freed = asyncio.Event()

    async def wait_for(self, wanted: Callable[[], int]) -> None:
        """Wait until as many are free as are wanted, asked anew each time that one is given back."""
        while self._free < wanted():
            self._freed.clear()
            await self._freed.wait()

    def take(self, count: int) -> None:
        self._free -= count

    def give_back(self) -> None:
        self._free += 1
        self._freed.set()


async def run_all(works: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """The results of all, in their order; none of them is left running.

    Raises:
        The first error, as itself; the others are cancelled.
    """
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(work) for work in works]
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return [task.result() for task in tasks]


async def _iterate(items: Iterable[T] | AsyncIterable[T]) -> AsyncIterator[T]:
    if isinstance(items, AsyncIterable):
        async for item in items:
            yield item
        return
    for item in items:
        yield item
