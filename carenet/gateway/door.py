"""How many connections there are: those that have not said who they are, and each participant's.

A connection counts as *greeting* from the moment it is made until its challenge is answered or it is gone: whoever can
reach the port can make them, so they have a bound of their own, and cannot take the places of those who have signed in.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from websockets.asyncio.server import ServerConnection

from carenet.gateway.limits import Limits, TurnedAwayError
from carenet.gateway.metrics import Metrics

TOO_MANY = "too_many_connections"
RETRY_AFTER_S = 5


class Door:
    """See the module header.

    Args:
        limits: how many there may be.
        metrics: where they are counted.
    """

    def __init__(self, limits: Limits, metrics: Metrics) -> None:
        self._limits = limits
        self._metrics = metrics
        self._greeting: set[ServerConnection] = set()
        self._inside: Counter[bytes] = Counter()

    def __repr__(self) -> str:
        return f"<Door: {self._inside.total()} inside, {len(self._greeting)} greeting>"

    def make_kind(self) -> type[ServerConnection]:
        """The kind of connection that counts itself here."""
        door = self

        class Connection(ServerConnection):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                super().connection_made(transport)
                door._come(self)

            def connection_lost(self, exc: Exception | None) -> None:
                door._go(self)
                super().connection_lost(exc)

        return Connection

    def check_newcomer(self) -> None:
        """May a connection that asks for a WebSocket have one?

        Raises:
            TurnedAwayError: there are too many.
        """
        if len(self._greeting) > self._limits.greeting or self._inside.total() >= self._limits.sessions:
            self._metrics.refuse(TOO_MANY)
            raise TurnedAwayError(TOO_MANY, "this gateway has too many connections: try another one", RETRY_AFTER_S)

    def check_participant(self, participant: bytes) -> None:
        """May a participant that has shown who it is come in once more?

        Raises:
            TurnedAwayError: it is in too many times.
        """
        if self._inside[participant] >= self._limits.sessions_each:
            self._metrics.refuse(TOO_MANY)
            said = f"this participant has {self._limits.sessions_each} connections here: close some, or share them"
            raise TurnedAwayError(TOO_MANY, said, RETRY_AFTER_S)

    @contextmanager
    def inside(self, connection: ServerConnection, participant: bytes) -> Iterator[None]:
        """While a participant is in."""
        self._greeting.discard(connection)
        self._count_greeting()
        self._inside[participant] += 1
        try:
            yield
        finally:
            self._inside[participant] -= 1
            if not self._inside[participant]:
                del self._inside[participant]

    def _come(self, connection: ServerConnection) -> None:
        if len(self._greeting) >= 2 * self._limits.greeting:
            self._metrics.refuse(TOO_MANY)
            connection.transport.abort()
            return
        self._greeting.add(connection)
        self._count_greeting()

    def _go(self, connection: ServerConnection) -> None:
        self._greeting.discard(connection)
        self._count_greeting()

    def _count_greeting(self) -> None:
        self._metrics.greeting.set(len(self._greeting))
