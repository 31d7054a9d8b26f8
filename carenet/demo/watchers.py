"""Watchers over the gateway: each watches all that it may read, opens it, counts it, and measures how long it took."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from carenet.client.care import Care
from carenet.client.cursor import Cursor
from carenet.client.updates import Update
from carenet.client.watch import Watch
from carenet.demo.tally import Tally


@dataclass(frozen=True, slots=True)
class Push:
    """Something that a watcher was pushed.

    Attributes:
        watcher: its name.
        update: opened, if it holds the key.
        is_of_run: whether the entry was folded in this run.
        latency_ms: from the publish call to here, of a live event that was published here.
    """

    watcher: str
    update: Update
    is_of_run: bool
    latency_ms: float | None


OnPush = Callable[[Push], None]


class Stopwatch:
    """When each event's publish call began, so that whoever is pushed it can tell how long it took."""

    def __init__(self) -> None:
        self._began: dict[tuple[bytes, bytes], float] = {}

    def start(self, subject: bytes, cti: bytes) -> None:
        """The publish call of an event begins now."""
        self._began[subject, cti] = time.perf_counter()

    def read_ms(self, subject: bytes, cti: bytes) -> float | None:
        """Milliseconds since then; None for an event that was not published here."""
        began = self._began.get((subject, cti))
        return None if began is None else (time.perf_counter() - began) * 1000


@dataclass(slots=True)
class Watcher:
    """One watcher of a run.

    Attributes:
        name: one of the cast.
        tally: what it was pushed.
        latencies_ms: of the live events that were published here.
        watch: the subscription.
    """

    name: str
    tally: Tally
    watch: Watch
    latencies_ms: list[float] = field(default_factory=list)

    @classmethod
    def of(cls, name: str, care: Care, began: Mapping[int, int], cursor: str | None) -> Watcher:
        """A watcher of all that a participant may read.

        Args:
            name: one of the cast.
            care: its connection.
            began: the size of each partition's log when the run began.
            cursor: where its last run ended, as text; None begins with everything.
        """
        return cls(name, Tally(began), care.watch(cursor=None if cursor is None else Cursor.decode(cursor)))

    async def follow(self, stopwatch: Stopwatch, on_push: OnPush) -> None:
        """Take what is pushed until cancelled or closed.

        Raises:
            CorruptionError: the gateway showed what was not signed or not folded.
            RefusedError: this participant may not watch any more.
        """
        async for update in self.watch:
            on_push(self._take(update, stopwatch))

    def _take(self, update: Update, stopwatch: Stopwatch) -> Push:
        is_opened = update.statement.is_control or update.content is not None
        is_of_run = self.tally.note((update.partition, update.index), is_opened=is_opened)
        latency_ms = None
        if is_of_run and not update.is_backlog:
            latency_ms = stopwatch.read_ms(update.entry.subject, update.statement.header.cti)
        if latency_ms is not None:
            self.latencies_ms.append(latency_ms)
        return Push(self.name, update, is_of_run, latency_ms)
