from __future__ import annotations

import asyncio
import time

import pytest
from aiokafka import AIOKafkaConsumer

from carenet.bus.publishing import Producer, Publisher
from carenet.bus.topics import topics_of
from carenet.encoding import cose
from carenet.errors import CorruptionError
from carenet.ledger.receipts import verify_receipt
from carenet.node.checkpoints import CheckpointSigner
from carenet.node.config import WorkerConfig
from carenet.rules.relay import open_checkpoint
from carenet.rules.rows import PartitionState
from carenet.store.proofs import fetch_receipt
from carenet.store.store import Store
from carenet.store.stored import StoredCheckpoint
from tests.support.chronicle import Chronicle
from tests.support.folding import fold_into, raw_records
from tests.support.working import found, publish, running, wait_for_size


async def _covering(store: Store, partition: int, index: int, timeout_s: float = 5.0) -> StoredCheckpoint:
    async with asyncio.timeout(timeout_s):
        while (checkpoint := await store.checkpoint_covering(partition, index)) is None:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    return checkpoint


def _signer(config: WorkerConfig, store: Store, producer: Producer, state: PartitionState) -> CheckpointSigner:
    topic = topics_of(config.genesis, config.node).checkpoints.name
    return CheckpointSigner(store, producer, topic, state, network=config.genesis.network_id, key=config.keys.sign_key)


async def _published(config: WorkerConfig, partition: int, count: int) -> list[str]:
    topic = topics_of(config.genesis, config.node).checkpoints.name
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=config.kafka, auto_offset_reset="earliest")
    await consumer.start()
    try:
        notes: list[str] = []
        async with asyncio.timeout(10):
            while len(notes) < count:
                record = await consumer.getone()
                if record.partition == partition:
                    notes.append(record.value.decode())
        return notes
    finally:
        await consumer.stop()


async def test_every_entry_is_soon_covered_by_a_checkpoint_that_opens(
    config: WorkerConfig, store: Store, publisher: Publisher, chronicle: Chronicle
) -> None:
    async with running(config):
        await found(publisher, store, config.genesis, chronicle.founding())
        patient = chronicle.patient("anna", 1)
        await publish(publisher, [chronicle.open(patient), *(chronicle.care(patient) for _ in range(20))])
        await wait_for_size(store, {1: 23})
        stored = await _covering(store, 1, 22)
    said = open_checkpoint(stored.note, config.genesis, 1)
    assert (said.size, said.root) == (23, (await store.load_state(1)).tree.root())
    assert stored.note in await _published(config, 1, len(await store.read_checkpoints(1, 0, 99)))
    public = config.keys.sign_public
    for entry in await store.read_entries(1, 0, 99):
        receipt = await fetch_receipt(store, entry, stored)
        verify_receipt(receipt, entry.entry, entry.digest, {cose.compute_thumbprint(public): public})


async def test_what_is_urgent_is_signed_at_once_and_the_rest_once_a_second(
    config: WorkerConfig, store: Store, producer: Producer, chronicle: Chronicle
) -> None:
    anna = chronicle.patient("anna", 0)
    story = raw_records([*chronicle.founding(), chronicle.open(anna), *(chronicle.care(anna) for _ in range(4))])
    at_ms = chronicle.iat_s * 1000
    story = [type(each)(each.offset, each.key, each.value, at_ms, True) for each in story]
    signer = _signer(config, store, producer, await store.load_state(0))
    task = asyncio.create_task(signer.run())
    try:
        moments = []
        for upto, is_urgent in ((1, False), (2, True), (3, False)):
            began_s = time.monotonic()
            await fold_into(store, config.genesis, story[upto - 1 : upto], batch=1)
            signer.note_commit(await store.load_state(0), is_urgent)
            await _covering(store, 0, upto - 1)
            moments.append(time.monotonic() - began_s)
        assert moments[1] < 0.6, "an urgent one does not wait for the second to end"
        assert moments[2] > 0.5, "another one does"
    finally:
        task.cancel()
        await asyncio.wait({task})


async def test_who_takes_over_publishes_the_last_one_again_and_signs_what_is_not_signed(
    config: WorkerConfig, store: Store, producer: Producer, chronicle: Chronicle
) -> None:
    story = [
        type(each)(each.offset, each.key, each.value, chronicle.iat_s * 1000, True)
        for each in raw_records(chronicle.founding())
    ]
    for upto in (1, 2):
        await fold_into(store, config.genesis, story[upto - 1 : upto], batch=1)
        task = asyncio.create_task(_signer(config, store, producer, await store.load_state(0)).run())
        await _covering(store, 0, upto - 1)
        await _published(config, 0, 2 * upto - 1)
        task.cancel()
        await asyncio.wait({task})
    notes = await _published(config, 0, 3)
    assert [open_checkpoint(note, config.genesis, 0).size for note in notes] == [1, 1, 2]


async def test_a_root_that_the_tiles_do_not_lead_to_is_not_signed(
    config: WorkerConfig, store: Store, producer: Producer, chronicle: Chronicle
) -> None:
    await fold_into(store, config.genesis, raw_records(chronicle.founding()), batch=2)
    state = await store.load_state(0)
    state.tree.append(b"\0" * 32)
    with pytest.raises((CorruptionError, ValueError)):
        await _signer(config, store, producer, state)._sign(state)
    assert await store.latest_checkpoint(0) is None
