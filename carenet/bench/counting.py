"""What a bench's watchers count with: frames of a WebSocket, by their headers alone, so that clients cost little.

Each process of watchers writes what it has counted into a file that the bench has mapped too.
"""

from __future__ import annotations

import asyncio
import mmap
from pathlib import Path
from typing import Self, cast

_NUMBERS = 3
_BYTES = 8 * _NUMBERS
_BUFFER_BYTES = 256 * 1024

# RFC 6455, section 5.2.
_CLOSE, _PING, _PONG = 0x8, 0x9, 0x8A
_OPCODE, _MASKED, _LENGTH = 0x0F, 0x80, 0x7F
_LONGER = {126: 2, 127: 8}  # bytes of a length that does not fit into the second byte
_LONGEST_HEAD = 10
_NO_MASK = bytes(4)  # a client must mask; with zeros that changes nothing


class Tally:
    """Three numbers of one process, shared through a file: frames, their bytes, and connections that were lost."""

    def __init__(self, path: Path) -> None:
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), _BYTES)
        self._numbers = memoryview(self._map).cast("Q")

    @classmethod
    def create(cls, path: Path) -> Self:
        """A tally at zero."""
        path.write_bytes(bytes(_BYTES))
        return cls(path)

    @property
    def frames(self) -> int:
        """Data frames that came whole."""
        return self._numbers[0]

    @property
    def payload_bytes(self) -> int:
        """Their payloads together."""
        return self._numbers[1]

    @property
    def lost(self) -> int:
        """Connections that ended."""
        return self._numbers[2]

    def count(self, frames: int, payload_bytes: int) -> None:
        """Add to them."""
        self._numbers[0] += frames
        self._numbers[1] += payload_bytes

    def lose(self) -> None:
        """Add a connection that ended."""
        self._numbers[2] += 1


class Counter(asyncio.BufferedProtocol):
    """Counts the data frames of one connection that has shaken hands, and answers pings.

    Args:
        tally: where to.
        buffer: shared by all connections of the process: what came is looked at before anything else comes.
    """

    __slots__ = ("_buffer", "_control", "_head", "_left", "_opcode", "_tally", "_transport")

    def __init__(self, tally: Tally, buffer: memoryview) -> None:
        self._tally = tally
        self._buffer = buffer
        self._head = b""  # of a frame whose header came in pieces
        self._left = 0  # bytes of the frame under way
        self._opcode = 0
        self._control = b""  # what a control frame holds
        self._transport: asyncio.Transport | None = None

    @staticmethod
    def make_buffer() -> memoryview:
        """A buffer for all connections of a process."""
        return memoryview(bytearray(_BUFFER_BYTES))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """See asyncio."""
        self._tally.lose()

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - asyncio's signature
        """See asyncio."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Go through what came."""
        at = frames = payload = 0
        while at < nbytes:
            if self._left == 0:
                at = self._read_head(at, nbytes)
            step = min(self._left, nbytes - at)
            if step == 0:
                continue  # the header is not whole, or the frame is empty
            if self._opcode >= _CLOSE:
                self._control += bytes(self._buffer[at : at + step])
            else:
                payload += step
            at += step
            self._left -= step
            if self._left == 0:
                frames += self._end_frame()
        self._tally.count(frames, payload)

    def _read_head(self, at: int, end: int) -> int:
        """Take a header, or what there is of it; where the payload begins."""
        before = len(self._head)
        head = self._head + bytes(self._buffer[at : min(end, at + _LONGEST_HEAD - before)])
        wide = _LONGER.get(head[1] & _LENGTH, 0) if len(head) > 1 else 0
        if len(head) < 2 + wide:
            self._head = head
            return end
        self._head, self._opcode = b"", head[0] & _OPCODE
        self._left = int.from_bytes(head[2 : 2 + wide], "big") if wide else head[1] & _LENGTH
        return at + 2 + wide - before

    def _end_frame(self) -> int:
        """How many data frames have ended."""
        if self._opcode < _CLOSE:
            return 1
        content, self._control = self._control, b""
        if self._opcode == _PING and self._transport is not None:
            self._transport.write(bytes((_PONG, _MASKED | len(content))) + _NO_MASK + content)
        return 0
