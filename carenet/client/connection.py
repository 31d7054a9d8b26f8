"""One authenticated WebSocket to a gateway: frames out, frames in, and close codes told as our errors.

Not done here: matching answers to requests (`session`), reconnecting (`session` and `watch`).
"""

from __future__ import annotations

import asyncio
import secrets
import ssl
from dataclasses import dataclass
from typing import Literal, Self
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI
from websockets.typing import Subprotocol

from carenet.client import tls, wire
from carenet.client.handshake import Welcome, answer_challenge, check_welcome, origin_of
from carenet.errors import BadInputError, CarenetError, PushbackError, RefusedError, SetupError, TransportError
from carenet.sealing.identity import Identity
from carenet.statements.challenge import NONCE_BYTES

# Close codes of carenet.v1 (docs/formats.md).
SLOW_READER, BAD_MESSAGE, NOT_AUTHENTICATED, ACCESS_ENDED, TOO_MANY, TOO_BIG = 4001, 4002, 4003, 4004, 4008, 1009

MAX_RECEIVED_BYTES = 16 << 20  # an answer may carry many receipts and wraps
_PING_INTERVAL_S = 10.0
# A watcher that works on an update does not read pongs meanwhile; a peer that is silent for longer is gone.
_PING_TIMEOUT_S = 60.0
_TOO_MANY_WAIT_S = 2.0
_MAX_WAIT_S = 60.0  # whatever a server asks for
_LOOPBACK = {"127.0.0.1", "localhost", "::1"}


@dataclass(slots=True)
class Connection:
    """A connection that has said who it is.

    Attributes:
        identity: as whom it was accepted; an earlier key where the network has not seen the last rotation.
        welcome: what the gateway said.
    """

    identity: Identity
    welcome: Welcome
    _socket: ClientConnection
    _codec: wire.Codec

    @classmethod
    async def open(cls, url: str, identity: Identity, timeout_s: float, context: ssl.SSLContext | None = None) -> Self:
        """Connect and shake hands.

        Args:
            url: `ws://host:port` or `wss://host:port`.
            identity: who we are. If its newest key is not accepted, the one before is tried: a rotation is saved
                before the network hears of it.
            timeout_s: seconds for all of it.
            context: for `wss://` (`tls.make_context`); None trusts the system's authorities.

        Raises:
            TransportError: no gateway answers there.
            PushbackError: it has too many connections.
            SetupError: it and we do not agree on certificates.
            RefusedError: it does not know us (`not_authenticated`), or we are suspended.
            BadInputError: another network or origin, or a peer that does not speak the protocol.
        """
        try:
            async with asyncio.timeout(timeout_s):
                return await cls._open(url, identity, context)
        except TimeoutError as exc:
            raise TransportError(f"no gateway answers at {origin_of(url)}") from exc
        except RefusedError as exc:
            earlier = identity.earlier()
            if exc.reason != "not_authenticated" or earlier is None:
                raise
            return await cls.open(url, earlier, timeout_s, context)

    @classmethod
    async def _open(cls, url: str, identity: Identity, context: ssl.SSLContext | None) -> Self:
        socket = await _dial(url, context)
        try:
            codec = wire.CODECS.get(socket.subprotocol or "", wire.JSON)
            challenge = await _receive(socket, codec)
            hello = answer_challenge(challenge, url, identity, secrets.token_bytes(NONCE_BYTES))
            await _send_frame(socket, codec, codec.pack(hello))
            return cls(identity, check_welcome(await _receive(socket, codec), identity), socket, codec)
        except BaseException:
            await socket.close()
            raise

    async def send(self, message: wire.Message) -> None:
        """Send one frame.

        Raises:
            BadInputError: it is larger than the gateway takes.
            TransportError: the connection is gone (or another error by the close code, see `receive`).
        """
        frame = self._codec.pack(message)
        if len(frame) > self.welcome.max_frame:
            raise BadInputError(f"a frame of {len(frame)} bytes; the gateway takes {self.welcome.max_frame}")
        await _send_frame(self._socket, self._codec, frame)

    async def receive(self) -> wire.Message:
        """The next frame; cancelling it loses nothing.

        Raises:
            TransportError: the connection is gone; connect again and resume.
            PushbackError: the gateway has too many requests of ours.
            RefusedError: we may not be here (any more).
            BadInputError: the gateway could not read a frame of ours, or sent one that we cannot read.
        """
        return await _receive(self._socket, self._codec)

    async def close(self) -> None:
        """Say goodbye."""
        await self._socket.close()

    def __repr__(self) -> str:
        return f"<Connection as {self.identity.name}: {self._socket.state.name.lower()}>"


