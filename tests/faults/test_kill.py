"""Kill -9 of each process in the middle of a run of 3,000 events, on a whole stack of child processes.

The supervisor brings the killed one back and everybody goes on by themselves: nobody in these tests retries anything.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from itertools import count

import pytest
import pytest_asyncio

from carenet.client.bulk import CareEvent
from carenet.client.care import Care
from carenet.client.outcomes import Accepted, Outcome
from carenet.client.spool import Spool, spool_path
from carenet.encoding.ids import encode_id
from carenet.local.supervisor import EventKind
from carenet.store.store import Store
from tests.support.clinic import PARTITIONS, Clinic, Follower, clinic
from tests.support.judging import SETTLE_S, assert_folded_once, assert_undisturbed
from tests.support.waiting import STRETCH, until_answered

EVENTS = 3000
PATIENTS = 8
# A clinician writes in two compartments, a laboratory in one.
KINDS = (("Observation", "Observation", "MedicationRequest"), ("Observation",))
PUBLISHER_EVENTS = 900


@dataclass
class Ground:
    """A clinic at work.

    Attributes:
        clinic: the network.
        patients: their ids.
        writers: a clinician, whose statements go straight to Kafka, and a laboratory, whose go through the gateway.
        followers: the hospital and a clinician, who read everything, and an emergency room, which reads the clinical
            entries of every other patient since it was let in.
        published: digests that publish calls were told, of all runs.
    """

    clinic: Clinic
    patients: list[str]
    writers: tuple[Care, Care]
    followers: list[Follower]
    published: set[bytes] = field(default_factory=set)
    numbers: Iterator[int] = field(default_factory=count)

    def events(self, how_many: int, kinds: tuple[str, ...]) -> list[CareEvent]:
        """The next events, of some kinds in turn, round the patients."""
        numbers = [next(self.numbers) for _ in range(how_many)]
        return [
            CareEvent(self.patients[each % PATIENTS], _resource(kinds[place % len(kinds)], each), each.to_bytes(16))
            for place, each in enumerate(numbers)
        ]


def _resource(kind: str, number: int) -> dict[str, object]:
    return {"resourceType": kind, "id": f"e{number}", "status": "active", "note": [{"text": f"number {number}"}]}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def ground(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Ground]:
    """Patients are registered, grants given, and three watch everything that they may read."""
    async with clinic(tmp_path_factory.mktemp("clinic")) as running:
        hospital = await running.enter("hospital")
        followers = [
            Follower(name, (await running.enter(name)).watch(), reads_everything=name != "er")
            for name in ("hospital", "okafor", "er")
        ]
        tasks = [asyncio.create_task(each.follow()) for each in followers]
        people = running.people
        patients = [await hospital.register_patient(write=("lab", "clinician")) for _ in range(PATIENTS)]
        for number, patient in enumerate(patients):
            await hospital.grant(patient, people["okafor"].id)
            if number % 2:
                await hospital.grant(patient, people["er"].id, compartments=("clinical",), history=False)
        writers = await running.enter("lee", is_direct=True), await running.enter("lab")
        yield Ground(running, patients, writers, followers)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


@pytest.mark.parametrize("victim", ["worker", "gateway", "kafka", "postgres"])
async def test_a_process_killed_in_the_middle_of_a_run_loses_and_doubles_nothing(ground: Ground, victim: str) -> None:
    said = len(ground.clinic.said)
    outcomes = await _publish_and_kill(ground, victim)
    assert ground.clinic.heard(victim, said)[:2] == [EventKind.DIED, EventKind.WAITING]
    _assert_accepted_once(ground, outcomes)
    await assert_undisturbed(ground.clinic, ground.followers, ground.published)
    assert ground.clinic.heard(victim, said)[-1] == EventKind.READY


async def _publish_and_kill(ground: Ground, victim: str) -> dict[bytes, list[Outcome]]:
    """Publish a run from both writers, kill the victim after a third of it; every outcome of each publish call."""
    outcomes: dict[bytes, list[Outcome]] = {}

    def note(event: CareEvent, outcome: Outcome) -> None:
        assert event.cti is not None
        outcomes.setdefault(event.cti, []).append(outcome)

    async def kill() -> None:
        while len(outcomes) < EVENTS // 3:  # noqa: ASYNC110 - publishing sends no event
            await asyncio.sleep(0.005)
        await ground.clinic.stack.kill(victim)
        assert len(outcomes) < EVENTS, "the run was over before the kill"

    async with asyncio.timeout(120 * STRETCH), asyncio.TaskGroup() as group:
        group.create_task(kill())
        for writer, kinds in zip(ground.writers, KINDS, strict=True):
            group.create_task(writer.publish_many(ground.events(EVENTS // 2, kinds), note))
    return outcomes


def _assert_accepted_once(ground: Ground, outcomes: dict[bytes, list[Outcome]]) -> None:
    assert len(outcomes) == EVENTS
    refused = [each for ended in outcomes.values() for each in ended if not each.accepted]
    assert refused == []
    accepted = [each for ended in outcomes.values() for each in ended if isinstance(each, Accepted)]
    assert len(accepted) == EVENTS, "each call ends once"
    assert len({(each.partition, each.index) for each in accepted}) == EVENTS
    digests = {each.digest for each in accepted}
    assert not digests & ground.published
    ground.published |= digests


_PUBLISHER = """
import asyncio, sys
import carenet
from carenet.client.bulk import CareEvent
gateway, kafka, key, patient, first, count = sys.argv[1:]
def tell(event, outcome):
    print(event.cti.hex(), outcome.digest.hex() if outcome.accepted else outcome.reason, flush=True)
