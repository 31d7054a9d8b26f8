"""How a statement gets to Kafka: through the gateway, or straight there; everything else is the same."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeVar

from carenet.bus.publishing import Publisher as KafkaPublisher
from carenet.client import wire
from carenet.client.backoff import Backoff
from carenet.client.bulk import run_all
from carenet.client.pace import Pace
from carenet.client.session import Session, expect_reply
from carenet.client.spool import Letter
from carenet.errors import BadInputError, CarenetError, RefusedError, TransportError
from carenet.statements.records import RecordValue

T = TypeVar("T")


Place = tuple[int, int]  # partition and offset


class Carrier(Protocol):
    """Writes a letter and says where it landed."""

    async def send(self, letter: Letter) -> Place:
        """Partition and offset of the record.

        Raises:
            BadInputError: the record is too large.
            RefusedError: the gateway turned it away before Kafka.
            TransportError: not within the carrier's patience; it may have arrived all the same.
        """

    async def send_all(self, letters: Sequence[Letter]) -> list[Place | CarenetError]:
        """Send many letters at once.

        Returns:
            For each, in their order, what `send` would return, or the BadInputError or RefusedError that it would
            raise: one letter that cannot be sent keeps no other back.

        Raises:
            TransportError: as `send`; any of them may have arrived.
        """


async def send_paced(letter: Letter, pace: Pace, send: Callable[[Letter], Awaitable[Place]]) -> Place:
    """Wait for a turn to send a letter, and send it; a control statement (it keeps no plaintext) goes at once.

    Raises:
        TransportError: the node is behind for longer than our patience.
    """
    if letter.plaintext is None:
        return await send(letter)
    async with pace.turn():
        place = await send(letter)
        pace.note_success()
    return place


class GatewayCarrier:
    """Through the gateway's `publish`.

    Args:
        session: the session with it.
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    async def send(self, letter: Letter) -> Place:
        """See `Carrier`."""
        return await send_paced(letter, self._session.pace, self._send)

    async def _send(self, letter: Letter) -> Place:
        answer = expect_reply(await self._session.ask("publish", statement=letter.statement, body=letter.body))
        return wire.read_int(answer, "partition"), wire.read_int(answer, "offset")

    async def send_all(self, letters: Sequence[Letter]) -> list[Place | CarenetError]:
        """See `Carrier`; to the gateway each is a request of its own."""
        return await _send_each(self, letters)


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

    async def send(self, letter: Letter) -> Place:
        """See `Carrier`."""
        return await send_paced(letter, self._pace, self._send)

    async def _send(self, letter: Letter) -> Place:
        value = RecordValue(letter.statement, letter.body)
        return await self._insist(lambda: self._publisher.publish(letter.subject, value))

    async def send_all(self, letters: Sequence[Letter]) -> list[Place | CarenetError]:
        """See `Carrier`; what goes to one partition goes in as few Kafka batches as will do."""
        if not self._pace.is_unhindered:
            return await _send_each(self, letters)  # while the node catches up, each waits for its own turn
        answers: list[Place | CarenetError] = [(-1, -1)] * len(letters)
        by_partition: defaultdict[int, list[int]] = defaultdict(list)
        for number, letter in enumerate(letters):
            by_partition[self._publisher.partition_of(letter.subject)].append(number)

        async def send(partition: int, numbers: list[int]) -> None:
            sent = await self._send_to(partition, [letters[number] for number in numbers])
            for number, answer in zip(numbers, sent, strict=True):
                answers[number] = answer

        await run_all(send(partition, numbers) for partition, numbers in by_partition.items())
        return answers

    async def _send_to(self, partition: int, letters: Sequence[Letter]) -> Sequence[Place | CarenetError]:
        messages = [(letter.subject, RecordValue(letter.statement, letter.body)) for letter in letters]
        try:
            return await self._insist(lambda: self._publisher.publish_all(partition, messages))
        except BadInputError:
            return await _send_each(self, letters)  # one is too large: to find out which

    async def _insist(self, send: Callable[[], Awaitable[T]]) -> T:
        """Send until Kafka answers, or the patience is at its end."""
        backoff = Backoff()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._patience_s
        while True:
            try:
                return await send()
            except TransportError:
                if loop.time() > deadline:
                    raise
                await asyncio.sleep(backoff.next_s())


async def _send_each(carrier: Carrier, letters: Sequence[Letter]) -> list[Place | CarenetError]:
    async def send(letter: Letter) -> Place | CarenetError:
        try:
            return await carrier.send(letter)
        except (BadInputError, RefusedError) as exc:
            return exc

    return await run_all(send(letter) for letter in letters)
