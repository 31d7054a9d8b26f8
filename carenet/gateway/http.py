"""The GET endpoints on the WebSocket's port: health, metrics, and the latest checkpoint of a partition.

They show nothing of patients. Whoever can reach the port may ask, so asking costs the participants nothing: answers
from the database come over a connection of their own and are kept for a second, however many ask; `/metrics` and
`/checkpoint` have a rate. `/health` has none: a gateway that is asked too often must not look ill to its supervisor.

Not done here: tiles and receipts over HTTP.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import re
import time
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Generic, TypeVar

import orjson
from websockets.asyncio.server import ServerConnection
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from carenet.errors import TransportError
from carenet.gateway.door import Door
from carenet.gateway.feed import Feed
from carenet.gateway.limits import Limits, TokenBucket, TurnedAwayError
from carenet.gateway.metrics import CONTENT_TYPE, Metrics
from carenet.store.store import Store

T = TypeVar("T")

TOO_MANY_REQUESTS = "too_many_requests"

_CHECKPOINT = re.compile(r"/checkpoint/(0|[1-9][0-9]{0,3})\Z")
_TEXT = "text/plain; charset=utf-8"
_KEPT_S = 1.0


class Kept(Generic[T]):
    """An answer that is fetched at most once a second, by one who asks for all who ask.

    Args:
        fetch: gets it.
    """

    def __init__(self, fetch: Callable[[], Awaitable[T]]) -> None:
        self._fetch = fetch
        self._turn = asyncio.Lock()  # held while it is fetched: once for all who ask
        self._held: tuple[float, T] | None = None

    async def get(self) -> T:
        """The answer, at most a second old; that there is none (None) is not kept, nor what `fetch` raises."""
        async with self._turn:
            if self._held is None or time.monotonic() - self._held[0] >= _KEPT_S:
                self._held = None
                found = await self._fetch()
                if found is None:
                    return found
                self._held = (time.monotonic(), found)
            return self._held[1]


class Pages:
    """Answers plain HTTP requests; hand `process_request` to the WebSocket server.

    Args:
        feed: for health.
        store: of this object alone, so that participants' questions and these do not wait for one another.
        partitions: the network's partition count.
        door: who may have a WebSocket.
        metrics: to show.
        limits: how often may be asked.
    """

    def __init__(
        self, feed: Feed, store: Store, partitions: int, *, door: Door, metrics: Metrics, limits: Limits
    ) -> None:
        self._feed = feed
        self._door = door
        self._metrics = metrics
        self._bucket = TokenBucket(limits.gets_per_s, limits.gets_burst, time.monotonic())
        self._halts = Kept(store.halts)
        self._checkpoints = [Kept(functools.partial(store.latest_checkpoint, each)) for each in range(partitions)]

    def __repr__(self) -> str:
        return f"<Pages over {self._feed!r}>"

    async def process_request(self, _connection: ServerConnection, request: Request) -> Response | None:
        """The answer to a plain request, or None to go on with the WebSocket handshake."""
        path = request.path.partition("?")[0]
        try:
            if path == "/":
                self._door.check_newcomer()
                return None
            if path == "/health":
                return await self._health()
            self._check_rate()
        except TurnedAwayError as exc:
            return _turn_away(exc)
        if path == "/metrics":
            return _respond(HTTPStatus.OK, CONTENT_TYPE, self._metrics.render())
        if matched := _CHECKPOINT.match(path):
            return await self._checkpoint(int(matched[1]))
        return _respond(HTTPStatus.NOT_FOUND, _TEXT, b"there is /health, /metrics and /checkpoint/<partition>\n")

    def _check_rate(self) -> None:
        if self._bucket.take(time.monotonic()):
            self._metrics.refuse(TOO_MANY_REQUESTS)
            raise TurnedAwayError(TOO_MANY_REQUESTS, "this gateway is asked too often", 1)

    async def _health(self) -> Response:
        """503 while PostgreSQL is away. A partition that the node no longer serves is named, and the rest goes on."""
        health = self._feed.health()
        with contextlib.suppress(TransportError):  # which the feed will say by itself
            health["halted"] = {str(halt.partition): halt.reason for halt in await self._halts.get()}
        status = HTTPStatus.OK if health["status"] == "ok" else HTTPStatus.SERVICE_UNAVAILABLE
        return _respond(status, "application/json", orjson.dumps(health) + b"\n")

    async def _checkpoint(self, partition: int) -> Response:
        try:
            found = await self._checkpoints[partition].get() if partition < len(self._checkpoints) else None
        except TransportError:
            return _respond(HTTPStatus.SERVICE_UNAVAILABLE, _TEXT, b"the store does not answer\n")
        if found is None:
            return _respond(HTTPStatus.NOT_FOUND, _TEXT, b"no checkpoint of this partition was signed yet\n")
        return _respond(HTTPStatus.OK, _TEXT, found.note.encode())


def _turn_away(exc: TurnedAwayError) -> Response:
    asked_too_often = exc.reason == TOO_MANY_REQUESTS
    status = HTTPStatus.TOO_MANY_REQUESTS if asked_too_often else HTTPStatus.SERVICE_UNAVAILABLE
    response = _respond(status, _TEXT, f"{exc.reason}: {exc.detail}\n".encode())
    response.headers["Retry-After"] = f"{exc.retry_after_s:g}"
    return response


def _respond(status: HTTPStatus, content_type: str, body: bytes) -> Response:
    headers = Headers()
    headers["Content-Type"] = content_type
    headers["Content-Length"] = str(len(body))
    headers["Cache-Control"] = "no-store"
    headers["Connection"] = "close"
    return Response(status.value, status.phrase, headers, body)
