"""The topics of a network and of a node: their names, how they must be set, making them and checking them.

Every topic is made here before anything sends to it: a client that sends to a missing topic hangs, and a broker that
makes topics by itself makes them with settings under which history is lost. A topic that exists is never altered:
what is off is named, and a person decides.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import (
    InvalidReplicationFactorError,
    TopicAlreadyExistsError,
    UnknownTopicOrPartitionError,
    for_code,
)

from carenet.bus.faults import finish_connecting, limit_repeated_logs, translated
from carenet.bus.security import KafkaAt, client_options, open_client
from carenet.errors import SetupError, TransportError
from carenet.statements.genesis import Genesis

MAX_MESSAGE_BYTES = 1 << 20  # a record's value is at most 900 KiB, and framing comes on top

_HISTORY = {
    "cleanup.policy": "delete",
    "retention.ms": "-1",
    "retention.bytes": "-1",
    "message.timestamp.type": "LogAppendTime",
    "max.message.bytes": str(MAX_MESSAGE_BYTES),
    # Else the limit is of what was compressed, and 60 KiB unpack to 60 MiB in every reader. Sealed bytes gain nothing.
    "compression.type": "uncompressed",
    "unclean.leader.election.enable": "false",
}
_AT_LEAST = {"max.message.bytes", "min.insync.replicas"}  # more than asked is as good
_WEEK_MS = 7 * 24 * 3600 * 1000
TIMEOUT_S = 30.0
_POLL_S = 0.05
_SAFE_REPLICATION = 3  # copies, where there are so many brokers: one may die and another be away
_MIN_ISR = "min.insync.replicas"
_SAFE_ISR = 2  # from three copies on, two must have a record before it counts as written


class _MissingTopicError(SetupError):
    """A topic that the asked broker does not know."""

    def __init__(self, name: str) -> None:
        super().__init__(f"topic {name} does not exist; `carenet up` makes it")


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """A topic as it must be.

    Attributes:
        name: the topic's name.
        partitions: its partition count, from 1.
        replication: copies of each partition when it is made; None takes three, or one a broker where there are
            fewer. With three brokers or more every topic must have three copies, and two of them in every write.
        settings: what it must be set to, and is set to when it is made.
    """

    name: str
    partitions: int
    replication: int | None = None
    settings: Mapping[str, str] = field(default_factory=lambda: dict(_HISTORY))


@dataclass(frozen=True, slots=True)
class Topics:
    """The topics that a node uses.

    Attributes:
        events: statements, from everyone; the network's log.
        entries: what this node accepted, for its own stream processors; the same partition numbers.
        checkpoints: signed notes of all nodes; the same partition numbers, the note's origin as key.
    """

    events: TopicSpec
    entries: TopicSpec
    checkpoints: TopicSpec

    def __iter__(self) -> Iterator[TopicSpec]:
        return iter((self.events, self.entries, self.checkpoints))


def topics_of(genesis: Genesis, node_name: str, replication: int | None = None) -> Topics:
    """The topics of a node of a network.

    A network on `carenet.events` has `carenet.<node>.entries` and `carenet.checkpoints`; one on another topic has them
    under that name's stem, so that two networks on one Kafka keep apart.

    Args:
        genesis: the network's.
        node_name: a name.
        replication: copies of each partition, 1..brokers; None as `TopicSpec` says.
    """
    stem = stem_of(genesis)
    checkpoints = {"cleanup.policy": "delete", "retention.ms": str(_WEEK_MS), "retention.bytes": "-1"}
    return Topics(
        TopicSpec(genesis.topic, genesis.partitions, replication),
        TopicSpec(f"{stem}.{node_name}.entries", genesis.partitions, replication),
        TopicSpec(f"{stem}.checkpoints", genesis.partitions, replication, checkpoints),
    )


def stem_of(genesis: Genesis) -> str:
    """What the names of a network's topics and consumer groups begin with: `carenet` for `carenet.events`."""
    return genesis.topic.removesuffix(".events")


def app_id_of(genesis: Genesis, node_name: str, role: str) -> str:
    """The Faust app id, and so the consumer group, of one role of a node's stream processors."""
    return f"{own_prefix_of(genesis, node_name)}{role}"


def fold_group_of(genesis: Genesis, node_name: str) -> str:
    """The consumer group in which a node's fold workers share the partitions."""
    return f"{own_prefix_of(genesis, node_name)}fold"


def own_prefix_of(genesis: Genesis, node_name: str) -> str:
    """What the names of a node's consumer groups, and of its processors' changelogs, begin with."""
    return f"{stem_of(genesis)}-{node_name}-"


async def provision(at: KafkaAt, specs: Iterable[TopicSpec], timeout_s: float = TIMEOUT_S) -> None:
    """Make the topics that are missing, wait until each partition has a leader, and check all of them.

    Args:
        at: where Kafka is, and how to log in.
        specs: the topics; a `Topics` will do.
        timeout_s: seconds for all of it.

    Raises:
        SetupError: a topic exists and is set otherwise, or Kafka refuses to make it.
        TransportError: Kafka does not answer.
    """
    wanted = list(specs)
    async with open_admin(at, timeout_s) as admin:
        existing = set(await admin.list_topics())
        missing = [spec for spec in wanted if spec.name not in existing]
        if missing:
            await _create(admin, missing)
        while not await _all_led(admin, wanted):  # noqa: ASYNC110 - Kafka tells nobody when a leader is there
            await asyncio.sleep(_POLL_S)
        while True:
            try:
                return await _check(admin, wanted)
            except _MissingTopicError:  # each question goes to any broker, and some hear of a new topic later
                await asyncio.sleep(_POLL_S)


