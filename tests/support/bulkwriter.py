"""A publisher to be killed: `python -m tests.support.bulkwriter` publishes many observations and says what is decided.

Arguments: the gateway, Kafka, a key file, a folder for the spool, a patient, and how many.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path

from carenet.client.bulk import CareEvent
from carenet.client.care import connect
from carenet.client.outcomes import Outcome
from carenet.client.parts import Options


def events(patient: str, count: int) -> Iterator[CareEvent]:
    """Observations with ctis that follow from their number, so that another run means the same events."""
    for number in range(count):
        resource = {"resourceType": "Observation", "id": f"o{number}", "status": "final"}
        yield CareEvent(patient, resource, number.to_bytes(16, "big"))


def _say_decided(_event: CareEvent, _outcome: Outcome) -> None:
    sys.stdout.write("decided\n")
    sys.stdout.flush()


async def _publish(arguments: list[str]) -> None:
    gateway, kafka, keys, spool, patient, count = arguments
    async with connect(gateway, keys, kafka, Options(spool=Path(spool), window=64)) as care:
        await care.publish_many(events(patient, int(count)), _say_decided)


if __name__ == "__main__":
    asyncio.run(_publish(sys.argv[1:]))
