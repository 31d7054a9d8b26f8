"""The bare baseline of the fan-out: `websockets.broadcast` of one frame to whoever connected, and nothing else.

`python -m carenet.bench.broadcaster FOLDER` is a child of a bench (`crew`). A client's path is its group; an order that
comes through the Unix socket names the group that is sent a frame, or everybody, and the frame's size.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import struct
from contextlib import AsyncExitStack
from pathlib import Path

from websockets.asyncio.server import ServerConnection, broadcast, serve
from websockets.typing import Subprotocol

from carenet.bench.crew import Task, Work, work_shift
from carenet.client import wire

ALL = 0xFFFF
_ORDER = struct.Struct("!HI")
_MOST_BYTES = 64 * 1024


def encode_order(group: int, frame_bytes: int) -> bytes:
    """What has one frame broadcast."""
    return _ORDER.pack(group, frame_bytes)


async def prepare(stack: AsyncExitStack, task: Task) -> Work:
    """See `crew`.

    Args:
        stack: closes the server.
        task: `port` (a file to write the port into), `orders` (the Unix socket).
    """
    groups: dict[int, set[ServerConnection]] = {}
    everybody: set[ServerConnection] = set()

    async def stay(connection: ServerConnection) -> None:
        assert connection.request is not None
        groups.setdefault(int(connection.request.path[1:]), set()).add(connection)
        everybody.add(connection)
        await connection.wait_closed()

    content = os.urandom(_MOST_BYTES)

    async def obey(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError):
            while True:
                group, size = _ORDER.unpack(await reader.readexactly(_ORDER.size))
                broadcast(everybody if group == ALL else groups[group], content[:size])
                await asyncio.sleep(0)  # each goes out by itself
        writer.close()

    known = [Subprotocol(wire.CBOR.subprotocol)]
    server = await stack.enter_async_context(serve(stay, "127.0.0.1", 0, subprotocols=known, compression=None))
    stack.push_async_callback(_close, await asyncio.start_unix_server(obey, task["orders"]))
    port = str(server.sockets[0].getsockname()[1])
    Path(task["port"]).write_text(port, encoding="utf-8")  # noqa: ASYNC240 - a few bytes, once

    async def work() -> int:
        await asyncio.get_running_loop().create_future()
        return 0

    return work


async def _close(server: asyncio.Server) -> None:
    server.close()
    await server.wait_closed()


if __name__ == "__main__":
    work_shift(prepare)
