"""A worker that lives and does nothing is restarted by the supervisor, which says so; nothing is lost."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from carenet.demo.counting import catch_up
from carenet.local.supervisor import Event, EventKind
from carenet.store.store import Store
from tests.support.clinic import Clinic, clinic
from tests.support.waiting import STRETCH, until

PATIENCE_S = 3.0


@pytest_asyncio.fixture(loop_scope="session")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Clinic]:
    """A clinic with one impatient supervisor."""
    async with clinic(tmp_path_factory.mktemp("clinic"), patience_s=PATIENCE_S) as made:
        yield made


def _of_worker(running: Clinic, since: int) -> list[Event]:
    return [event for event in running.said[since:] if event.service == "worker"]


async def test_a_worker_that_stands_still_while_the_topic_grows_is_restarted_and_said_so(running: Clinic) -> None:
    hospital = await running.enter("hospital")
    patient = await hospital.register_patient()
    lab = await running.enter("lab", is_direct=True)
    (worker,) = (status for status in running.stack.status() if status.service == "worker")
    assert worker.pid is not None
    # With nothing to do, a worker that does nothing is well.
    since = len(running.said)
    await asyncio.sleep(PATIENCE_S + 2)
    assert _of_worker(running, since) == []
    os.kill(worker.pid, signal.SIGSTOP)
    publishing = asyncio.create_task(lab.publish(patient, {"resourceType": "Observation", "id": "late"}))
    await until(lambda: any(event.kind == EventKind.READY for event in _of_worker(running, since)), 60)
    said = _of_worker(running, since)
    assert [event.kind for event in said] == [
        EventKind.UNWELL,
        EventKind.WAITING,
        EventKind.STARTING,
        EventKind.READY,
    ]
    assert said[0].detail.startswith("stands still at ")
    async with asyncio.timeout(30 * STRETCH):
        assert (await publishing).accepted
    async with Store(running.stack.postgres) as store:
        await catch_up(running.stack.kafka, running.genesis, store, 10 * STRETCH)
    (restarted,) = (status for status in running.stack.status() if status.service == "worker")
    assert restarted.pid not in {None, worker.pid}
    assert restarted.restarts == 1
