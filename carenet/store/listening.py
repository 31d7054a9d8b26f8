"""Hearing of commits: a connection of its own that waits for the notifications of the fold's transactions.

A notification is only a wake-up. What it says was true when it was sent; what must not be missed is read from the
tables, and a reader looks there by itself from time to time.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import asyncpg

from carenet.errors import TransportError
from carenet.store.commit import CHANNEL
from carenet.store.faults import translated

_TIMEOUT_S = 5.0
_FIELDS = 3


class Committed(NamedTuple):
    """How far a partition was after a commit."""

    partition: int
    size: int
    next_offset: int


class Listener:
    """What was committed since the last question; made by `listen`."""

    def __init__(self) -> None:
        self._news: dict[int, Committed] = {}
        self._woken = asyncio.Event()
        self._is_lost = False

    async def wait(self, timeout_s: float) -> list[Committed]:
        """The last commit of each partition since the last call; an empty list after `timeout_s` without any.

        Raises:
            TransportError: the connection was lost: listen anew, then look into the tables.
        """
        try:
            async with asyncio.timeout(timeout_s):
                await self._woken.wait()
        except TimeoutError:
            return []
        if self._is_lost:
            raise TransportError("the connection that listens to PostgreSQL was lost")
        self._woken.clear()
        news, self._news = self._news, {}
        return list(news.values())

    def _hear(self, _connection: Any, _pid: int, _channel: str, payload: str) -> None:
        fields = payload.split(":")
        if len(fields) == _FIELDS and all(map(str.isdecimal, fields)):  # anyone may notify on a channel
            said = Committed(*map(int, fields))
            self._news[said.partition] = said
            self._woken.set()

    def _lose(self, _connection: Any) -> None:
        self._is_lost = True
        self._woken.set()


@asynccontextmanager
async def listen(dsn: str) -> AsyncIterator[Listener]:
    """Listen from now on.

    Args:
        dsn: of the node's database; `Store.dsn`.

    Raises:
        TransportError: PostgreSQL cannot be reached.
    """
    listener = Listener()
    with translated("listening to PostgreSQL"):
        connection = await asyncpg.connect(dsn, timeout=_TIMEOUT_S, server_settings={"application_name": "carenet-ear"})
    try:
        connection.add_termination_listener(listener._lose)  # noqa: SLF001 - both are this module's
        with translated("listening to PostgreSQL"):
            await connection.add_listener(CHANNEL, listener._hear)  # noqa: SLF001
        yield listener
    finally:
        connection.remove_termination_listener(listener._lose)  # noqa: SLF001
        connection.terminate()
