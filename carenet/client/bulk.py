"""Bulk publishing: many deliveries under way at once, never more than a window of them."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable
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


async def _iterate(items: Iterable[T] | AsyncIterable[T]) -> AsyncIterator[T]:
    if isinstance(items, AsyncIterable):
        async for item in items:
            yield item
        return
    for item in items:
        yield item
