from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from carenet.bus.publishing import Publisher
from carenet.local.process import ChildProcess
from carenet.statements.records import RecordValue
from tests.integration.streams.conftest import Place
from tests.support.actors import Actor, actor
from tests.support.world import Message


async def _until(holds: Callable[[], Awaitable[bool]], timeout_s: float = 30) -> float:
    started = time.monotonic()
    async with asyncio.timeout(timeout_s):
        while not await holds():  # noqa: ASYNC110 - another process writes the rows
            await asyncio.sleep(0.01)
    return time.monotonic() - started


async def _publish(publisher: Publisher, message: Message) -> None:
    value = RecordValue(message.statement.encoded, message.body)
    await publisher.publish(message.statement.header.subject, value)


async def _is_known_everywhere(place: Place, who: Actor) -> bool:
    rows = [await place.store.find_participant(who.id, each) for each in range(3)]
    return all(row is not None for row in rows)


def _admission(place: Place, who: Actor) -> Message:
    place.world.clock_ms = int(time.time() * 1000)
    return place.world.admit(place.world.authority, who, ("registrar",))


async def test_a_participant_that_partition_0_admits_counts_in_every_partition_a_moment_later(
    place: Place, run: Callable[[str], ChildProcess]
) -> None:
    timeline, agents = run("timeline"), run("agents")
    await timeline.start()
    await agents.start()
    async with Publisher(place.kafka, place.genesis) as publisher:
        await _publish(publisher, _admission(place, place.world.hospital))
        await _until(lambda: _is_known_everywhere(place, place.world.hospital))
        await asyncio.sleep(1.2)
        waits = []
        for number in range(5):
            newcomer = actor(f"newcomer-{number}")
            await _publish(publisher, _admission(place, newcomer))
            waits.append(await _until(lambda who=newcomer: _is_known_everywhere(place, who)))
            await asyncio.sleep(0.3)

        assert sorted(waits)[2] < 1
        await asyncio.sleep(1.5)
        assert not await place.store.rejections(10), "nothing was sent twice"

        await agents.kill()
        late = [actor(f"late-{number}") for number in range(3)]
        for each in late:
            await _publish(publisher, _admission(place, each))
        await _until(lambda: _is_known_in_partition_0(place, late[-1]))
        assert not await _is_known_everywhere(place, late[-1])
        again = run("agents")
        await again.start()
        await _until(lambda: _is_known_everywhere(place, late[-1]))
        heads = [await place.store.find_subject(each, place.world.network) for each in range(3)]
        assert len({(head.next_seq, head.head) for head in heads if head is not None}) == 1
    for child in (timeline, again):
        started = time.monotonic()
        await child.stop()
        assert child.exit_code == 0
        assert time.monotonic() - started < 5


async def _is_known_in_partition_0(place: Place, who: Actor) -> bool:
    return await place.store.find_participant(who.id) is not None
