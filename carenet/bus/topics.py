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
_AT_LEAST = {"max.message.bytes"}  # more than asked is as good
_WEEK_MS = 7 * 24 * 3600 * 1000
_TIMEOUT_S = 30.0
_POLL_S = 0.05
_SAFE_REPLICATION = 3  # from three copies on, two must have a record before it counts as written


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
        replication: copies of each partition when it is made; not checked later.
        settings: what it must be set to, and is set to when it is made.
    """

    name: str
    partitions: int
    replication: int = 1
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


def topics_of(genesis: Genesis, node_name: str, replication: int = 1) -> Topics:
    """The topics of a node of a network.

    A network on `carenet.events` has `carenet.<node>.entries` and `carenet.checkpoints`; one on another topic has them
    under that name's stem, so that two networks on one Kafka keep apart.

    Args:
        genesis: the network's.
        node_name: a name.
        replication: copies of each partition, 1..brokers.
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
    return f"{stem_of(genesis)}-{node_name}-{role}"


def fold_group_of(genesis: Genesis, node_name: str) -> str:
    """The consumer group in which a node's fold workers share the partitions."""
    return f"{stem_of(genesis)}-{node_name}-fold"


async def provision(bootstrap: str, specs: Iterable[TopicSpec], timeout_s: float = _TIMEOUT_S) -> None:
    """Make the topics that are missing, wait until each partition has a leader, and check all of them.

    Args:
        bootstrap: `host:port`, several separated by commas.
        specs: the topics; a `Topics` will do.
        timeout_s: seconds for all of it.

    Raises:
        SetupError: a topic exists and is set otherwise, or Kafka refuses to make it.
        TransportError: Kafka does not answer.
    """
    wanted = list(specs)
    async with _admin(bootstrap, timeout_s) as admin:
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


async def check_topics(bootstrap: str, specs: Iterable[TopicSpec], timeout_s: float = _TIMEOUT_S) -> None:
    """Check that the topics exist and are set as they must be.

    Raises:
        SetupError: one is missing or set otherwise; the message names topic and setting.
        TransportError: Kafka does not answer.
    """
    async with _admin(bootstrap, timeout_s) as admin:
        await _check(admin, list(specs))


@asynccontextmanager
async def _admin(bootstrap: str, timeout_s: float) -> AsyncIterator[AIOKafkaAdminClient]:
    limit_repeated_logs()
    with translated(f"asking Kafka at {bootstrap} about topics"):
        admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=int(timeout_s * 1000))
        try:
            async with asyncio.timeout(timeout_s):
                await finish_connecting(admin.start())
                yield admin
        finally:
            await admin.close()


async def _create(admin: AIOKafkaAdminClient, specs: list[TopicSpec]) -> None:
    new = [
        NewTopic(spec.name, spec.partitions, spec.replication, topic_configs=_settings_when_made(spec))
        for spec in specs
    ]
    for name, code, *_ in (await admin.create_topics(new)).topic_errors:
        error = for_code(code)
        if code == 0 or error is TopicAlreadyExistsError:  # another process of ours was faster
            continue
        if error is InvalidReplicationFactorError:
            raise SetupError(f"topic {name}: Kafka has fewer brokers than the copies that were asked for")
        if getattr(error, "retriable", False):
            raise TransportError(f"topic {name}: Kafka could not make it now: {error.__name__}")
        raise SetupError(f"topic {name}: Kafka refuses to make it: {error.__name__}")


def _settings_when_made(spec: TopicSpec) -> dict[str, str]:
    return {**spec.settings, "min.insync.replicas": "2" if spec.replication >= _SAFE_REPLICATION else "1"}


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
    counts = {each["topic"]: len(each["partitions"]) for each in described}
    actual = await _fetch_settings(admin, specs)
    for spec in specs:
        if counts[spec.name] != spec.partitions:
            raise SetupError(f"topic {spec.name} has {counts[spec.name]} partitions; it must have {spec.partitions}")
        for setting, value in spec.settings.items():
            found = actual[spec.name].get(setting, "")
            if not _is_set(setting, found, value):
                raise SetupError(
                    f"topic {spec.name}: {setting} is {found or 'not set'}; it must be {value}: alter the topic, or "
                    "found another network (--dir, or carenet demo --reset)"
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
