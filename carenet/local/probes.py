"""Answers to "is it well?": a probe says what is wrong, or None.

A probe may remember: the supervisor makes a new one for each run of its service, so that a restart starts afresh.
A probe must not blame its service for what others do: where it cannot tell, it says None.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from collections.abc import Awaitable, Callable
from typing import Any

from carenet.errors import CarenetError

_MAX_ANSWER_BYTES = 1 << 16

Probe = Callable[[], Awaitable[str | None]]


def answers(ready: Callable[[], Awaitable[bool]]) -> Probe:
    """A probe that asks a yes-or-no question, such as `EmbeddedKafka.is_ready`."""

    async def probe() -> str | None:
        return None if await ready() else "does not answer"

    return probe


def http_ok(host: str, port: int, path: str, tls: ssl.SSLContext | None = None) -> Probe:
    """A probe that wants status 200 for a GET, over TLS where a context is given."""

    async def probe() -> str | None:
        try:
            status, _ = await _get(host, port, path, tls)
        except (OSError, ValueError) as exc:
            return f"GET {path}: {type(exc).__name__}"
        return None if status == b"200" else f"GET {path} answered {status.decode('latin-1')!r}"

    return probe


async def fetch_health(host: str, port: int) -> dict[str, Any]:
    """What a process of ours says on `/health`, with status 200 or not; empty while it says nothing."""
    try:
        _, body = await _get(host, port, "/health")
        found = json.loads(body)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


async def _get(host: str, port: int, path: str, tls: ssl.SSLContext | None = None) -> tuple[bytes, bytes]:
    """Status and body of an answer; the connection is asked for no other."""
    reader, writer = await asyncio.open_connection(host, port, ssl=tls)
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n".encode("ascii"))
        head, _, body = (await reader.read(_MAX_ANSWER_BYTES)).partition(b"\r\n\r\n")
        return b" ".join(head.split(b"\r\n")[0].split()[1:2]), body
    finally:
        writer.close()


class Standstill:
    """A probe that finds a worker whose position stands still while there is more to do.

    Args:
        read: gives (position, end): what the worker has done, and what there is, both as one growing number.
        patience_s: seconds at one position, with more to do, that are still well.
        clock: seconds that only grow.
    """

    def __init__(
        self,
        read: Callable[[], Awaitable[tuple[int, int]]],
        patience_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read = read
        self._patience_s = patience_s
        self._clock = clock
        self._position: int | None = None
        self._since = clock()

    async def __call__(self) -> str | None:
        """What is wrong, or None; also None while the servers that know do not answer."""
        try:
            position, end = await self._read()
        except (CarenetError, OSError):
            self._position = None
            return None
        now = self._clock()
        if position != self._position or position >= end:
            self._position, self._since = position, now
            return None
        if now - self._since < self._patience_s:
            return None
        return f"stands still at {position} of {end} for {now - self._since:.0f} s"
