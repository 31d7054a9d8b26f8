from __future__ import annotations

from collections.abc import Callable

import asyncpg
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from carenet.local.kafka import EmbeddedKafka


async def test_a_record_goes_through_the_fixtures_kafka(kafka: EmbeddedKafka, topic_name: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic_name, num_partitions=2, replication_factor=1)])
    finally:
        await admin.close()
    async with AIOKafkaProducer(bootstrap_servers=kafka.bootstrap) as producer:
        sent = await producer.send_and_wait(topic_name, b"value", key=b"key", partition=1)
    assert sent.timestamp_type == 1, "the broker's clock is the record's time"
    async with AIOKafkaConsumer(
        topic_name, bootstrap_servers=kafka.bootstrap, auto_offset_reset="earliest"
    ) as consumer:
        record = await consumer.getone()
    assert (record.key, record.value, record.partition) == (b"key", b"value", 1)


async def test_each_test_has_an_empty_database_of_its_own(database: str) -> None:
    connection = await asyncpg.connect(database)
    try:
        assert await connection.fetchval("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == 0
        await connection.execute("CREATE TABLE left_behind (x int)")
    finally:
        await connection.close()


test_each_test_has_an_empty_database_of_its_own_again = test_each_test_has_an_empty_database_of_its_own


async def test_the_account_reads_no_files_of_the_server(database: str) -> None:
    connection = await asyncpg.connect(database)
    try:
        assert not await connection.fetchval("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
        for statement in ("SELECT pg_read_file('/etc/passwd')", "COPY (SELECT 1) TO PROGRAM 'true'"):
            try:
                await connection.execute(statement)
            except asyncpg.InsufficientPrivilegeError:
                continue
            raise AssertionError(statement)
    finally:
        await connection.close()


def test_names_are_unique(unique_name: Callable[[str], str], topic_name: str) -> None:
    assert len({unique_name("a"), unique_name("a"), topic_name}) == 3
