"""`/metrics` and `/health` of a process that has no other port, over HTTP, from a thread of prometheus_client's own.

The thread sleeps until it is asked, so serving costs the fold nothing. Health is asked of the process's event loop: one
that no longer turns says nothing, and that is what `/health` then says.
Not done here: TLS, and deciding who may ask. Bind an address that only the scraper reaches.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from concurrent.futures import Future
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING

import orjson
import structlog
from prometheus_client import CollectorRegistry, make_wsgi_app, start_http_server

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

_PATIENCE_S = 2.0  # a loop that has not turned for so long is unwell

_log = structlog.get_logger(__name__)

ReadHealth = Callable[[], Mapping[str, object]]


@asynccontextmanager
async def serving_metrics(
    host: str, port: int, registry: CollectorRegistry, read_health: ReadHealth
) -> AsyncIterator[int | None]:
    """Serve while the block runs.

    An address that cannot be bound is logged and nothing more: whoever scrapes will miss us, and the work goes on.

    Args:
        host: address to bind.
        port: port to bind; 0 takes a free one.
        registry: what `/metrics` shows.
        read_health: what `/health` shows; `"status"` is `"ok"` or what is wrong. Called in the event loop.

    Yields:
        The port, or None where the address could not be bound.
    """
    try:
        server, thread = start_http_server(port, host, registry)
    except OSError as exc:
        _log.error("metrics_not_served", host=host, port=port, error=str(exc))
        yield None
        return
    server.set_app(_build_app(make_wsgi_app(registry), read_health, asyncio.get_running_loop()))
    try:
        yield server.server_port
    finally:
        await asyncio.to_thread(server.shutdown)  # which waits for the thread's next look, up to half a second
        server.server_close()
        thread.join()


def _build_app(metrics: WSGIApplication, read: ReadHealth, loop: asyncio.AbstractEventLoop) -> WSGIApplication:
    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO")
        if path == "/metrics":
            return metrics(environ, start_response)
        if path != "/health":
            start_response(_line(HTTPStatus.NOT_FOUND), [("Content-Type", "text/plain")])
            return [b"there is /health and /metrics\n"]
        health = _ask(read, loop)
        is_well = health["status"] == "ok"
        status = HTTPStatus.OK if is_well else HTTPStatus.SERVICE_UNAVAILABLE
        start_response(_line(status), [("Content-Type", "application/json"), ("Cache-Control", "no-store")])
        return [orjson.dumps(health) + b"\n"]

    return app


def _ask(read: ReadHealth, loop: asyncio.AbstractEventLoop) -> Mapping[str, object]:
    answer: Future[Mapping[str, object]] = Future()
    try:
        loop.call_soon_threadsafe(lambda: answer.set_result(read()))
        return answer.result(_PATIENCE_S)
    except (TimeoutError, RuntimeError):  # the loop is busy, or closed
        return {"status": f"the event loop has not turned for {_PATIENCE_S:g} s"}


def _line(status: HTTPStatus) -> str:
    return f"{status.value} {status.phrase}"
