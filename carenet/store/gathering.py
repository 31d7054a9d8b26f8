"""Small commits of several partitions, gathered: what comes while one transaction is under way goes with the next.

Under load a transaction costs more than the few rows that each of a worker's partitions adds to it. Nobody waits on
purpose: a commit that finds nothing under way begins at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence

from carenet.errors import CorruptionError, TransportError
from carenet.rules.effects import Effects
from carenet.store.commit import lost_partition

_MOST_ENTRIES = 256  # of one transaction, unless a single batch has more


class Gathering:
    """See the module header.

    Args:
        write: writes batches of one partition each in one transaction, and says which partitions it moved on.
    """

    def __init__(self, write: Callable[[Sequence[Effects]], Awaitable[frozenset[int]]]) -> None:
        self._write = write
        self._turn = asyncio.Lock()
        self._waiting: dict[asyncio.Future[None], Effects] = {}

    def __repr__(self) -> str:
        return f"<Gathering of {len(self._waiting)} commits>"

    async def commit(self, effects: Effects) -> None:
        """Write one batch, alone or with others.

        Raises:
            LostPartition: another worker moved the partition on; nothing was written.
            CorruptionError: a row exists that must not; nothing was written.
            TransportError: PostgreSQL broke off; it may have been written.
        """
        outcome: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[outcome] = effects
        try:
            async with self._turn:
                while not outcome.done():
                    await self._write_group(self._take_group())
        finally:
            self._waiting.pop(outcome, None)  # cancelled before it began
            outcome.cancel()  # or meanwhile; no matter where it is done
        outcome.result()

    def _take_group(self) -> dict[asyncio.Future[None], Effects]:
        group: dict[asyncio.Future[None], Effects] = {}
        partitions: set[int] = set()
        entries = 0
        for outcome, effects in self._waiting.items():
            entries += len(effects.accepted)
            if group and (entries > _MOST_ENTRIES or effects.state.partition in partitions):
                break
            group[outcome] = effects
            partitions.add(effects.state.partition)
        for outcome in group:
            del self._waiting[outcome]
        return group

    async def _write_group(self, group: dict[asyncio.Future[None], Effects]) -> None:
        try:
            await self._write_or_split(group)
        except Exception as exc:  # noqa: BLE001 - each of them is told
            _fail(group, exc)
        except BaseException:
            _fail(group, TransportError("the commit was cut off; it may have been written"))
            raise

    async def _write_or_split(self, group: dict[asyncio.Future[None], Effects]) -> None:
        try:
            moved = await self._write(list(group.values()))
        except CorruptionError:  # nothing was written, and one of them is to blame
            if len(group) == 1:
                raise
            for outcome, effects in group.items():
                await self._write_group({outcome: effects})
            return
        for outcome, effects in group.items():
            if effects.state.partition not in moved:
                _fail([outcome], lost_partition(effects))
            elif not outcome.done():
                outcome.set_result(None)


def _fail(outcomes: Iterable[asyncio.Future[None]], error: Exception) -> None:
    for outcome in outcomes:
        if not outcome.done():
            outcome.set_exception(error)