async def check_topics(at: KafkaAt, specs: Iterable[TopicSpec], timeout_s: float = TIMEOUT_S) -> None:
    """Check that the topics exist and are set as they must be.

    Raises:
        SetupError: one is missing or set otherwise; the message names topic and setting.
        TransportError: Kafka does not answer.
    """
    async with open_admin(at, timeout_s) as admin:
        await _check(admin, list(specs))


@asynccontextmanager
async def open_admin(at: KafkaAt, timeout_s: float, about: str = "topics") -> AsyncIterator[AIOKafkaAdminClient]:
    """A client for questions and orders about the cluster.

    Args:
        at: where Kafka is, and how to log in.
        timeout_s: seconds for all that is done with it.
        about: what it is asked about, for messages.

    Raises:
        SetupError: Kafka does not take the login, or does not allow what is asked.
        TransportError: Kafka does not answer.
    """
    limit_repeated_logs()
    with translated(f"asking Kafka at {at} about {about}"):
        admin = AIOKafkaAdminClient(**client_options(at), request_timeout_ms=int(timeout_s * 1000))
        try:
            async with asyncio.timeout(timeout_s):
                await finish_connecting(open_client(at, admin.start()))
                yield admin
        finally:
            await admin.close()


async def _create(admin: AIOKafkaAdminClient, specs: list[TopicSpec]) -> None:
    brokers = await _count_brokers(admin)
    new = []
    for spec in specs:
        copies = spec.replication or min(brokers, _SAFE_REPLICATION)
        settings = {_MIN_ISR: str(_SAFE_ISR if copies >= _SAFE_REPLICATION else 1), **spec.settings}
        new.append(NewTopic(spec.name, spec.partitions, copies, topic_configs=settings))
    for name, code, *_ in (await admin.create_topics(new)).topic_errors:
        error = for_code(code)
        if code == 0 or error is TopicAlreadyExistsError:  # another process of ours was faster
            continue
        if error is InvalidReplicationFactorError:
            raise SetupError(f"topic {name}: Kafka has fewer brokers than the copies that were asked for")
        if getattr(error, "retriable", False):
            raise TransportError(f"topic {name}: Kafka could not make it now: {error.__name__}")
        raise SetupError(f"topic {name}: Kafka refuses to make it: {error.__name__}")


async def _count_brokers(admin: AIOKafkaAdminClient) -> int:
    return len((await admin.describe_cluster())["brokers"])


async def _all_led(admin: AIOKafkaAdminClient, specs: list[TopicSpec]) -> bool:
    described = {each["topic"]: each for each in await admin.describe_topics([spec.name for spec in specs])}
    return all(
        spec.name in described
        and not described[spec.name]["error_code"]
        and all(each["leader"] >= 0 for each in described[spec.name]["partitions"])
        for spec in specs
    )


async def _check(admin: AIOKafkaAdminClient, specs: list[TopicSpec]) -> None:
    existing = set(await admin.list_topics())
    for spec in specs:
        if spec.name not in existing:
            raise _MissingTopicError(spec.name)
    described = await admin.describe_topics([spec.name for spec in specs])
    found = {each["topic"]: each["partitions"] for each in described}
    actual = await _fetch_settings(admin, specs)
    brokers = await _count_brokers(admin)
    for spec in specs:
        partitions = found[spec.name]
        if len(partitions) != spec.partitions:
            raise SetupError(f"topic {spec.name} has {len(partitions)} partitions; it must have {spec.partitions}")
        _check_copies(spec.name, min(len(each["replicas"]) for each in partitions), brokers, actual[spec.name])
        for setting, value in spec.settings.items():
            held = actual[spec.name].get(setting, "")
            if not _is_set(setting, held, value):
                raise SetupError(
                    f"topic {spec.name}: {setting} is {held or 'not set'}; it must be {value}: alter the topic, or "
                    "found another network (--dir, or carenet demo --reset)"
                )


def _check_copies(topic: str, copies: int, brokers: int, settings: Mapping[str, str]) -> None:
    if brokers >= _SAFE_REPLICATION > copies:
        raise SetupError(
            f"topic {topic} has a partition with {copies} of {_SAFE_REPLICATION} copies: reassign its partitions, so "
            "that no broker's disk alone holds what was acknowledged"
        )
    held = settings.get(_MIN_ISR, "")
    if copies >= _SAFE_REPLICATION and not _is_set(_MIN_ISR, held, str(_SAFE_ISR)):
        raise SetupError(
            f"topic {topic}: {_MIN_ISR} is {held or 'not set'}; with {copies} copies it must be {_SAFE_ISR}: alter the "
            "topic, or a broker's death can lose what was acknowledged"
        )


def _is_set(setting: str, found: str, wanted: str) -> bool:
    if setting in _AT_LEAST:
        return found.isdecimal() and int(found) >= int(wanted)
    return found == wanted


async def _fetch_settings(admin: AIOKafkaAdminClient, specs: list[TopicSpec]) -> dict[str, dict[str, str]]:
    asked = [ConfigResource(ConfigResourceType.TOPIC, spec.name) for spec in specs]
    settings: dict[str, dict[str, str]] = {}
    for answer in await admin.describe_configs(asked):
        for code, message, _, name, entries in answer.resources:
            if for_code(code) is UnknownTopicOrPartitionError:
                raise _MissingTopicError(name)
            if code:
                raise SetupError(
                    f"topic {name}: Kafka does not tell its settings: {message or for_code(code).__name__}"
                )
            settings[name] = {entry[0]: entry[1] or "" for entry in entries}
    return settings
