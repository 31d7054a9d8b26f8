"""A whole stack on three brokers with accounts, access rules and quotas, and on two fold workers and two gateways.

The judge of `make test-long` looks at it at the end: nothing lost, nothing doubled, and the same bytes.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from aiokafka.protocol.admin import DescribeClientQuotasRequest

from carenet.bus.acls import allow, participant_acls
from carenet.bus.looking import fetch_committed, fetch_end_offsets, fetch_records
from carenet.bus.publishing import Producer
from carenet.bus.quotas import PARTICIPANT_QUOTA
from carenet.bus.reading import BatchReader
from carenet.bus.security import KafkaLogin, client_options
from carenet.bus.topics import TopicSpec, check_topics, fold_group_of, open_admin, provision, topics_of
from carenet.client.bulk import CareEvent
from carenet.client.outcomes import Outcome
from carenet.errors import SetupError, TransportError
from carenet.local.checkup import Verdict
from carenet.local.checkup_stack import check_stack
from carenet.local.kafka_accounts import ADMIN, NODE, PARTICIPANT, keep_accounts, read_login
from carenet.local.supervisor import EventKind
from tests.support.clinic import Clinic, Follower, clinic
from tests.support.judging import assert_undisturbed
from tests.support.waiting import until

EVENTS = 300
PATIENTS = 3
WATCHES = 3  # of each of two people: by chance, one gateway of two has none of six in one run of 32
_ANY = 0  # Kafka's number for "of any kind" in a question about quotas: exactly this one


@dataclass
class Ground:
    """A clinic at work on three brokers."""

    clinic: Clinic
    patients: list[str]
    followers: list[Follower]
    published: set[bytes] = field(default_factory=set)
    numbers: Any = field(default_factory=count)

    def login(self, name: str) -> KafkaLogin:
        """Of one of the accounts, as its file says."""
        return read_login(self.clinic.directory, self.clinic.stack.kafka, name)

    async def publish(self, writer: str, events: int, *, is_direct: bool = False, befall: Any = None) -> None:
        """Publish a run, and let something happen after a third of it."""
        care = await self.clinic.enter(writer, is_direct=is_direct)
        outcomes: list[Outcome] = []
        made = [
            CareEvent(
                self.patients[number % PATIENTS],
                {"resourceType": "Observation", "id": f"e{number}", "status": "final"},
                number.to_bytes(16),
            )
            for number in (next(self.numbers) for _ in range(events))
        ]

        async def strike() -> None:
            if befall is not None:
                await until(lambda: len(outcomes) >= events // 3, 60)
                assert len(outcomes) < events, "the run was over before it was struck"
                await befall()

        async with asyncio.TaskGroup() as group:
            group.create_task(strike())
            group.create_task(care.publish_many(made, lambda _, outcome: outcomes.append(outcome)))
        assert [each for each in outcomes if not each.accepted] == []
        self.published |= {each.digest for each in outcomes}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def ground(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Ground]:
    """Two who watch everything, three times each, so that both gateways have watchers."""
    async with clinic(tmp_path_factory.mktemp("brokers"), brokers=3, workers=2, gateways=2) as running:
        hospital = await running.enter("hospital")
        patients = [await hospital.register_patient(write=("lab", "clinician")) for _ in range(PATIENTS)]
        for patient in patients:
            await hospital.grant(patient, running.people["okafor"].id)
        carers = {name: await running.enter(name) for name in ("hospital", "okafor")}
        followers = [Follower(name, care.watch()) for name, care in carers.items() for _ in range(WATCHES)]
        tasks = [asyncio.create_task(each.follow()) for each in followers]
        yield Ground(running, patients, followers)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def test_all_that_runs_is_shown_and_the_doctor_finds_nothing(ground: Ground) -> None:
    stack = ground.clinic.stack
    names = ["kafka-1", "kafka-2", "kafka-3", "postgres", "worker", "worker-2", "agents", "gateway", "gateway-2"]
    assert [each.service for each in stack.status()] == names
    checks = await check_stack(ground.clinic.directory)
    assert {each.name: each.verdict for each in checks} == dict.fromkeys(
        ("processes", "topics", "database", "worker", "gateway"), Verdict.OK
    )


async def test_a_participant_may_write_the_events_topic_and_nothing_else(ground: Ground) -> None:
    genesis = ground.clinic.genesis
    topics = topics_of(genesis, genesis.nodes[0].name)
    login = ground.login(PARTICIPANT)
    ends = await fetch_end_offsets(ground.login(NODE), genesis.topic)
    async with Producer(login) as producer:
        sent = await producer.send(genesis.topic, 0, b"key", b"refused by the fold, taken by Kafka")
        assert sent.offset >= ends[0]
        for spec in (topics.checkpoints, topics.entries):
            with pytest.raises(SetupError, match=f"{spec.name}/0: Kafka's access rules do not allow"):
                await producer.send(spec.name, 0, b"key", b"value")
    forbidden = {
        "read records": fetch_records(login, genesis.topic, {0: 0}),
        "ask how far a group is": fetch_committed(login, fold_group_of(genesis, genesis.nodes[0].name), genesis.topic),
        "make a topic": provision(login, [TopicSpec("carenet.mine", 1)]),
        "give itself rights": allow(login, participant_acls(genesis, PARTICIPANT)),
    }
    for what, asked in forbidden.items():
        with pytest.raises(SetupError, match=r"access rules|refuses|not authorized|authoriz"):
            raise AssertionError(f"could {what}: {await asked}")


async def test_a_participant_cannot_take_a_workers_partitions(ground: Ground) -> None:
    async def locate(partitions: frozenset[int]) -> dict[int, int]:
        return dict.fromkeys(partitions, 0)

    genesis = ground.clinic.genesis
    group = fold_group_of(genesis, genesis.nodes[0].name)
    with pytest.raises(SetupError, match="access rules"):
        async with BatchReader(ground.login(PARTICIPANT), genesis.topic, group, locate) as reader:
            await reader.read(5)


async def test_a_batch_that_unpacks_to_more_than_a_brokers_memory_ends_no_broker(ground: Ground) -> None:
    said, genesis = len(ground.clinic.said), ground.clinic.genesis
    options = client_options(ground.login(PARTICIPANT))
    size = 1 << 30
    async with AIOKafkaProducer(
        **options, compression_type="gzip", max_request_size=size, max_batch_size=size
    ) as producer:
        with pytest.raises(KafkaError):
            await producer.send_and_wait(genesis.topic, bytes(300 << 20), b"key", 0)  # 300 KB on the wire
        await producer.send_and_wait(genesis.topic, b"refused by the fold, taken by Kafka", b"key", 0)
    assert ground.clinic.said[said:] == []


async def test_a_wrong_password_and_no_password_are_refused(ground: Ground) -> None:
    kafka = ground.clinic.stack.kafka
    with pytest.raises(SetupError, match="does not take the user node with this password"):
        async with Producer(KafkaLogin(kafka, NODE, "wrong")):
            raise AssertionError("must not be entered")
    with pytest.raises(TransportError, match="want a login"):
        async with Producer(kafka):
            raise AssertionError("must not be entered")


def test_no_password_is_in_an_argument_a_log_or_run_json(ground: Ground) -> None:
    words = keep_accounts(ground.clinic.directory).by_name().values()
    pids = [each.pid for each in ground.clinic.stack.status()]
    seen = [Path(f"/proc/{pid}/cmdline").read_bytes().decode() for pid in pids]
    files = [*ground.clinic.directory.glob("*.log*"), ground.clinic.directory / "run.json"]
    seen += [each.read_text(errors="replace") for each in files]
    assert len(seen) > len(pids) + 9
    assert not [word for word in words for text in seen if word in text]
    run = json.loads((ground.clinic.directory / "run.json").read_text())
    assert run["kafka_accounts"] is True


async def test_topics_are_kept_three_times_and_one_that_is_not_is_named(ground: Ground) -> None:
    genesis, admin = ground.clinic.genesis, ground.login(ADMIN)
    await check_topics(ground.login(NODE), topics_of(genesis, genesis.nodes[0].name))
    single = TopicSpec("carenet.single", 1, replication=1)
    with pytest.raises(SetupError, match=r"carenet\.single has a partition with 1 of 3 copies"):
        await provision(admin, [single])
    careless = TopicSpec("carenet.careless", 1, replication=3, settings={"min.insync.replicas": "1"})
    with pytest.raises(SetupError, match=r"carenet\.careless: min\.insync\.replicas is 1; with 3 copies it must be 2"):
        await provision(admin, [careless])


async def test_everyone_but_the_node_has_a_quota(ground: Ground) -> None:
    async with open_admin(ground.login(ADMIN), 10, "quotas") as admin:
        answer = await admin._send_request(DescribeClientQuotasRequest([("user", 2, None)], False))
    quotas = {entity[0][1]: dict(values) for entity, values in answer.entries}
    assert quotas[None] == {
        "producer_byte_rate": PARTICIPANT_QUOTA.produced_bytes_per_s,
        "request_percentage": PARTICIPANT_QUOTA.request_percent,
    }
    assert PARTICIPANT not in quotas
    assert all(quotas[NODE][name] > 1000 * value for name, value in quotas[None].items())


async def test_what_is_published_with_a_participants_account_is_folded_and_pushed(ground: Ground) -> None:
    await ground.publish("lee", 30, is_direct=True)
    await assert_undisturbed(ground.clinic, ground.followers, ground.published)


@pytest.mark.long
async def test_a_gateway_killed_beside_another_loses_no_watcher_anything(ground: Ground) -> None:
    said = len(ground.clinic.said)
    await ground.publish("lab", EVENTS, befall=lambda: ground.clinic.stack.kill("gateway"))
    assert ground.clinic.heard("gateway", said)[0] == EventKind.DIED
    assert ground.clinic.heard("gateway-2", said) == []
    await assert_undisturbed(ground.clinic, ground.followers, ground.published)


@pytest.mark.long
async def test_a_broker_killed_in_the_middle_of_a_run_loses_nothing_and_comes_back(ground: Ground) -> None:
    said = len(ground.clinic.said)
    await ground.publish("lee", EVENTS, is_direct=True, befall=lambda: ground.clinic.stack.kill("kafka-1"))
    assert ground.clinic.heard("kafka-1", said)[:2] == [EventKind.DIED, EventKind.WAITING]
    await assert_undisturbed(ground.clinic, ground.followers, ground.published)
    await until(lambda: ground.clinic.heard("kafka-1", said)[-1] == EventKind.READY, 60)
    assert {each.service for each in ground.clinic.said[said:]} == {"kafka-1"}, "nothing else was restarted"
