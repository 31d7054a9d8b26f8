"""What waits for one session's socket, and the turn in which it is written.

Whoever fills an outbox never awaits, so one slow reader delays nobody. Entries are only put in while there is room,
that is up to half of the bounds; the rest is for answers and notices. When it overflows all the same, the session ends
(4001) and the client resumes from its cursor.

What is put in during one turn of the event loop is written when it comes round: several entries for one session are
one system call, which costs more than all else that a push does.
"""

from __future__ import annotations

import asyncio
from typing import Protocol


class Outbox:
    """See the module header.

    Args:
        max_bytes: most bytes that wait.
        max_frames: most frames that wait.
    """

    __slots__ = ("_awaited", "_bytes", "_frames", "_max_bytes", "_max_frames")

    def __init__(self, max_bytes: int, max_frames: int) -> None:
        self._max_bytes = max_bytes
        self._max_frames = max_frames
        self._frames: list[bytes] = []
        self._bytes = 0
        self._awaited: asyncio.Future[None] | None = None  # who waits for room

    def __repr__(self) -> str:
        return f"<Outbox with {len(self._frames)} frames, {self._bytes} bytes>"

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits."""
        return not self._frames

    def put(self, frame: bytes) -> bool:
        """Add a frame; False, and nothing added, if the outbox would overflow."""
        size = self._bytes + len(frame)
        if len(self._frames) >= self._max_frames or (self._frames and size > self._max_bytes):
            return False
        self._frames.append(frame)
        self._bytes = size
        return True

    def take(self, max_bytes: int) -> list[bytes]:
        """The next frames, as many as have so many bytes together, but at least one if there is any."""
        taken = self._frames
        if self._bytes > max_bytes:
            count, size = 1, len(taken[0])
            while count < len(taken) and size + len(taken[count]) <= max_bytes:
                size += len(taken[count])
                count += 1
            taken = taken[:count]
            del self._frames[:count]
            self._bytes -= size
        else:
            self._frames = []
            self._bytes = 0
        if self._awaited is not None and self.has_room and not self._awaited.done():
            self._awaited.set_result(None)
        return taken

    @property
    def has_room(self) -> bool:
        """Whether at most half of it is used."""
        return 2 * self._bytes <= self._max_bytes and 2 * len(self._frames) <= self._max_frames

    async def room(self) -> None:
        """Wait until there is room; one may wait at a time."""
        while not self.has_room:
            self._awaited = asyncio.get_running_loop().create_future()
            try:
                await self._awaited
            finally:
                self._awaited = None


class Writer(Protocol):
    """Who has something to write."""

    def flush(self) -> None:
        """Write what waits, as far as the socket takes it."""


class Turn:
    """Those who have something to write, each of them written once when the event loop comes round."""

    def __init__(self) -> None:
        self._writers: list[Writer] = []

    def __repr__(self) -> str:
        return f"<Turn with {len(self._writers)} writers>"

    def add(self, writer: Writer) -> None:
        """Write for this one too."""
        if not self._writers:
            asyncio.get_running_loop().call_soon(self._flush)
        self._writers.append(writer)

    def _flush(self) -> None:
        writers, self._writers = self._writers, []
        for writer in writers:
            writer.flush()
