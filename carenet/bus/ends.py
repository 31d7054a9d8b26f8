"""Where a topic ends, asked again and again over one connection: how much there is to fold."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

from aiokafka import AIOKafkaConsumer, TopicPartition

from carenet.bus.faults import connect_or_close, finish_connecting, limit_repeated_logs, translated
from carenet.bus.reading import stop_consumer
from carenet.bus.security import KafkaAt, client_options, open_client

_TIMEOUT_S = 5.0


class TopicEnds:
    """A topic's ends; an async context manager.

    Args:
        at: where Kafka is, and how to log in.
        topic: a topic that exists.
        partitions: its partition count.

    Raises:
        TransportError: on entering, if Kafka does not answer.
        SetupError: on entering, if it does not let us in.
    """

    def __init__(self, at: KafkaAt, topic: str, partitions: int) -> None:
        self._at = at
        self._topic = topic
        self._doing = f"looking where {topic} ends"
        self._partitions = [TopicPartition(topic, each) for each in range(partitions)]
        self._consumer: AIOKafkaConsumer | None = None

    def __repr__(self) -> str:
        return f"<TopicEnds of {self._topic}: {'open' if self._consumer else 'closed'}>"

    async def __aenter__(self) -> Self:
        limit_repeated_logs()
        self._consumer = AIOKafkaConsumer(
            **client_options(self._at),
            auto_offset_reset="none",
            enable_auto_commit=False,
            request_timeout_ms=int(_TIMEOUT_S * 1000),
        )
        connecting = finish_connecting(open_client(self._at, self._consumer.start()))
        await connect_or_close(self._doing, _TIMEOUT_S, connecting, self._close)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._close()

    async def fetch(self) -> dict[int, int]:
        """The offset after the last record of each partition.

        Raises:
            TransportError: Kafka does not answer.
        """
        assert self._consumer is not None, "asked while it is open"
        with translated(self._doing):
            async with asyncio.timeout(_TIMEOUT_S):
                ends = await self._consumer.end_offsets(self._partitions)
        return {at.partition: ends[at] for at in self._partitions}

    async def _close(self) -> None:
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await stop_consumer(consumer)
