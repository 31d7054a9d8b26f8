"""Questions and answers over one connection that is made again when it breaks: many in flight, one reader.

Everything asked here may be asked twice: a question whose connection broke is put again on the next one. That holds
for `publish` too, since the same bytes again are the one event.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import ssl
from types import TracebackType
from typing import Self

from carenet.client import wire
from carenet.client.backoff import Backoff
from carenet.client.connection import Connection
from carenet.client.handshake import Welcome
from carenet.client.pace import MAX_HOLD_S, Pace, spread
from carenet.errors import CarenetError, EncodingError, PushbackError, RefusedError, TransportError
from carenet.sealing.identity import Identity

CONNECT_TIMEOUT_S = 10.0
# Reasons of a gateway's error that are no decision: a server behind it cannot be reached now.
_OVERLOADED = "overloaded"
TRANSIENT = frozenset({"unavailable", "busy", "timeout"})


class DeclinedError(RefusedError):
    """The gateway answered one question with an error; the session goes on."""


class Session:
    """A reconnecting conversation with a gateway; an async context manager.

    Args:
        url: the gateway's.
        identity: who we are.
        patience_s: seconds that a question is tried again while the gateway, or a server behind it, is away.
        context: for a `wss://` gateway; None trusts the system's authorities.
        pace: held while the gateway says that the node is behind.

    Raises:
        TransportError: on entering, if no gateway answers.
        RefusedError: on entering, if it does not know us.
        SetupError: on entering, if it and we do not agree on certificates.
        BadInputError: on entering, if it is not a gateway of our network.
    """

    def __init__(
        self,
        url: str,
        identity: Identity,
        patience_s: float,
        context: ssl.SSLContext | None = None,
        pace: Pace | None = None,
    ) -> None:
        self.url = url
        self.context = context
        self.pace = pace or Pace()
        self.identity = identity
        self._accepted_as = identity
        self._patience_s = patience_s
        self._connection: Connection | None = None
        self._connected = asyncio.Event()
        self._failure: CarenetError | None = None
        self._waiting: dict[int, asyncio.Future[wire.Message]] = {}
        self._numbers = itertools.count(1)
        self._welcome: Welcome | None = None
        self._task: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        state = "connected" if self._connection else "away"
        return f"<Session as {self.identity.name} at {self.url}: {state}, {len(self._waiting)} waiting>"

    async def __aenter__(self) -> Self:
        await self._connect()
        # Owned: cancelled and awaited in __aexit__. A task group would wrap what the caller's own block raises.
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._task is not None
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        await self._drop(TransportError("the session is closed"))

    @property
    def welcome(self) -> Welcome:
        """What the gateway said when it was last entered."""
        assert self._welcome is not None, "known once the session is entered"
        return self._welcome

    @property
    def accepted_as(self) -> Identity:
        """Who we are to the gateway: with an earlier key where the network has not seen the last rotation."""
        return self._accepted_as

    async def ask(self, kind: str, /, **fields: object) -> wire.Message:
        """Put a question and wait for its answer, over as many connections as it takes.

        Args:
            kind: the request's type.
            fields: values of the codecs: bytes, text, integers, booleans, null, lists and maps of them.

        Raises:
            DeclinedError: the gateway answers with an error.
            RefusedError: we may not be here any more.
            TransportError: no answer within the session's patience.
            BadInputError: a frame that is too large, or one of the gateway's that cannot be read.
        """
        backoff = Backoff()
        last = ""
        try:
            async with asyncio.timeout(self._patience_s):
                while True:
                    try:
                        return await self._ask_once(kind, fields)
                    except PushbackError as exc:
                        last = f": {exc}"
                        await asyncio.sleep(spread(exc.retry_after_s))
                    except TransportError as exc:
                        last = f": {exc}"
                        await asyncio.sleep(backoff.next_s())
        except TimeoutError as exc:
            raise TransportError(f"no answer to {kind} within {self._patience_s:g} s{last}") from exc

    async def renew(self, identity: Identity) -> None:
        """Go on as the same participant with other keys, on a new connection."""
        self.identity = identity
        if self._connection is not None:
            await self._connection.close()

    async def _ask_once(self, kind: str, fields: dict[str, object]) -> wire.Message:
        while (connection := self._connection) is None:
            if self._failure is not None:
                raise self._failure
            await self._connected.wait()
        number = next(self._numbers)
        answer: asyncio.Future[wire.Message] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        try:
            await connection.send({"type": kind, "id": number, **fields})
            return await answer
        finally:
            self._waiting.pop(number, None)
            if answer.done() and not answer.cancelled():
                answer.exception()  # seen: the connection may have failed this answer while the send raised

    async def _connect(self) -> None:
        connection = await Connection.open(self.url, self.identity, CONNECT_TIMEOUT_S, self.context)
        self._connection, self._welcome, self._accepted_as = connection, connection.welcome, connection.identity
        self._connected.set()

    async def _run(self) -> None:
        """Keep the conversation going; whatever ends it, nobody waits for it any longer."""
        try:
            await self._converse()
        finally:
            self._failure = self._failure or TransportError("the session is over")
            self._connected.set()

    async def _converse(self) -> None:
        """Read answers; when the connection breaks, connect again; give up only on what no retry mends."""
        backoff = Backoff()
        while True:
            try:
                if self._connection is None:
                    await self._connect()
                await self._read()
            except PushbackError as exc:
                await self._drop(exc)
                await asyncio.sleep(spread(exc.retry_after_s))
            except TransportError as exc:
                if self._connection is not None:
                    backoff.reset()
                await self._drop(exc)
                await asyncio.sleep(backoff.next_s())
            except CarenetError as exc:
                self._failure = exc
                await self._drop(exc)
                return

    async def _read(self) -> None:
        assert self._connection is not None
        while True:
            self._take(await self._connection.receive())

    def _take(self, message: wire.Message) -> None:
        if message["type"] == "slow_down":
            self.pace.hold(wire.read_int(message, "retry_after"))
            return
        number = message.get("id")
        answer = self._waiting.get(number) if isinstance(number, int) else None
        if answer is None or answer.done():
            return  # an answer that nobody waits for any more, or a push that we did not ask for
        if message["type"] != "error":
            answer.set_result(message)
            return
        error = read_error(message)
        if message.get("reason") == _OVERLOADED and isinstance(error, PushbackError):
            self.pace.hold(error.retry_after_s)
        answer.set_exception(error)

    async def _drop(self, reason: CarenetError) -> None:
        connection, self._connection = self._connection, None
        if self._failure is None:
            self._connected.clear()
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(reason)
        if connection is not None:
            await connection.close()


def read_error(message: wire.Message) -> TransportError | DeclinedError:
    """What an error message means: try again, at once or later, or no.

    Raises:
        EncodingError: malformed.
    """
    reason, detail = str(message.get("reason", "error")), str(message.get("detail") or "")
    if "retry_after" in message:
        return PushbackError(f"{reason}: {detail}", min(wire.read_int(message, "retry_after"), MAX_HOLD_S))
    if reason in TRANSIENT:
        return TransportError(f"{reason}: {detail}")
    return DeclinedError(reason, detail)


def expect_reply(message: wire.Message) -> wire.Message:
    """A message that must be the reply to a question.

    Raises:
        EncodingError: it is something else.
    """
    if message["type"] != "reply":
        raise EncodingError("a gateway answers with reply or error")
    return message
