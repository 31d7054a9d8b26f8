from __future__ import annotations

from dataclasses import replace

import pytest

from carenet.bus.publishing import Producer, Publisher
from carenet.errors import KeyFileError, SetupError
from carenet.node.config import WorkerConfig
from carenet.node.identity import create_node_keys
from carenet.node.worker import FoldWorker
from carenet.rules.reasons import Reason
from carenet.store.store import Store
from carenet.store.stored import StoredRejection
from tests.support.chronicle import Chronicle
from tests.support.working import found, publish, publish_fast, running, wait_for_offsets, wait_for_size


async def test_a_published_event_becomes_an_entry_of_its_patients_timeline(
    config: WorkerConfig, store: Store, publisher: Publisher, chronicle: Chronicle
) -> None:
    async with running(config):
        await found(publisher, store, config.genesis, chronicle.founding())
        for partition in range(3):
            patient = chronicle.patient(f"patient {partition}", partition)
            await publish(publisher, [chronicle.open(patient), chronicle.care(patient), chronicle.care(patient)])
            await wait_for_size(store, {partition: 5})
            timeline = await store.read_subject_entries(partition, patient.id, 0, 10)
            assert [each.type for each in timeline] == ["subject.open", "care.observation", "care.observation"]
    assert await store.rejections(10) == []


async def test_what_is_refused_is_kept_with_its_reason_and_changes_nothing(
    config: WorkerConfig, store: Store, producer: Producer, chronicle: Chronicle
) -> None:
    founding = chronicle.founding()
    nobody = chronicle.patient("nobody", 0)
    async with running(config):
        await publish_fast(producer, config.genesis, [*founding, founding[0], chronicle.care(nobody)])
        await producer.send(config.genesis.topic, 0, b"key", b"no statement")
        await wait_for_offsets(store, {0: 5})
    assert (await store.heads())[0].size == 2
    outcomes = [await store.outcome_at(0, offset) for offset in (2, 3, 4)]
    reasons = [each.reason for each in outcomes if isinstance(each, StoredRejection)]
    assert reasons == [Reason.DUPLICATE, Reason.UNKNOWN_SUBJECT, Reason.BAD_ENCODING]


async def test_a_worker_with_another_networks_keys_does_not_start(config: WorkerConfig) -> None:
    with pytest.raises(KeyFileError, match="another network"):
        await FoldWorker(replace(config, keys=create_node_keys())).run()


async def test_a_worker_whose_topics_are_not_there_says_so(config: WorkerConfig, topic_name: str) -> None:
    genesis = replace(config.genesis, topic=f"{topic_name}.other")
    with pytest.raises(SetupError, match="does not exist"):
        await FoldWorker(replace(config, genesis=genesis)).run()
