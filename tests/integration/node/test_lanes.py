from __future__ import annotations

import asyncio
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from carenet.bus.publishing import Producer
from carenet.node import pipeline
from carenet.node.config import WorkerConfig
from carenet.store.store import Store
from tests.support.chronicle import Chronicle
from tests.support.waiting import STRETCH
from tests.support.working import publish_fast, running, spawn_worker, wait_for_offsets, wait_for_size


async def _send_nothing(config: WorkerConfig, producer: Producer, count: int) -> None:
    for partition in range(3):
        for number in range(count):
            await producer.send(config.genesis.topic, partition, b"key", f"nothing {number}".encode())


async def test_a_record_that_we_cannot_cope_with_halts_its_partition_only(
    config: WorkerConfig, store: Store, producer: Producer, monkeypatch: pytest.MonkeyPatch
) -> None:
    fold, tries = pipeline.fold, []

    def failing(records: Any, view: Any, state: Any, scope: Any, next_offset: int) -> Any:
        if scope.partition == 1:
            tries.append(next_offset)
            raise ZeroDivisionError
        return fold(records, view, state, scope, next_offset)

    monkeypatch.setattr(pipeline, "fold", failing)
    async with running(config):
        await _send_nothing(config, producer, 1)
        await wait_for_offsets(store, {0: 1, 2: 1})
        async with asyncio.timeout(10 * STRETCH):
            while not (halts := await store.halts()):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        assert [(halt.partition, halt.reason) for halt in halts] == [(1, "unexpected error: ZeroDivisionError")]
        await _send_nothing(config, producer, 1)
        await wait_for_offsets(store, {0: 2, 2: 2})
    assert len(tries) == 3
    assert (await store.next_offsets())[1] == 0


async def test_a_worker_that_another_overtakes_lets_go_and_goes_on_from_there(
    config: WorkerConfig, store: Store, producer: Producer, chronicle: Chronicle
) -> None:
    founding = chronicle.founding()
    async with running(config) as worker:
        await _send_nothing(config, producer, 1)
        await wait_for_offsets(store, dict.fromkeys(range(3), 1))
        # As a zombie's commit would: the next offset moves under the worker that holds the partition.
        await store._fetch("UPDATE partition_state SET next_offset = 2 WHERE partition = 0")
        await store._fetch(
            "INSERT INTO rejections SELECT partition, 1, reason, detail, head, issuer, is_proven, digest, winner, at"
            ' FROM rejections WHERE partition = 0 AND "offset" = 0'
        )
        await producer.send(config.genesis.topic, 0, b"key", b"nothing 0")
        await publish_fast(producer, config.genesis, founding)
        await wait_for_size(store, {0: 2})
        failures = worker.metrics.registry.get_sample_value("carenet_fold_failures_total", {"kind": "LostPartition"})
        assert failures == 1
    assert (await store.next_offsets())[0] == 4
    assert await store.halts() == []


async def test_a_worker_that_was_frozen_is_replaced_and_does_no_harm_when_it_wakes_up(
    config: WorkerConfig, store: Store, producer: Producer, tmp_path: Path
) -> None:
    workers = [await spawn_worker(config, tmp_path) for _ in range(2)]
    try:
        await _send_nothing(config, producer, 1)
        await wait_for_offsets(store, dict.fromkeys(range(3), 1))
        workers[0].send_signal(signal.SIGSTOP)
        frozen_s = time.monotonic()
        await _send_nothing(config, producer, 200)
        await wait_for_offsets(store, dict.fromkeys(range(3), 201))
        assert time.monotonic() - frozen_s < 12 * STRETCH
        workers[0].send_signal(signal.SIGCONT)
        await _send_nothing(config, producer, 100)
        await wait_for_offsets(store, dict.fromkeys(range(3), 301))
        workers[1].kill()
        await _send_nothing(config, producer, 100)
        await wait_for_offsets(store, dict.fromkeys(range(3), 401))
    finally:
        for worker in workers:
            if worker.returncode is None:
                worker.kill()
            await worker.wait()
    assert await store.halts() == []
    decided = [len(await store.read_rejections(partition, 0, 1000)) for partition in range(3)]
    assert decided == [401, 401, 401]
