"""Watching timelines: an async iterator of updates that reconnects by itself and resumes from its cursor.

It reads its own socket directly, so the one that works slowly on updates slows only itself: the gateway cuts it off
with a resumable code rather than buffer without bound. A message counts as delivered (and moves the cursor) when its
update is handed out; one whose handling was cancelled is handled again.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from carenet.client import wire
from carenet.client.backoff import Backoff
from carenet.client.connection import Connection
from carenet.client.cursor import Cursor
from carenet.client.opening import Opener
from carenet.client.session import read_error
from carenet.client.updates import CaughtUp, Event, Update, Withdrawn
from carenet.errors import EncodingError, PushbackError, TransportError


@dataclass(frozen=True, slots=True)
class Selection:
    """What to watch.

    Attributes:
        patients: ids as text; None for all that the reader may see.
        types: event types, each may end in `.*`; None for all.
        compartments: names; None for all.
    """

    patients: tuple[str, ...] | None
    types: tuple[str, ...] | None = None
    compartments: tuple[str, ...] | None = None

    def to_message(self, cursor: Cursor | None) -> wire.Message:
        """The `subscribe` request."""
        message: wire.Message = {"type": "subscribe", "id": 0}
        message["subjects"] = "all" if self.patients is None else list(self.patients)
        if self.types is not None:
            message["types"] = list(self.types)
        if self.compartments is not None:
            message["compartments"] = list(self.compartments)
        if cursor is not None:
            message["cursor"] = cursor.to_message()
        return message


class Watch:
    """A subscription: iterate it for updates, or `events()` for updates and notices; an async context manager.

    Args:
        selection: what to watch.
        dial: makes a connection.
        opener: makes updates of pushes.
        cursor: where to resume; None begins with the whole backlog.

    Iterating raises:
        CorruptionError: the gateway showed what was not signed or not folded; go to another one.
        RefusedError: this participant may not watch (any more).
        BadInputError: the gateway does not understand us, or we not it.
    """

    def __init__(
        self, selection: Selection, dial: Callable[[], Awaitable[Connection]], opener: Opener, cursor: Cursor | None
    ) -> None:
        self._selection = selection
        self._dial = dial
        self._opener = opener
        self._cursor = cursor.copy() if cursor is not None else None
        self._connection: Connection | None = None
        self._pending: wire.Message | None = None
        self._ready: deque[Event] = deque()
        self._backoff = Backoff()
        self._is_closed = False

    def __repr__(self) -> str:
        state = "closed" if self._is_closed else "live" if self._connection else "away"
        return f"<Watch {state}, {self._cursor!r}>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End the subscription; the cursor stays."""
        self._is_closed = True
        await self._hang_up()

    @property
    def cursor(self) -> Cursor:
        """The place after the last update that was handed out, to resume from; empty before the first connection."""
        return Cursor() if self._cursor is None else self._cursor.copy()

    def __aiter__(self) -> AsyncIterator[Update]:
        return self

    async def __anext__(self) -> Update:
        while True:
            event = await self.next_event()
            if isinstance(event, Update):
                return event

    async def events(self) -> AsyncIterator[Event]:
        """Updates and notices in the order in which they hold."""
        try:
            while True:
                yield await self.next_event()
        except StopAsyncIteration:
            return

    async def next_event(self) -> Event:
        """The next update or notice.

        Raises:
            StopAsyncIteration: the watch was closed. Otherwise as the class says.
        """
        while not self._is_closed:
            if self._ready:
                return self._ready.popleft()
            try:
                await self._step()
            except PushbackError as exc:
                await self._hang_up()
                await asyncio.sleep(exc.retry_after_s)
            except TransportError:
                await self._hang_up()
                await asyncio.sleep(self._backoff.next_s())
        raise StopAsyncIteration

    async def _step(self) -> None:
        if self._connection is None:
            self._connection = await self._dial()
            await self._connection.send(self._selection.to_message(self._cursor))
        if self._pending is None:
            self._pending = await self._connection.receive()
        self._ready.extend(await self._handle(self._pending))
        self._pending = None

    async def _hang_up(self) -> None:
        connection, self._connection = self._connection, None
        self._pending = None  # the gateway sends it again: the cursor has not passed it
        if connection is not None:
            await connection.close()

    async def _handle(self, message: wire.Message) -> list[Event]:
        kind = message["type"]
        if kind == "entry":
            return [await self._handle_entry(message)]
        if kind == "subscribed":
            self._backoff.reset()
            self._cursor = Cursor.of_message(message)
            return [Withdrawn(patient) for patient in wire.read_texts(message, "withdrawn")]
        if kind == "behind":
            self._place.fall_behind(message)
        elif kind == "caught_up":
            caught_up = CaughtUp(wire.read_texts(message, "subjects"), message.get("all") is True)
            self._place.catch_up(message, caught_up.patients)
            return [caught_up]
        elif kind == "withdrawn":
            patient = wire.read_text(message, "subject")
            self._place.catch_up(message, (patient,))
            return [Withdrawn(patient)]
        elif kind == "error":
            raise read_error(message)
        return []  # or a message of a later version

    async def _handle_entry(self, message: wire.Message) -> Update:
        update = await self._opener.open(message)
        if update.is_backlog:
            self._place.pass_backlog(update.patient, update.seq)
        else:
            self._place.pass_live(update.partition, update.index)
        return update

    @property
    def _place(self) -> Cursor:
        if self._cursor is None:
            raise EncodingError("the gateway pushes before it says subscribed")
        return self._cursor
