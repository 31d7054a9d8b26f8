"""A publisher of the bench: seals, signs and sends its share of the events; one child of a crew.

What the SDK does for each event besides (the spool, and asking for its outcome) is not done: how fast statements can be
made and sent is what is measured, and the fold that follows counts that every one of them was accepted.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from carenet.bench.contents import Patient, draft_content, draft_header, read_patients
from carenet.bench.crew import Task, Work, work_shift
from carenet.bus.publishing import Producer, Record
from carenet.encoding.ids import encode_id, sha256
from carenet.local.founding import read_genesis
from carenet.sealing.bodies import seal_body
from carenet.sealing.identity import Identity
from carenet.sealing.keyfile import load_identity
from carenet.statements.batch import MAX_BATCH
from carenet.statements.records import RecordValue, encode_record, partition_of
from carenet.statements.statement import Statement, Unsigned, sign_batch, sign_unsigned

_CHUNK = MAX_BATCH  # events that are made while those before are on their way, and that one signature covers


async def prepare(stack: AsyncExitStack, task: Task) -> Work:
    """Read keys and patients, and connect.

    Args:
        stack: closes the connection.
        task: `kafka`, `directory` and `key` of the network, `patients`, `in_batches`, and `first`, `step`, `events`:
            it makes the events first, first + step, … below `events`.
    """
    genesis = read_genesis(Path(task["directory"]))
    maker = _Maker(
        load_identity(Path(task["key"])), read_patients(Path(task["patients"])), in_batches=task["in_batches"]
    )
    network_key = encode_id(genesis.network_id)
    producer = await stack.enter_async_context(Producer(task["kafka"]))
    numbers = range(task["first"], task["events"], task["step"])

    async def work() -> int:
        sending: asyncio.Future[Any] | None = None
        for start in range(0, len(numbers), _CHUNK):
            made: dict[int, list[Record]] = {}
            for key, value in maker.make(numbers[start : start + _CHUNK]):
                partition = partition_of(key, network_key, genesis.partitions)
                made.setdefault(partition, []).append(Record(key.encode(), encode_record(value)))
            if sending is not None:
                await sending
            sending = asyncio.gather(*(producer.send_all(genesis.topic, each, made[each]) for each in made))
            await asyncio.sleep(0)
        if sending is not None:
            await sending
        return len(numbers)

    return work


class _Maker:
    """Seals and signs one clinician's events."""

    def __init__(self, identity: Identity, patients: list[Patient], *, in_batches: bool) -> None:
        self._identity, self._patients, self._in_batches = identity, patients, in_batches

    def make(self, numbers: range) -> Iterator[tuple[str, RecordValue]]:
        """Records' keys and values, at most a batch of them."""
        bodies, unsigned = zip(*map(self._seal, numbers), strict=True)
        for statement, body in zip(self._sign(unsigned), bodies, strict=True):
            yield encode_id(statement.header.subject), RecordValue(statement.encoded, body)

    def _seal(self, number: int) -> tuple[bytes, Unsigned]:
        patient, content = self._patients[number % len(self._patients)], draft_content(number)
        header = draft_header(patient, self._identity, content, int(time.time()), in_batch=self._in_batches)
        body = seal_body(header.encode(), content, patient.public)
        return body, Unsigned.of(header, sha256(body))

    def _sign(self, unsigned: Sequence[Unsigned]) -> list[Statement]:
        if self._in_batches:
            return sign_batch(unsigned, self._identity.sign_key)
        return [sign_unsigned(each, self._identity.sign_key) for each in unsigned]


if __name__ == "__main__":
    work_shift(prepare)
