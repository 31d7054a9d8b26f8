"""A publisher of the bench: seals, signs and sends its share of the events; one child of a crew.

Statements are made by the SDK's bulk builder and sent by its producer, the next ones while those before are on their
way. What the SDK does besides, storing each before its first send and asking for its outcome, is not done: how fast
statements can be made and sent is measured, and the fold that follows counts that every one of them was accepted.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from carenet.bench.contents import Patient, draft_event, read_patients
from carenet.bench.crew import Task, Work, work_shift
from carenet.bus.publishing import Producer, Record
from carenet.client.building import Signing, build_care_batch
from carenet.client.drafts import Care
from carenet.client.subjects import Epoch
from carenet.encoding.ids import encode_id
from carenet.local.founding import read_genesis
from carenet.sealing.identity import Identity
from carenet.sealing.keyfile import load_identity
from carenet.statements.genesis import Genesis
from carenet.statements.records import RecordValue, encode_record, partition_of

_CHUNK = 1024  # events of which all are made before the first is sent
Draft = tuple[Care, Epoch]


async def prepare(stack: AsyncExitStack, task: Task) -> Work:
    """Read keys and patients, and connect.

    Args:
        stack: closes the connection.
        task: `kafka`, `directory` and `key` of the network, `patients`, `signing`, and `first`, `step`, `events`:
            it makes the events first, first + step, … below `events`.
    """
    genesis = read_genesis(Path(task["directory"]))
    identity, patients = load_identity(Path(task["key"])), read_patients(Path(task["patients"]))
    producer = await stack.enter_async_context(Producer(task["kafka"]))
    said = [draft(number, patients) for number in range(task["first"], task["events"], task["step"])]

    async def work() -> int:
        sending: asyncio.Future[Any] | None = None
        for start in range(0, len(said), _CHUNK):
            made = make_records(said[start : start + _CHUNK], identity, task["signing"], genesis)
            if sending is not None:
                await sending
            sending = asyncio.gather(*(producer.send_all(genesis.topic, each, made[each]) for each in made))
            await asyncio.sleep(0)  # hands them to the producer before the next ones keep the loop busy
        if sending is not None:
            await sending
        return len(said)

    return work


def draft(number: int, patients: Sequence[Patient]) -> Draft:
    """What an event says: whoever publishes has that before."""
    patient = patients[number % len(patients)]
    return draft_event(number, patient), patient.epoch


def make_records(
    chunk: Sequence[Draft], identity: Identity, signing: Signing, genesis: Genesis
) -> dict[int, list[Record]]:
    """The records of some events, by partition.

    Args:
        chunk: what the events say, and the epoch that each is sealed to.
        identity: who says it.
        signing: singly, or in batches.
        genesis: the network's.
    """
    drafts, epochs = zip(*chunk, strict=True)
    network_key = encode_id(genesis.network_id)
    made: dict[int, list[Record]] = {}
    for letter in build_care_batch(drafts, epochs, identity, int(time.time()), signing):
        value = encode_record(RecordValue(letter.statement, letter.body))
        key = encode_id(letter.subject)
        made.setdefault(partition_of(key, network_key, genesis.partitions), []).append(Record(key.encode(), value))
    return made


if __name__ == "__main__":
    work_shift(prepare)
