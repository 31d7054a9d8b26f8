from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.partitioner import DefaultPartitioner
from hypothesis import given
from hypothesis import strategies as st

from carenet.bus.publishing import Producer, Publisher, Record
from carenet.bus.topics import TopicSpec, provision, topics_of
from carenet.encoding.ids import encode_id, sha256
from carenet.errors import BadInputError, TransportError
from carenet.local.kafka import EmbeddedKafka
from carenet.local.ports import free_port
from carenet.statements.genesis import Genesis
from carenet.statements.records import RecordValue, RelayProof, decode_record, murmur2

PROOF = RelayProof(entry=b"entry", index=0, path=(), checkpoint="note")


@given(st.binary(max_size=64))
def test_our_murmur2_sends_a_key_where_aiokafkas_partitioner_does(key: bytes) -> None:
    partitions = list(range(12))
    assert DefaultPartitioner()(key, partitions, partitions) == (murmur2(key) & 0x7FFFFFFF) % 12


async def _records(bootstrap: str, topic: str, count: int) -> list[tuple[int, int, bytes, bytes]]:
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        async with asyncio.timeout(10):
            records = [await consumer.getone() for _ in range(count)]
        assert not await consumer.getmany(timeout_ms=200), "more than was sent"
    finally:
        await consumer.stop()
    return [(record.partition, record.offset, record.key, record.value) for record in records]


async def test_a_statement_lands_where_the_answer_says_and_where_other_clients_would_send_it(
    kafka: EmbeddedKafka, genesis: Genesis
) -> None:
    await provision(kafka.bootstrap, topics_of(genesis, "node"))
    subjects = [sha256(bytes((each,))) for each in range(8)]
    async with Publisher(kafka.bootstrap, genesis) as publisher:
        sent = [await publisher.publish(subject, RecordValue(subject[:4], b"body")) for subject in subjects]
    async with AIOKafkaProducer(bootstrap_servers=kafka.bootstrap) as plain:
        others = [
            (await plain.send_and_wait(genesis.topic, b"x", encode_id(subject).encode())).partition
            for subject in subjects
        ]
    assert [each.partition for each in sent] == others
    assert len(set(others)) > 1
    found = {(p, o): (k, v) for p, o, k, v in await _records(kafka.bootstrap, genesis.topic, 16)}
    for subject, at in zip(subjects, sent, strict=True):
        key, value = found[at]
        assert key == encode_id(subject).encode()
        assert decode_record(value) == RecordValue(subject[:4], b"body")


async def test_the_networks_own_subject_goes_to_partition_0_and_relays_elsewhere(
    kafka: EmbeddedKafka, genesis: Genesis
) -> None:
    await provision(kafka.bootstrap, topics_of(genesis, "node"))
    async with Publisher(kafka.bootstrap, genesis) as publisher:
        assert await publisher.publish(genesis.network_id, RecordValue(b"s", None)) == (0, 0)
        relay = RecordValue(b"s", None, PROOF)
        assert [await publisher.relay(each, relay) for each in (1, 2, 3)] == [(1, 0), (2, 0), (3, 0)]
        for partition, value in ((0, relay), (4, relay), (1, RecordValue(b"s", None))):
            with pytest.raises(ValueError, match="a relay has a proof"):
                await publisher.relay(partition, value)
    keys = {key for _, _, key, _ in await _records(kafka.bootstrap, genesis.topic, 4)}
    assert keys == {encode_id(genesis.network_id).encode()}


async def test_many_statements_land_where_each_would_alone(kafka: EmbeddedKafka, genesis: Genesis) -> None:
    await provision(kafka.bootstrap, topics_of(genesis, "node"))
    async with Publisher(kafka.bootstrap, genesis) as publisher:
        subject = bytes(32)
        partition = publisher.partition_of(subject)
        values = [RecordValue(b"s%d" % number, b"body") for number in range(300)]
        assert await publisher.publish(subject, values[0]) == (partition, 0)
        sent = await publisher.publish_all(partition, [(subject, value) for value in values[1:]])
        assert sent == [(partition, offset) for offset in range(1, 300)]
        with pytest.raises(BadInputError, match="at most 921600"):
            await publisher.publish_all(partition, [(subject, values[0]), (subject, RecordValue(b"s", bytes(921_600)))])
        with pytest.raises(ValueError, match="does not belong in partition"):
            await publisher.publish_all(partition + 1, [(subject, values[0])])
    found = await _records(kafka.bootstrap, genesis.topic, 300)
    assert [(place, key) for place, _, key, _ in found] == [(partition, encode_id(subject).encode())] * 300
    assert [decode_record(value) for _, _, _, value in found] == values


