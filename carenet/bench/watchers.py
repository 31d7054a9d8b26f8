"""A process of watchers: connections that sign in and subscribe for real, and from then on only count what comes.

`python -m carenet.bench.watchers FOLDER` is a child of a bench (`crew`). Its task names the gateway, the key files and
what each watches, and where the bare broadcaster listens, if it is to listen there too. Everything up to `caught_up`
goes through websockets' protocol without I/O and the SDK's own handshake; then `counting` takes the socket.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from websockets.client import ClientProtocol
from websockets.frames import Frame
from websockets.typing import Subprotocol
from websockets.uri import parse_uri

from carenet.bench.counting import Counter, Tally
from carenet.bench.crew import Task, Work, work_shift
from carenet.client import wire
from carenet.client.handshake import answer_challenge, check_welcome
from carenet.errors import BadInputError, TransportError
from carenet.sealing.identity import Identity
from carenet.sealing.keyfile import load_identity
from carenet.statements.challenge import NONCE_BYTES

_AT_ONCE = 32  # connections that are made side by side
_READ_BYTES = 64 * 1024


class Line:
    """One connection while it signs in.

    Args:
        url: the server's.
        stream: connected.
    """

    def __init__(self, url: str, stream: socket.socket) -> None:
        self._stream = stream
        self._protocol = ClientProtocol(parse_uri(url), subprotocols=[Subprotocol(wire.CBOR.subprotocol)])
        self._frames: list[Frame] = []

    async def shake_hands(self) -> None:
        """Become a WebSocket."""
        self._protocol.send_request(self._protocol.connect())
        await self._flush()
        while self._protocol.handshake_exc is None and self._protocol.state.name == "CONNECTING":
            await self._receive()
        if self._protocol.handshake_exc is not None:
            raise TransportError("no WebSocket there") from self._protocol.handshake_exc

    async def send(self, message: wire.Message) -> None:
        """One message."""
        self._protocol.send_binary(wire.CBOR.pack(message))
        await self._flush()

    async def next_message(self) -> wire.Message:
        """The next message."""
        while not self._frames:
            await self._receive()
        return wire.CBOR.unpack(bytes(self._frames.pop(0).data))

    async def _flush(self) -> None:
        for data in self._protocol.data_to_send():
            await asyncio.get_running_loop().sock_sendall(self._stream, data)

    async def _receive(self) -> None:
        data = await asyncio.get_running_loop().sock_recv(self._stream, _READ_BYTES)
        if not data:
            raise TransportError("the connection ended while it was set up")
        self._protocol.receive_data(data)
        self._frames += [each for each in self._protocol.events_received() if isinstance(each, Frame)]
        await self._flush()


class Watchers:
    """The connections of this process.

    Args:
        stack: closes them.
    """

    def __init__(self, stack: AsyncExitStack) -> None:
        self._stack = stack
        self._buffer = Counter.make_buffer()
        self._turns = asyncio.Semaphore(_AT_ONCE)

    async def watch(self, url: str, identity: Identity, request: wire.Message, tally: Tally) -> None:
        """Sign in, subscribe, and count from then on."""
        async with self._turns:
            stream = await self._connect(url)
            line = Line(url, stream)
            await line.shake_hands()
            nonce = secrets.token_bytes(NONCE_BYTES)
            await line.send(answer_challenge(await line.next_message(), url, identity, nonce))
            check_welcome(await line.next_message(), identity)
            await line.send(request)
            if (await line.next_message())["type"] != "subscribed":
                raise BadInputError("a watcher was not let in")
            while (message := await line.next_message())["type"] != "caught_up" or message.get("all") is not True:
                pass
            await self._count(stream, tally)

    async def listen(self, url: str, tally: Tally) -> None:
        """Connect to a bare server, which sends without being asked."""
        async with self._turns:
            stream = await self._connect(url)
            await Line(url, stream).shake_hands()
            await self._count(stream, tally)

    async def _connect(self, url: str) -> socket.socket:
        stream = socket.socket()
        stream.setblocking(False)
        parts = urlsplit(url)
        await asyncio.get_running_loop().sock_connect(stream, (parts.hostname, parts.port))
        return stream

    async def _count(self, stream: socket.socket, tally: Tally) -> None:
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_connection(lambda: Counter(tally, self._buffer), sock=stream)
        self._stack.callback(transport.abort)


async def prepare(stack: AsyncExitStack, task: Task) -> Work:
    """See `crew`: all connections stand when this returns; there is no further work but to count.

    Args:
        stack: closes them.
        task: `gateway`, `tally`, `at` (the cursor to begin at) and `watchers`, each with its `key` file and `subjects`;
            `bare` and `bare_tally`, where the same number is to connect there.
    """
    watchers = Watchers(stack)
    tally = Tally(Path(task["tally"]))
    async with asyncio.TaskGroup() as group:
        for each in task["watchers"]:
            request = {"type": "subscribe", "id": 1, "subjects": each["subjects"]}
            request |= {"cursor": {"at": task["at"], "behind": {}}}
            group.create_task(watchers.watch(task["gateway"], _identity(each), request, tally))
        if task.get("bare"):
            bare_tally = Tally(Path(task["bare_tally"]))
            for each in task["watchers"]:
                group.create_task(watchers.listen(f"{task['bare']}/{each['group']}", bare_tally))

    async def stay() -> int:
        await asyncio.get_running_loop().create_future()
        return 0

    return stay


def _identity(watcher: dict[str, Any]) -> Identity:
    return load_identity(Path(watcher["key"]))


if __name__ == "__main__":
    work_shift(prepare)
