"""Reading the log as it is committed: woken by PostgreSQL's notifications, and by a slow look of its own for safety.

One task moves everything: new entries of a partition are read in order, applied and pushed one after the other. It has
connections of its own, so what clients ask never makes it wait. When PostgreSQL is away it tries again for as long as
it takes; sessions stay, and miss nothing, since the tables are read from the applied head on.

Entries come lean, without what only readers need, where nobody here is likely to be sent them. Whether one is to be
sent is judged when its turn comes, as of the sessions that are there by then: what is lean and wanted after all is read
whole first. That a session came while a page was read or applied therefore changes nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

import structlog

from carenet.errors import CorruptionError, SetupError, TransportError
from carenet.gateway.authority import CARE, Authority
from carenet.gateway.likely import Likely
from carenet.gateway.outcomes import Outcomes
from carenet.gateway.push import Pusher
from carenet.store.listening import Committed, listen
from carenet.store.store import Store
from carenet.store.stored import LeanEntry, StoredEntry

_PAGE = 1024  # entries read at a time
_WHOLE = 128  # most of them whole: the largest have 900 KiB
_BREATH = 32  # entries applied before other tasks get a turn, and what was written goes to the sockets
_BREATH_PUSHES = 2048  # or so many pushes, some ms: several entries for a session leave in one write, none waits long
_BREATH_PASSED = 256  # or so many that nobody wants: a fraction of a millisecond
_RETRY_S = 0.25
_LOOK_MS = 50  # between two looks for grants that end; one that is given meanwhile may end soon
_LOG = structlog.get_logger(__name__)


class Feed:
    """See the module header.

    Args:
        store: for this task alone.
        authority: loaded; see `load_authority`.
        pusher: where entries go.
        outcomes: told of what was decided.
        poll_s: seconds between two looks into the tables when nothing is announced.
    """

    def __init__(self, store: Store, authority: Authority, pusher: Pusher, outcomes: Outcomes, poll_s: float) -> None:
        self._store = store
        self._authority = authority
        self._pusher = pusher
        self._outcomes = outcomes
        self._poll_s = poll_s
        self._likely = Likely()
        self._moved = asyncio.Condition()
        self.is_connected = True

    def __repr__(self) -> str:
        return f"<Feed at {self._authority.heads}{'' if self.is_connected else ', PostgreSQL away'}>"

    async def run(self) -> None:
        """Follow the log until cancelled.

        Raises:
            CorruptionError: what was read does not continue what was applied.
        """
        while True:
            try:
                async with listen(self._store.dsn) as ear:
                    await self._look()
                    self.is_connected = True
                    while True:
                        news = await ear.wait(self._poll_s)
                        if news:
                            for committed in news:
                                await self._advance(committed)
                        else:
                            await self._look()
            except TransportError as exc:
                if self.is_connected:
                    _LOG.warning("postgres away", error=str(exc))
                self.is_connected = False
                await asyncio.sleep(_RETRY_S)

    async def wait_for(self, at: dict[int, int], timeout_s: float) -> None:
        """Wait until so much is applied.

        Args:
            at: entries by partition.
            timeout_s: seconds.

        Raises:
            TransportError: it was not, in time.
        """
        heads = self._authority.heads
        try:
            async with asyncio.timeout(timeout_s), self._moved:
                await self._moved.wait_for(lambda: all(heads[each] >= index for each, index in at.items()))
        except TimeoutError:
            raise TransportError("the cursor is ahead of what this gateway has applied") from None

    def health(self) -> dict[str, object]:
        """What `/health` shows."""
        applied = {str(partition): head for partition, head in enumerate(self._authority.heads)}
        return {"status": "ok" if self.is_connected else "postgres away", "applied": applied}

    async def _look(self) -> None:
        for head in (await self._store.heads()).values():
            await self._advance(Committed(head.partition, head.size, head.next_offset))

    async def _advance(self, committed: Committed) -> None:
        partition = committed.partition
        if partition >= len(self._authority.heads):
            return
        while (head := self._authority.heads[partition]) < committed.size:
            page = await self._store.read_fed(partition, head, _PAGE, self._likely.bits(), _WHOLE)
            if not page:
                raise CorruptionError(f"partition {partition} has {committed.size} entries, but none at {head}")
            await self._take(page)
        await self._outcomes.on_decided(partition, committed.next_offset)

    async def _take(self, page: Sequence[StoredEntry | LeanEntry]) -> None:
        taken, pushed = 0, self._pusher.pushed
        passed: list[StoredEntry | LeanEntry] = []  # in a row, not applied yet; never held while others have their turn
        whole: dict[int, StoredEntry] = {}
        for place, entry in enumerate(page):
            if self._pusher.passes_over(entry):
                passed.append(entry)
                if len(passed) == _BREATH_PASSED:
                    self._pass_over(passed)
                    await asyncio.sleep(0)
                continue
            self._pass_over(passed)
            if isinstance(entry, LeanEntry) and entry.index not in whole:
                whole = await self._read_whole(page[place : place + _WHOLE])
            due = whole[entry.index] if isinstance(entry, LeanEntry) else entry
            self._pusher.take(due)
            self._outcomes.on_accepted(due)
            taken += 1
            if taken >= _BREATH or self._pusher.pushed - pushed >= _BREATH_PUSHES:
                await asyncio.sleep(0)
                taken, pushed = 0, self._pusher.pushed
        self._pass_over(passed)
        async with self._moved:
            self._moved.notify_all()

    def _pass_over(self, passed: list[StoredEntry | LeanEntry]) -> None:
        if not passed:
            return
        self._pusher.pass_over(passed)
        self._outcomes.on_passed(passed)
        for entry in passed:
            if isinstance(entry, StoredEntry):
                self._likely.forget(entry.subject)
        passed.clear()

    async def _read_whole(self, page: Sequence[StoredEntry | LeanEntry]) -> dict[int, StoredEntry]:
        """Those of a page that are lean and wanted by now."""
        lean = [each for each in page if isinstance(each, LeanEntry) and not self._pusher.passes_over(each)]
        for each in lean:
            if each.type.startswith(CARE):
                self._likely.learn(each.subject)
        found = await self._store.read_entries_at(lean[0].partition, [each.index for each in lean])
        return {each.index: each for each in found}


async def watch_expiry(authority: Authority, pusher: Pusher, clock_ms: Callable[[], int] | None = None) -> None:
    """End grants on time by the clock, whether anything is committed or not; runs until cancelled."""
    clock = clock_ms or (lambda: time.time_ns() // 1_000_000)
    while True:
        pusher.expire(clock())
        due_ms = authority.next_end_ms
        wait_ms = min(_LOOK_MS, due_ms - clock()) if due_ms is not None else _LOOK_MS
        await asyncio.sleep(max(1, wait_ms) / 1000)


async def load_authority(store: Store, partitions: int) -> tuple[Authority, dict[int, int]]:
    """The view and the first undecided offsets, as of one moment; the time it takes does not grow with history.

    Raises:
        SetupError: the database was not seeded.
        TransportError: PostgreSQL does not answer.
    """
    authority = Authority(partitions)
    async with store.snapshot() as then:
        heads = await then.heads()
        if len(heads) != partitions:
            raise SetupError(f"the database has {len(heads)} partitions of {partitions}: it was not seeded")
        for partition, head in heads.items():
            authority.load(
                head,
                await then.participants(partition),
                [each.row for each in await then.subjects(partition=partition)],
                await then.active_grants(partition),
            )
    return authority, {partition: head.next_offset for partition, head in heads.items()}
