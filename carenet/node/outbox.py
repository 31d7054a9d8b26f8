"""Handing committed entries on to the node's own topic, for its stream processors.

Only what was committed is sent, so nothing is announced that a crash could undo; at least once, and in order. What this
worker has just committed is taken from its memory; after a start, and when more has gathered than is kept, it is read
from PostgreSQL by `published_index`. That mark is written once a second, so a crash repeats up to a second's entries:
readers drop those whose (partition, index) they have had.

Record: key = the subject's id as text, value = a `FeedRecord`; the same partition number as the events'. What comes
within a second goes together, unless something waits for it, so that under load a record holds many entries.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import structlog

from carenet.bus.publishing import Producer
from carenet.errors import TransportError
from carenet.node.backoff import Backoff
from carenet.node.feed import FeedEntry, build_feed_records
from carenet.rules.effects import Accepted
from carenet.store.store import Store

_PAGE = 500  # entries that are read and sent at a time
_MOST_FRESH = 8192  # entries that are kept in memory, about 20 MB
_MARK_EVERY_S = 1.0
_GATHER_S = 1.0  # after a commit: one send for what comes meanwhile
_ENOUGH = _MOST_FRESH // 4  # entries that are not gathered any longer

_log = structlog.get_logger(__name__)


class EntriesOutbox:
    """Publishes one partition's entries while this worker serves it.

    Args:
        store: the node's.
        producer: to Kafka.
        topic: the node's entries topic.
        partition: from 0.
    """

    def __init__(self, store: Store, producer: Producer, topic: str, partition: int) -> None:
        self._store, self._producer, self._topic, self._partition = store, producer, topic, partition
        self._woken = asyncio.Event()
        self._hurried = asyncio.Event()
        self._published: int | None = None  # unknown until the store was asked
        self._marked = 0
        self._marked_at_s = 0.0
        self._fresh: list[Accepted] = []  # the last ones committed, without a gap
        self._size: int | None = None  # of the log after the last commit of ours

    def __repr__(self) -> str:
        return f"<EntriesOutbox {self._partition}: {self._published} published, {self._marked} marked>"

    def count_unpublished(self, size: int) -> int:
        """How many of a partition's entries were not sent yet; 0 until the store was asked."""
        return max(0, size - self._published) if self._published is not None else 0

    def note_commit(self, accepted: Sequence[Accepted], is_urgent: bool) -> None:
        """Hand over what was committed; urgent entries, which a relay waits for, are sent at once."""
        if len(self._fresh) + len(accepted) > _MOST_FRESH:
            self._fresh.clear()
        self._fresh += accepted
        self._size = accepted[-1].index + 1
        self._woken.set()
        if is_urgent or len(self._fresh) >= _ENOUGH:
            self._hurried.set()

    async def run(self) -> None:
        """Publish until cancelled; PostgreSQL and Kafka may go away meanwhile."""
        backoff = Backoff()
        while True:
            try:
                if not await self._publish_page():
                    await self._wait()
                backoff.reset()
            except TransportError as exc:
                _log.warning("entries_delayed", partition=self._partition, error=str(exc))
                await asyncio.sleep(backoff.next_s())

    async def _publish_page(self) -> bool:
        """Send the next entries; whether there were any."""
        if self._published is None:
            self._published = self._marked = (await self._store.heads())[self._partition].published_index
        self._woken.clear()  # before reading: what is committed from here on wakes us again
        self._hurried.clear()
        page = self._take_fresh(self._published)
        if not page and self._published != self._size:
            page = await self._read(self._published)
        if page:
            records = list(build_feed_records(self._partition, page))
            await self._producer.send_all(self._topic, self._partition, records)
            self._published = page[-1][1].index + 1
        if self._published > self._marked and time.monotonic() - self._marked_at_s >= _MARK_EVERY_S:
            await self._mark()
        return bool(page)

    def _take_fresh(self, published: int) -> list[tuple[bytes, FeedEntry]]:
        """What follows what was published, with the subjects, if that is in memory; it stays there if sending fails."""
        self._fresh = [each for each in self._fresh if each.index >= published]
        if not self._fresh or self._fresh[0].index > published:
            return []
        return [(each.entry.subject, FeedEntry(each.index, each.leaf, each.statement.encoded)) for each in self._fresh]

    async def _read(self, published: int) -> list[tuple[bytes, FeedEntry]]:
        """The next ones in the store, with their subjects."""
        return [
            (each.subject, FeedEntry(each.index, each.entry, each.statement))
            for each in await self._store.read_outbox(self._partition, published, _PAGE)
        ]

    async def _wait(self) -> None:
        """Until something was committed, or until the mark is due."""
        is_due = self._published is not None and self._published > self._marked
        try:
            async with asyncio.timeout(_MARK_EVERY_S if is_due else None):
                await self._woken.wait()
            async with asyncio.timeout(_GATHER_S):
                await self._hurried.wait()
        except TimeoutError:
            pass

    async def _mark(self) -> None:
        assert self._published is not None
        await self._store.mark_published(self._partition, self._published)
        self._marked = self._published
        self._marked_at_s = time.monotonic()


class SilentOutbox(EntriesOutbox):
    """Hands nothing on: for a node without stream processors, to whom its entries topic would be of no use."""

    def note_commit(self, accepted: Sequence[Accepted], is_urgent: bool) -> None:
        """Keep nothing."""

    async def run(self) -> None:
        """Wait until cancelled."""
        await asyncio.Event().wait()