def _kind(losses: list[Exception]) -> type[ClientConnection]:
    """A kind of connection that notes how it was lost, of which its handshake says nothing."""

    class Socket(ClientConnection):
        def connection_lost(self, exc: Exception | None) -> None:
            if exc is not None:
                losses.append(exc)
            super().connection_lost(exc)

    return Socket


async def _dial(url: str, context: ssl.SSLContext | None) -> ClientConnection:
    origin = origin_of(url)
    losses: list[Exception] = []
    proxy: Literal[True] | None = None if urlsplit(url).hostname in _LOOPBACK else True
    try:
        return await connect(
            url,
            subprotocols=[Subprotocol(each) for each in wire.CODECS],
            create_connection=_kind(losses),
            compression=None,  # sealed bytes do not compress
            proxy=proxy,
            ssl=(context or tls.make_context(tls.TlsTrust())) if url.startswith("wss:") else None,
            open_timeout=None,  # the caller's timeout covers the handshake too
            ping_interval=_PING_INTERVAL_S,
            ping_timeout=_PING_TIMEOUT_S,
            close_timeout=1,
            max_size=MAX_RECEIVED_BYTES,
        )
    except InvalidURI as exc:
        raise BadInputError("a gateway's address is ws://HOST:PORT or wss://HOST:PORT") from exc
    except InvalidStatus as exc:
        raise _turned_away(origin, exc) from exc
    except (OSError, InvalidHandshake, EOFError) as exc:
        # In TLS 1.3 a gateway's no comes after our handshake, and is then only known to the connection.
        failure = tls.find_failure(exc) or tls.find_failure(losses[-1] if losses else None)
        if failure is not None:
            raise SetupError(f"the gateway at {origin}: {tls.explain(failure)}") from exc
        other = "without TLS is dialled as ws://" if url.startswith("wss:") else "with TLS is dialled as wss://"
        hint = "" if isinstance(exc, ConnectionRefusedError) else f" (a gateway {other})"
        raise TransportError(f"no gateway answers at {origin}: {type(exc).__name__}{hint}") from exc


def _turned_away(origin: str, exc: InvalidStatus) -> TransportError:
    """What a gateway that has enough connections, or a proxy in front of one, says instead of a handshake."""
    response = exc.response
    said = f"the gateway at {origin} answers {response.status_code}: {response.body[:200].decode(errors='replace')!r}"
    wait = response.headers.get("Retry-After", "")
    if not wait.isascii() or not wait.isdecimal():
        return TransportError(said)
    return PushbackError(said, min(float(wait), _MAX_WAIT_S))


async def _send_frame(socket: ClientConnection, codec: wire.Codec, frame: bytes) -> None:
    try:
        await socket.send(frame, text=codec.is_text)
    except ConnectionClosed as exc:
        raise _closed(exc) from exc


async def _receive(socket: ClientConnection, codec: wire.Codec) -> wire.Message:
    try:
        frame = await socket.recv(decode=False)
    except ConnectionClosed as exc:
        raise _closed(exc) from exc
    return codec.unpack(frame)


def _closed(exc: ConnectionClosed) -> CarenetError:
    """The error that a close code means: what the caller can do about it."""
    code = exc.rcvd.code if exc.rcvd else None
    if code == NOT_AUTHENTICATED:
        return RefusedError("not_authenticated", "the gateway does not know this key as a participant's current one")
    if code == ACCESS_ENDED:
        return RefusedError("suspended", "the gateway ended this participant's access")
    if code == TOO_MANY:
        return PushbackError("the gateway has too many requests of ours", _TOO_MANY_WAIT_S)
    if code in {BAD_MESSAGE, TOO_BIG}:
        return BadInputError(f"the gateway could not read a frame of ours (close code {code})")
    return TransportError(f"the connection to the gateway is gone (close code {code})")
