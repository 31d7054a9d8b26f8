"""Sending to Kafka: each record to the partition that we name, and the answer says where it landed.

Not done here: storing a statement's bytes before the first send, and sending them again (the SDK's publisher). After
a TransportError a record may still arrive: aiokafka's idempotent producer goes on trying what it has taken, and only
the fold's idempotency makes a second send harmless.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import NamedTuple, Self

from aiokafka import AIOKafkaProducer
from aiokafka.producer.message_accumulator import BatchBuilder

from carenet.bus.faults import connect_or_close, ends_within, limit_repeated_logs, translated
from carenet.bus.security import KafkaAt, client_options, open_client
from carenet.bus.topics import MAX_MESSAGE_BYTES
from carenet.encoding.ids import encode_id
from carenet.errors import BadInputError, TransportError
from carenet.statements.genesis import Genesis
from carenet.statements.records import MAX_RECORD_BYTES, RecordValue, encode_record, partition_of

_SEND_TIMEOUT_S = 10.0
_STOP_TIMEOUT_S = 2.0
_BATCH_BYTES = 512 * 1024  # half of what a topic takes: a batch is one message to the broker


class Sent(NamedTuple):
    """Where a record landed."""

    partition: int
    offset: int


class Record(NamedTuple):
    """A record that is to be sent."""

    key: bytes
    value: bytes


class Producer:
    """An idempotent producer (`acks=all`) with a timeout around everything; an async context manager.

    Args:
        at: where Kafka is, and how to log in.
        timeout_s: seconds that one call may take.

    Raises:
        TransportError: on entering, if Kafka cannot be reached.
        SetupError: on entering, if Kafka does not take the login.
    """

    def __init__(self, at: KafkaAt, timeout_s: float = _SEND_TIMEOUT_S) -> None:
        self._at = at
        self._timeout_s = timeout_s
        self._producer: AIOKafkaProducer | None = None
        self._sent = 0

    def __repr__(self) -> str:
        state = "open" if self._producer is not None else "closed"
        return f"<{type(self).__name__} to {self._at}: {state}, {self._sent} sent>"

    async def __aenter__(self) -> Self:
        limit_repeated_logs()
        self._producer = AIOKafkaProducer(
            **client_options(self._at),
            enable_idempotence=True,
            acks="all",
            max_request_size=MAX_MESSAGE_BYTES,
            max_batch_size=_BATCH_BYTES,
            request_timeout_ms=int(self._timeout_s * 1000),
        )
        connecting = open_client(self._at, self._producer.start())
        await connect_or_close(f"connecting to Kafka at {self._at}", self._timeout_s, connecting, self._close)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._close()

    async def send(self, topic: str, partition: int, key: bytes, value: bytes) -> Sent:
        """Send one record and wait until all in-sync replicas have it.

        Args:
            topic: a topic that exists.
            partition: 0 <= partition < the topic's count.
            key: the record's key.
            value: the record's value, at most about 1 MiB.

        Raises:
            BadInputError: the record is larger than Kafka's limit.
            TransportError: no answer within the timeout, or Kafka said no; the record may still arrive.
        """
        with translated(f"sending to {topic}/{partition}"):
            async with asyncio.timeout(self._timeout_s):
                await self._check_partition(topic, partition)
                future = await self._open.send(topic, value, key, partition)
                metadata = await future
        self._sent += 1
        return Sent(metadata.partition, metadata.offset)

    async def send_all(self, topic: str, partition: int, records: Sequence[Record]) -> list[Sent]:
        """Send many records to one partition, in order, in as few batches as will do; wait for the last one.

        Returns:
            Where each landed, in their order.

        Raises:
            BadInputError: a record is larger than a batch may be.
            TransportError: as `send`; some of them may be written, always the first ones in order.
        """
        with translated(f"sending {len(records)} records to {topic}/{partition}"):
            async with asyncio.timeout(self._timeout_s):
                await self._check_partition(topic, partition)
                batches = [
                    (batch.record_count(), await self._open.send_batch(batch, topic, partition=partition))
                    for batch in self._batches(records)
                ]
                answers = await asyncio.gather(*[future for _, future in batches])
        self._sent += len(records)
        counts = [count for count, _ in batches]
        return [
            Sent(answer.partition, answer.offset + place)
            for count, answer in zip(counts, answers, strict=True)
            for place in range(count)
        ]

    @property
    def _open(self) -> AIOKafkaProducer:
        if self._producer is None:
            raise RuntimeError("the producer is not open")
        return self._producer

    def _batches(self, records: Sequence[Record]) -> Iterator[BatchBuilder]:
        batch, count = self._open.create_batch(), 0
        for record in records:
            if batch.append(timestamp=None, key=record.key, value=record.value) is None:
                yield batch
                batch, count = self._open.create_batch(), 0
                batch.append(timestamp=None, key=record.key, value=record.value)  # the first one always fits
            count += 1
        if count:
            yield batch

    async def _check_partition(self, topic: str, partition: int) -> None:
        if partition not in await self._open.partitions_for(topic):
            raise TransportError(f"sending to {topic}/{partition}: the topic has no such partition")

    async def _close(self) -> None:
        producer, self._producer = self._producer, None
        if producer is None:
            return
        # `stop` waits until all is sent, which is for ever when the broker is away; then we cut the connection.
        if not await ends_within(_STOP_TIMEOUT_S, producer.stop()):
            await producer._sender.close()  # noqa: SLF001 - aiokafka has no call for closing without flushing
            await producer.client.close()


class Publisher:
    """Publishes statements of one network; an async context manager.

    Args:
        at: where Kafka is, and how to log in.
        genesis: the network's.
        timeout_s: seconds that one send may take.

    Raises:
        TransportError: on entering, if Kafka cannot be reached.
        SetupError: on entering, if Kafka does not take the login.
    """

    def __init__(self, at: KafkaAt, genesis: Genesis, timeout_s: float = _SEND_TIMEOUT_S) -> None:
        self._topic = genesis.topic
        self._partitions = genesis.partitions
        self._network_key = encode_id(genesis.network_id)
        self._producer = Producer(at, timeout_s)

    def __repr__(self) -> str:
        return f"<Publisher to {self._topic} over {self._producer!r}>"

    async def __aenter__(self) -> Self:
        await self._producer.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._producer.__aexit__(kind, exc, trace)

    async def publish(self, subject: bytes, value: RecordValue) -> Sent:
        """Send a statement to its subject's partition.

        Args:
            subject: the statement's subject, 32 bytes.
            value: the statement with what travels beside it.

        Raises:
            BadInputError: the record is larger than the network takes.
            TransportError: no answer within the timeout; send the same bytes again.
        """
        key = encode_id(subject)
        return await self._send(partition_of(key, self._network_key, self._partitions), key, value)

    async def publish_all(self, partition: int, messages: Sequence[tuple[bytes, RecordValue]]) -> list[Sent]:
        """Send many statements to one partition, in order; far cheaper for each than `publish`.

        Args:
            partition: that of every subject (`partition_of`).
            messages: subjects, 32 bytes each, and what is sent about them.

        Returns:
            Where each landed, in their order.

        Raises:
            ValueError: a subject of another partition.
            BadInputError: a record is larger than the network takes; nothing was sent.
            TransportError: no answer within the timeout; send the same bytes again.
        """
        records = []
        for subject, value in messages:
            key = encode_id(subject)
            if partition_of(key, self._network_key, self._partitions) != partition:
                raise ValueError(f"a subject that does not belong in partition {partition}")
            records.append(Record(key.encode(), _encode(value)))
        return await self._producer.send_all(self._topic, partition, records)

    def partition_of(self, subject: bytes) -> int:
        """The partition of a subject's log.

        Args:
            subject: 32 bytes.
        """
        return partition_of(encode_id(subject), self._network_key, self._partitions)

    async def relay(self, partition: int, value: RecordValue) -> Sent:
        """Send partition 0's network statement, with its proof, to another partition.

        Args:
            partition: 1 <= partition < the network's partition count.
            value: the statement, its body and its proof.

        Raises:
            ValueError: no proof, or a partition to which nothing is relayed.
            TransportError: no answer within the timeout.
        """
        if value.proof is None or not 0 < partition < self._partitions:
            raise ValueError("a relay has a proof and goes to another partition than 0")
        return await self._send(partition, self._network_key, value)

    async def _send(self, partition: int, key: str, value: RecordValue) -> Sent:
        return await self._producer.send(self._topic, partition, key.encode(), _encode(value))


def _encode(value: RecordValue) -> bytes:
    data = encode_record(value)
    if len(data) > MAX_RECORD_BYTES:
        raise BadInputError(f"the record has {len(data)} bytes; at most {MAX_RECORD_BYTES}")
    return data
