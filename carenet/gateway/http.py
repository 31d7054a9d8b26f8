"""The GET endpoints on the WebSocket's port: health, metrics, and the latest checkpoint of a partition.

They show nothing of patients. Not done here: tiles and receipts over HTTP.
"""

from __future__ import annotations

import contextlib
import re
from http import HTTPStatus

import orjson
from websockets.asyncio.server import ServerConnection
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from carenet.errors import RefusedError, TransportError
from carenet.gateway.describe import Describer
from carenet.gateway.feed import Feed
from carenet.gateway.metrics import CONTENT_TYPE, Metrics
from carenet.store.store import Store

_CHECKPOINT = re.compile(r"/checkpoint/(0|[1-9][0-9]{0,3})\Z")
_TEXT = "text/plain; charset=utf-8"


class Pages:
    """Answers plain HTTP requests; hand `process_request` to the WebSocket server.

    Args:
        feed: for health.
        store: for the partitions that the node no longer serves.
        describer: for checkpoints.
        metrics: to show.
        max_sessions: beyond it, connections are turned away.
    """

    def __init__(self, feed: Feed, store: Store, describer: Describer, *, metrics: Metrics, max_sessions: int) -> None:
        self._feed = feed
        self._store = store
        self._describer = describer
        self._metrics = metrics
        self._max_sessions = max_sessions
        self._connections = 0

    def __repr__(self) -> str:
        return f"<Pages over {self._feed!r}>"

    async def process_request(self, connection: ServerConnection, request: Request) -> Response | None:
        """The answer to a plain request, or None to go on with the WebSocket handshake."""
        path = request.path.partition("?")[0]
        if path == "/health":
            return await self._health()
        if path == "/metrics":
            return _respond(HTTPStatus.OK, CONTENT_TYPE, self._metrics.render())
        if matched := _CHECKPOINT.match(path):
            return await self._checkpoint(int(matched[1]))
        if path != "/":
            return _respond(HTTPStatus.NOT_FOUND, _TEXT, b"there is /health, /metrics and /checkpoint/<partition>\n")
        if len(connection.server.connections) >= self._max_sessions:
            return _respond(HTTPStatus.SERVICE_UNAVAILABLE, _TEXT, b"too many sessions\n")
        return None

    async def _health(self) -> Response:
        """503 while PostgreSQL is away. A partition that the node no longer serves is named, and the rest goes on."""
        health = self._feed.health()
        with contextlib.suppress(TransportError):  # which the feed will say by itself
            health["halted"] = {str(halt.partition): halt.reason for halt in await self._store.halts()}
        status = HTTPStatus.OK if health["status"] == "ok" else HTTPStatus.SERVICE_UNAVAILABLE
        return _respond(status, "application/json", orjson.dumps(health) + b"\n")

    async def _checkpoint(self, partition: int) -> Response:
        try:
            note = await self._describer.checkpoint(partition)
        except RefusedError as exc:
            return _respond(HTTPStatus.NOT_FOUND, _TEXT, f"{exc.detail}\n".encode())
        except TransportError:
            return _respond(HTTPStatus.SERVICE_UNAVAILABLE, _TEXT, b"the store does not answer\n")
        return _respond(HTTPStatus.OK, _TEXT, note.encode())


def _respond(status: HTTPStatus, content_type: str, body: bytes) -> Response:
    headers = Headers()
    headers["Content-Type"] = content_type
    headers["Content-Length"] = str(len(body))
    headers["Cache-Control"] = "no-store"
    headers["Connection"] = "close"
    return Response(status.value, status.phrase, headers, body)