async def test_a_record_above_the_networks_limit_is_bad_input_and_not_sent(
    kafka: EmbeddedKafka, genesis: Genesis
) -> None:
    await provision(kafka.bootstrap, topics_of(genesis, "node"))
    async with Publisher(kafka.bootstrap, genesis) as publisher:
        with pytest.raises(BadInputError, match="at most 921600"):
            await publisher.publish(bytes(32), RecordValue(b"s", bytes(900 * 1024)))
        largest = RecordValue(b"s", bytes(900 * 1024 - 8))
        assert (await publisher.publish(bytes(32), largest)).offset == 0
    async with Producer(kafka.bootstrap) as producer:
        with pytest.raises(BadInputError, match="limit of 1 MiB"):
            await producer.send(genesis.topic, 0, b"k", bytes(1 << 20))


async def test_many_records_arrive_in_order_over_several_batches(kafka: EmbeddedKafka, topic_name: str) -> None:
    await provision(kafka.bootstrap, [TopicSpec(topic_name, 2)])
    records = [Record(b"k%d" % each, bytes(4000)) for each in range(400)]
    records[200] = Record(b"k200", bytes(700_000))  # larger than a batch alone
    async with Producer(kafka.bootstrap) as producer:
        assert await producer.send_all(topic_name, 1, records) == [(1, each) for each in range(400)]
        assert await producer.send_all(topic_name, 1, []) == []
    found = await _records(kafka.bootstrap, topic_name, 400)
    assert [(partition, offset) for partition, offset, _, _ in found] == [(1, each) for each in range(400)]
    assert [(key, len(value)) for _, _, key, value in found] == [(each.key, len(each.value)) for each in records]


@pytest.mark.parametrize("call", ["send", "send_all"])
async def test_a_missing_topic_or_partition_is_a_transport_error_within_the_timeout(
    kafka: EmbeddedKafka, topic_name: str, call: str
) -> None:
    async def send(producer: Producer, topic: str, partition: int) -> None:
        if call == "send":
            await producer.send(topic, partition, b"k", b"v")
        else:
            await producer.send_all(topic, partition, [Record(b"k", b"v")])

    await provision(kafka.bootstrap, [TopicSpec(topic_name, 1)])
    async with Producer(kafka.bootstrap, timeout_s=1) as producer, asyncio.timeout(5):
        with pytest.raises(TransportError, match="no answer"):
            await send(producer, f"{topic_name}.missing", 0)
        with pytest.raises(TransportError, match="no such partition"):
            await send(producer, topic_name, 1)
        await send(producer, topic_name, 0)


async def test_connecting_to_a_dead_broker_is_a_transport_error_within_the_timeout() -> None:
    async with asyncio.timeout(5):
        with pytest.raises(TransportError, match="connecting"):
            async with Producer(f"127.0.0.1:{free_port()}", timeout_s=1):
                pass


async def test_a_send_to_a_broker_that_died_ends_within_its_timeout_and_the_next_one_arrives_after_its_return(
    server_folder: Path, topic_name: str
) -> None:
    own = EmbeddedKafka(server_folder / topic_name)
    await own.start()
    try:
        await provision(own.bootstrap, [TopicSpec(topic_name, 1)])
        async with Producer(own.bootstrap, timeout_s=1) as producer:
            await producer.send(topic_name, 0, b"k", b"before")
            await own.kill()
            started = time.monotonic()
            with pytest.raises(TransportError, match="no answer from Kafka in time"):
                await producer.send(topic_name, 0, b"k", b"during")
            assert time.monotonic() - started < 2
            started = time.monotonic()
        assert time.monotonic() - started < 5, "closing does not wait for a broker that is away"
        await own.start()
        async with Producer(own.bootstrap) as producer:
            await producer.send(topic_name, 0, b"k", b"after")
            values = [value for *_, value in await _records(own.bootstrap, topic_name, 2)]
        assert values == [b"before", b"after"]
    finally:
        await own.stop()