async def main():
    async with carenet.connect(gateway, key, kafka) as care:
        print("resumed", len(care.resumed), flush=True)
        numbers = range(int(first), int(first) + int(count))
        await care.publish_many((CareEvent(patient, {"resourceType": "Observation", "id": f"p{number}"},
            number.to_bytes(16)) for number in numbers), tell)
asyncio.run(main())
"""


async def test_a_publisher_killed_in_the_middle_resumes_and_says_nothing_twice(ground: Ground) -> None:
    # Each start publishes the whole list again, as an adapter does that does not know how far it came; and lee, whose
    # spool it shares, is at work in this process meanwhile.
    told: dict[str, set[str]] = {}
    first = PUBLISHER_EVENTS * 1000
    resumed = [await _run_publisher(ground, first, told, kill_after=PUBLISHER_EVENTS // 10) for _ in range(2)]
    resumed.append(await _run_publisher(ground, first, told, kill_after=None))
    assert len(told) == PUBLISHER_EVENTS
    assert {len(digests) for digests in told.values()} == {1}, "each event has one outcome, however often it is asked"
    assert resumed[0] == 0
    assert min(resumed[1:]) > 0, "there was something to resume"
    ground.published |= {bytes.fromhex(digest) for digests in told.values() for digest in digests}
    async with Store(ground.clinic.stack.postgres) as store:
        await assert_folded_once(store, ground.published)
    lee = ground.clinic.people["lee"]
    with Spool(spool_path(ground.clinic.directory / "spool", "lee", encode_id(lee.id))) as spool:
        assert spool.count() == 0


async def _run_publisher(ground: Ground, first: int, told: dict[str, set[str]], kill_after: int | None) -> int:
    """Run a publisher to its end, or kill it after so many outcomes; how many letters it had resumed."""
    stack, key = ground.clinic.stack, ground.clinic.people["lee"].path
    arguments = (stack.gateway, stack.kafka, str(key), ground.patients[0], str(first), str(PUBLISHER_EVENTS))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _PUBLISHER, *arguments, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    resumed = 0
    async with asyncio.timeout(60 * STRETCH):
        for number in count():
            line = (await process.stdout.readline()).decode().split()
            if not line or number == kill_after:
                break
            if number:
                told.setdefault(line[0], set()).add(line[1])
            else:
                resumed = int(line[1])
        if kill_after is not None:
            process.kill()
        assert await process.wait() == (0 if kill_after is None else -signal.SIGKILL)
    return resumed


async def test_agents_that_lost_their_servers_relay_and_count_on(ground: Ground) -> None:
    # Runs after the kills: what the relay carries and the table counts has been through all of them. Faust may stand
    # still for ever after Kafka was away; the supervisor then restarts it, which takes a while.
    authority = await ground.clinic.enter("authority")
    lab = ground.clinic.people["lab"]
    await authority.suspend(lab.id)
    async with Store(ground.clinic.stack.postgres) as store:

        async def is_known_everywhere() -> bool:
            rows = [await store.find_participant(lab.id, partition) for partition in range(PARTITIONS)]
            return all(row is not None and row.suspended for row in rows)

        async def is_counted() -> bool:
            ((counted,),) = await store._fetch("SELECT sum(events) FROM activity WHERE type LIKE 'care.%'")
            return bool(counted == len(ground.published))

        await until_answered(is_known_everywhere, SETTLE_S)
        await until_answered(is_counted, 3 * SETTLE_S)
