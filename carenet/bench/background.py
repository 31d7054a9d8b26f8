"""Work for the fold beside what a bench measures: events at a fixed rate, made before; one child of a crew.

Made before, so that sealing and signing them takes no CPU from what is measured: on a real network that is done on the
publishers' machines.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

from carenet.bench.contents import read_patients
from carenet.bench.crew import Task, Work, work_shift
from carenet.bench.publishing import draft, make_records
from carenet.bus.publishing import Producer, Record
from carenet.local.founding import read_genesis
from carenet.sealing.keyfile import load_identity

_TICK_S = 0.02


async def prepare(stack: AsyncExitStack, task: Task) -> Work:
    """Make all events, and connect.

    Args:
        stack: closes the connection.
        task: `kafka`, `directory`, `key`, `patients`, and `rate` (events a second) for `seconds`.
    """
    genesis = read_genesis(Path(task["directory"]))
    identity, patients = load_identity(Path(task["key"])), read_patients(Path(task["patients"]))
    rate, seconds = int(task["rate"]), int(task["seconds"])
    each_tick = max(1, round(rate * _TICK_S))
    ticks = []
    for start in range(0, rate * seconds, each_tick):
        said = [draft(number, patients) for number in range(start, start + each_tick)]
        ticks.append(make_records(said, identity, "single", genesis))
    producer = await stack.enter_async_context(Producer(task["kafka"]))

    async def work() -> int:
        await _send_paced(producer, genesis.topic, ticks)
        return each_tick * len(ticks)

    return work


async def _send_paced(producer: Producer, topic: str, ticks: list[dict[int, list[Record]]]) -> None:
    """Offer each tick's records when it is due; what comes while a partition's last send is under way goes together."""
    clock = asyncio.get_running_loop().time
    waiting: dict[int, list[Record]] = {partition: [] for made in ticks for partition in made}
    woken = {partition: asyncio.Event() for partition in waiting}
    is_over = False

    async def send(partition: int) -> None:
        while waiting[partition] or not is_over:
            await woken[partition].wait()
            woken[partition].clear()
            records, waiting[partition] = waiting[partition], []
            if records:
                await producer.send_all(topic, partition, records)

    async with asyncio.TaskGroup() as group:
        for partition in waiting:
            group.create_task(send(partition))
        began = clock()
        for number, made in enumerate(ticks):
            await asyncio.sleep(max(0.0, began + number * _TICK_S - clock()))
            for partition, records in made.items():
                waiting[partition] += records
                woken[partition].set()
        is_over = True
        for event in woken.values():
            event.set()


if __name__ == "__main__":
    work_shift(prepare)
