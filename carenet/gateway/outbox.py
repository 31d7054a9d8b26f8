"""What waits while one session's socket takes no more: bounded in frames and bytes, filled without waiting.

Whoever fills it never awaits, so one slow reader delays nobody. Entries are only put in while there is room, that is
up to half of the bounds; the rest is for answers and notices. When it overflows all the same, the session ends (4001)
and the client resumes from its cursor.
"""

from __future__ import annotations

import asyncio
from collections import deque


class Outbox:
    """See the module header.

    Args:
        max_bytes: most bytes that wait.
        max_frames: most frames that wait.
    """

    def __init__(self, max_bytes: int, max_frames: int) -> None:
        self._max_bytes = max_bytes
        self._max_frames = max_frames
        self._frames: deque[bytes] = deque()
        self._bytes = 0
        self._has_room = asyncio.Event()
        self._has_room.set()

    def __repr__(self) -> str:
        return f"<Outbox with {len(self._frames)} frames, {self._bytes} bytes>"

    def put(self, frame: bytes) -> bool:
        """Add a frame; False, and nothing added, if the outbox would overflow."""
        if len(self._frames) >= self._max_frames or (self._frames and self._bytes + len(frame) > self._max_bytes):
            return False
        self._frames.append(frame)
        self._bytes += len(frame)
        if 2 * self._bytes > self._max_bytes or 2 * len(self._frames) > self._max_frames:
            self._has_room.clear()
        return True

    def take(self) -> bytes:
        """The next frame; there must be one."""
        frame = self._frames.popleft()
        self._bytes -= len(frame)
        if 2 * self._bytes <= self._max_bytes and 2 * len(self._frames) <= self._max_frames:
            self._has_room.set()
        return frame

    def __len__(self) -> int:
        return len(self._frames)

    @property
    def has_room(self) -> bool:
        """Whether at most half of it is used."""
        return self._has_room.is_set()

    async def room(self) -> None:
        """Wait until there is room."""
        await self._has_room.wait()
