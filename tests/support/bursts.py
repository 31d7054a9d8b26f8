"""Tens of thousands of care events, sealed and signed beforehand, and sent to Kafka at an even pace.

The SDK seals, signs and asks for each outcome, which takes most of a core at 2,000 events a second; here the first two
are done before the run, by the same functions, and nobody asks: what became of the events is for `judging` to say.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from carenet.bus.publishing import Producer, Record
from carenet.bus.security import KafkaAt
from carenet.client import wire
from carenet.client.care import Care
from carenet.client.drafts import build_care, draft_resource
from carenet.client.subjects import Epoch
from carenet.encoding.ids import encode_id, sha256
from carenet.errors import TransportError
from carenet.sealing.identity import Identity
from carenet.statements.genesis import Genesis
from carenet.statements.records import RecordValue, encode_record, partition_of

_CHUNKS_PER_S = 20
_PAUSE_S = 0.2  # before a chunk that Kafka did not take is sent again
_SEND_S = 5.0


@dataclass(frozen=True, slots=True)
class Sealed:
    """An event that is ready to be sent.

    Attributes:
        digest: of its statement.
        partition: where it belongs.
        record: what Kafka takes.
    """

    digest: bytes
    partition: int
    record: Record


async def seal_events(writer: Care, patients: Sequence[str], count: int, label: str = "burst") -> list[Sealed]:
    """Seal and sign observations, round the patients.

    Args:
        writer: who says it; it may write each of the patients.
        patients: their ids.
        count: how many events.
        label: other labels make other events.
    """
    subjects = [wire.id_of(patient) for patient in patients]
    epochs = [await writer._parts.subjects.fetch_epoch(subject, "clinical") for subject in subjects]
    # In a thread, so that whoever else lives in this process is not starved.
    return await asyncio.to_thread(
        _seal_all, writer.identity, writer.genesis, list(zip(subjects, epochs, strict=True)), count, label
    )


def _seal_all(
    identity: Identity, genesis: Genesis, patients: Sequence[tuple[bytes, Epoch]], count: int, label: str
) -> list[Sealed]:
    now_s = int(time.time())
    network = encode_id(genesis.network_id)
    sealed = []
    for number in range(count):
        subject, epoch = patients[number % len(patients)]
        resource = {"resourceType": "Observation", "id": f"{label}-{number}", "status": "final"}
        draft = draft_resource(subject, resource, sha256(f"{label}/{number}".encode())[:16])
        statement, letter = build_care(draft, epoch, identity, now_s)
        key = encode_id(subject)
        value = encode_record(RecordValue(letter.statement, letter.body))
        place = partition_of(key, network, genesis.partitions)
        sealed.append(Sealed(statement.digest, place, Record(key.encode(), value)))
    return sealed


@dataclass(slots=True)
class Burst:
    """Events on their way.

    Attributes:
        events: all of them, in the order in which they are sent.
        sent: how many Kafka has acknowledged.
        repeats: chunks that were sent again, since Kafka did not answer in time: the fold takes each event once.
    """

    events: Sequence[Sealed]
    sent: int = 0
    repeats: int = field(default=0)

    @property
    def digests(self) -> set[bytes]:
        """Of all events."""
        return {event.digest for event in self.events}

    async def send(self, kafka: KafkaAt, genesis: Genesis, seconds: float) -> None:
        """Send all, evenly over so many seconds or longer; servers that go away meanwhile are waited for."""
        chunks: dict[int, list[list[Record]]] = {}
        for partition in range(genesis.partitions):
            records = [event.record for event in self.events if event.partition == partition]
            size = max(1, int(len(records) / (seconds * _CHUNKS_PER_S)))
            chunks[partition] = [records[at : at + size] for at in range(0, len(records), size)]
        async with Producer(kafka, _SEND_S) as producer, asyncio.TaskGroup() as group:
            for partition, each in chunks.items():
                group.create_task(self._send_partition(producer, genesis.topic, partition, each))

    async def _send_partition(
        self, producer: Producer, topic: str, partition: int, chunks: Iterable[Sequence[Record]]
    ) -> None:
        started_s = time.monotonic()
        for number, chunk in enumerate(chunks):
            await asyncio.sleep(max(0.0, started_s + number / _CHUNKS_PER_S - time.monotonic()))
            while True:
                try:
                    await producer.send_all(topic, partition, chunk)
                    break
                except TransportError:
                    self.repeats += 1
                    await asyncio.sleep(_PAUSE_S)
            self.sent += len(chunk)
