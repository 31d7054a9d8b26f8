"""How a statement gets to Kafka: through the gateway, or straight there; everything else is the same."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol

from carenet.bus.publishing import Publisher as KafkaPublisher
from carenet.client import wire
from carenet.client.backoff import Backoff
from carenet.client.pace import Pace
from carenet.client.session import Session, expect_reply
from carenet.client.spool import Letter
from carenet.errors import TransportError
from carenet.statements.records import RecordValue


class Carrier(Protocol):
    """Writes a letter and says where it landed."""

    async def send(self, letter: Letter) -> tuple[int, int]:
        """Partition and offset of the record.

        Raises:
            BadInputError: the record is too large.
            RefusedError: the gateway turned it away before Kafka.
            TransportError: not within the carrier's patience; it may have arrived all the same.
        """


@asynccontextmanager
async def paced(letter: Letter, pace: Pace) -> AsyncIterator[None]:
    """Wait for a turn to send a letter; a control statement (it keeps no plaintext) goes at once.

    Raises:
        TransportError: the node is behind for longer than our patience.
    """
    if letter.plaintext is None:
        yield
        return
    async with pace.turn():
        yield
        pace.note_success()


class GatewayCarrier:
    """Through the gateway's `publish`.

    Args:
        session: the session with it.
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    async def send(self, letter: Letter) -> tuple[int, int]:
        """See `Carrier`."""
        async with paced(letter, self._session.pace):
            return await self._send(letter)

    async def _send(self, letter: Letter) -> tuple[int, int]:
        answer = expect_reply(await self._session.ask("publish", statement=letter.statement, body=letter.body))
        return wire.read_int(answer, "partition"), wire.read_int(answer, "offset")


class KafkaCarrier:
    """Straight to Kafka.

    Args:
        publisher: opened by the caller.
        pace: held while a gateway says that the node is behind.
        patience_s: seconds that a send is tried again while Kafka is away.
    """

    def __init__(self, publisher: KafkaPublisher, pace: Pace, patience_s: float) -> None:
        self._publisher = publisher
        self._pace = pace
        self._patience_s = patience_s

    async def send(self, letter: Letter) -> tuple[int, int]:
        """See `Carrier`."""
        async with paced(letter, self._pace):
            return await self._send(letter)

    async def _send(self, letter: Letter) -> tuple[int, int]:
        backoff = Backoff()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._patience_s
        while True:
            try:
                return await self._publisher.publish(letter.subject, RecordValue(letter.statement, letter.body))
            except TransportError:
                if loop.time() > deadline:
                    raise
                await asyncio.sleep(backoff.next_s())
