from __future__ import annotations

import asyncio

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import MessageSizeTooLargeError

from carenet.bus.topics import TopicSpec, check_topics, fold_group_of, provision, topics_of
from carenet.errors import SetupError, TransportError
from carenet.local.kafka import EmbeddedKafka
from carenet.local.ports import free_port
from carenet.statements.genesis import Genesis


async def _settings(bootstrap: str, topic: str) -> dict[str, str]:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        answers = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
    finally:
        await admin.close()
    return {entry[0]: entry[1] for entry in answers[0].resources[0][4]}


async def test_provisioning_sets_exactly_the_settings_of_the_design(kafka: EmbeddedKafka, genesis: Genesis) -> None:
    topics = topics_of(genesis, "north")
    await provision(kafka.bootstrap, topics)
    for spec in (topics.events, topics.entries):
        settings = await _settings(kafka.bootstrap, spec.name)
        wanted = {
            "cleanup.policy": "delete",
            "retention.ms": "-1",
            "retention.bytes": "-1",
            "message.timestamp.type": "LogAppendTime",
            "max.message.bytes": "1048576",
            "compression.type": "uncompressed",
            "unclean.leader.election.enable": "false",
            "min.insync.replicas": "1",
        }
        assert {name: settings[name] for name in wanted} == wanted


def test_topics_and_groups_are_named_after_the_networks_topic_and_the_node(genesis: Genesis) -> None:
    stem = genesis.topic.removesuffix(".events")
    assert [spec.name for spec in topics_of(genesis, "north")] == [
        genesis.topic,
        f"{stem}.north.entries",
        f"{stem}.checkpoints",
    ]
    assert fold_group_of(genesis, "north") == f"{stem}-north-fold"


async def test_provisioning_again_and_at_once_by_two_changes_nothing(kafka: EmbeddedKafka, genesis: Genesis) -> None:
    topics = topics_of(genesis, "north")
    await asyncio.gather(provision(kafka.bootstrap, topics), provision(kafka.bootstrap, topics))
    await provision(kafka.bootstrap, topics)
    await check_topics(kafka.bootstrap, topics)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("cleanup.policy", "compact"),
        ("retention.ms", "3600000"),
        ("retention.bytes", "1000000"),
        ("message.timestamp.type", "CreateTime"),
        ("max.message.bytes", "1000000"),
        ("compression.type", "producer"),
        ("unclean.leader.election.enable", "true"),
    ],
)
async def test_a_wrong_setting_is_named(kafka: EmbeddedKafka, topic_name: str, setting: str, value: str) -> None:
    spec = TopicSpec(topic_name, 1)
    await provision(kafka.bootstrap, [TopicSpec(topic_name, 1, settings={**spec.settings, setting: value})])
    for check in (check_topics, provision):
        with pytest.raises(SetupError, match=rf"topic {topic_name}: {setting} is {value}; it must be .*: alter"):
            await check(kafka.bootstrap, [spec])
    assert (await _settings(kafka.bootstrap, topic_name))[setting] == value, "a topic that exists is never altered"


async def test_a_larger_message_limit_than_asked_is_fine(kafka: EmbeddedKafka, topic_name: str) -> None:
    spec = TopicSpec(topic_name, 1)
    larger = {**spec.settings, "max.message.bytes": "4194304"}
    await provision(kafka.bootstrap, [TopicSpec(topic_name, 1, settings=larger)])
    await check_topics(kafka.bootstrap, [spec])


async def test_a_record_that_was_compressed_below_the_limit_is_refused(kafka: EmbeddedKafka, topic_name: str) -> None:
    await provision(kafka.bootstrap, [TopicSpec(topic_name, 1)])
    producer = AIOKafkaProducer(
        bootstrap_servers=kafka.bootstrap, compression_type="gzip", max_request_size=1 << 24, max_batch_size=1 << 24
    )
    async with producer:
        await producer.send_and_wait(topic_name, bytes(900 * 1024), partition=0)
        with pytest.raises(MessageSizeTooLargeError):
            await producer.send_and_wait(topic_name, bytes(8 << 20), partition=0)  # 8 KiB on the wire


async def test_another_partition_count_is_named(kafka: EmbeddedKafka, topic_name: str) -> None:
    await provision(kafka.bootstrap, [TopicSpec(topic_name, 2)])
    with pytest.raises(SetupError, match=f"topic {topic_name} has 2 partitions; it must have 3"):
        await provision(kafka.bootstrap, [TopicSpec(topic_name, 3)])


async def test_a_missing_topic_is_named_and_not_made_by_a_check(kafka: EmbeddedKafka, topic_name: str) -> None:
    for _ in range(2):
        with pytest.raises(SetupError, match=f"topic {topic_name} does not exist"):
            await check_topics(kafka.bootstrap, [TopicSpec(topic_name, 1)])


async def test_more_copies_than_brokers_are_refused(kafka: EmbeddedKafka, topic_name: str) -> None:
    with pytest.raises(SetupError, match=f"topic {topic_name}: Kafka has fewer brokers"):
        await provision(kafka.bootstrap, [TopicSpec(topic_name, 1, replication=3)])


async def test_a_dead_broker_is_a_transport_error_within_the_timeout() -> None:
    async with asyncio.timeout(5):
        with pytest.raises(TransportError, match="asking Kafka"):
            await check_topics(f"127.0.0.1:{free_port()}", [TopicSpec("any", 1)], timeout_s=1)
