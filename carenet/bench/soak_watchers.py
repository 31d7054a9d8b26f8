"""The watchers of a soak: each follows one patient with the SDK all along, and counts what it is pushed."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from carenet.client.care import Care
from carenet.encoding.ids import encode_id
from carenet.store.store import Store

_QUIET_S = 0.5  # for what might be pushed once more
_SETTLE_S = 60.0
_POLL_S = 0.05


class SoakWatchers:
    """See the module header; an async context manager.

    Args:
        care: somebody who may read everything of these patients.
        patients: 32 bytes each; one watcher for each.
    """

    def __init__(self, care: Care, patients: Sequence[bytes]) -> None:
        self._care = care
        self._patients = patients
        self._seen: Counter[tuple[str, int]] = Counter()
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        # Owned: cancelled and awaited in __aexit__.
        self._tasks = [asyncio.create_task(self._follow(each)) for each in self._patients]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def finish(self, store: Store) -> tuple[int, int, int]:
        """Wait until everything was pushed, for a while: how many entries are owed, and how many lost and doubled."""
        texts = set(map(encode_id, self._patients))
        lengths = {encode_id(each.row.subject): each.row.next_seq for each in await store.subjects("patient")}
        owed = {(text, seq) for text in texts for seq in range(lengths[text])}
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_SETTLE_S):
                while not owed <= self._seen.keys():  # noqa: ASYNC110 - the followers fill it
                    await asyncio.sleep(_POLL_S)
        await asyncio.sleep(_QUIET_S)
        return len(owed), len(owed - self._seen.keys()), self._seen.total() - len(self._seen)

    async def _follow(self, patient: bytes) -> None:
        async with self._care.watch(patient) as watch:
            async for update in watch:
                self._seen[update.patient, update.seq] += 1
