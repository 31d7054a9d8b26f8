"""A gateway on a real socket that says what a test tells it to, true or not."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from carenet.client.wire import CODECS, Codec
from carenet.encoding.ids import encode_id
from tests.support.world import World

Message = dict[str, Any]


@dataclass
class Scripted:
    """What the gateway says.

    Attributes:
        world: whose network it claims to serve.
        answer: told each request after the handshake (and the socket), returns what to send, or None.
        challenge: fields of the challenge that differ from the truth.
        welcome: fields of the welcome that differ from the truth.
        is_mute: whether it says nothing at all.
        close_after_hello: a close code instead of a welcome.
        asked: every request that came.
        connections: how many there were.
        subprotocols: those that it knows.
        url: where it listens.
    """

    world: World
    answer: Callable[[Message, ServerConnection], Awaitable[Message | None]]
    challenge: Message = field(default_factory=dict)
    welcome: Message = field(default_factory=dict)
    is_mute: bool = False
    close_after_hello: int | None = None
    asked: list[Message] = field(default_factory=list)
    connections: int = 0
    subprotocols: tuple[str, ...] = tuple(CODECS)
    url: str = ""

    async def handle(self, socket: ServerConnection) -> None:
        """One connection."""
        self.connections += 1
        try:
            if self.is_mute:
                await socket.wait_closed()
            await self._shake_hands(socket)
            codec = codec_of(socket)
            async for frame in socket:
                request = codec.unpack(frame)
                self.asked.append(request)
                said = await self.answer(request, socket)
                if said is not None:
                    await send(socket, {"type": "reply", "id": request["id"]} | said)
        except ConnectionClosed:
            pass

    async def _shake_hands(self, socket: ServerConnection) -> None:
        network = encode_id(self.world.network)
        challenge = {"type": "challenge", "network": network, "origin": self.url, "nonce": bytes(32)}
        await send(socket, challenge | self.challenge)
        hello = codec_of(socket).unpack(await socket.recv())
        if self.close_after_hello is not None:
            await socket.close(self.close_after_hello)
            return
        welcome = {"type": "welcome", "participant": hello["participant"], "name": "someone", "roles": []}
        welcome |= {"partitions": 3, "genesis": self.world.genesis.encode(), "max_frame": 100_000}
        await send(socket, welcome | self.welcome)


def codec_of(socket: ServerConnection) -> Codec:
    """The codec that was agreed on."""
    return CODECS[socket.subprotocol or ""]


async def send(socket: ServerConnection, message: Message) -> None:
    """Say something."""
    codec = codec_of(socket)
    await socket.send(codec.pack(message), text=codec.is_text)


@asynccontextmanager
async def listening(gateway: Scripted) -> AsyncIterator[Scripted]:
    """Open its port."""
    known = [Subprotocol(each) for each in gateway.subprotocols]
    server = await serve(gateway.handle, "127.0.0.1", 0, subprotocols=known, close_timeout=1)
    gateway.url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield gateway
    finally:
        server.close()
        await server.wait_closed()
