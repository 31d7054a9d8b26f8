"""Processes that live and do nothing are restarted by the supervisor, which says so; nothing is lost."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from carenet.client.care import Care
from carenet.client.outcomes import Outcome
from carenet.local.supervisor import Event, EventKind, Status
from carenet.store.store import Store
from tests.support.clinic import Clinic, clinic
from tests.support.waiting import STRETCH, until, until_answered

PATIENCE_S = 3.0


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Clinic]:
    """A clinic whose supervisor is impatient."""
    async with clinic(tmp_path_factory.mktemp("clinic"), patience_s=PATIENCE_S) as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def lab(running: Clinic) -> Care:
    """It may write about anybody."""
    return await running.enter("lab", is_direct=True)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def patient(running: Clinic) -> str:
    """Somebody."""
    return await (await running.enter("hospital")).register_patient()


def _status(running: Clinic, service: str) -> Status:
    (found,) = (status for status in running.stack.status() if status.service == service)
    return found


async def _freeze_until_restarted(running: Clinic, service: str) -> list[Event]:
    """Stop a process without ending it; what the supervisor says of it until it is ready again."""
    since = len(running.said)
    before = _status(running, service)
    assert before.pid is not None
    os.kill(before.pid, signal.SIGSTOP)

    def said() -> list[Event]:
        return [event for event in running.said[since:] if event.service == service]

    await until(lambda: any(event.kind == EventKind.READY for event in said()), 60)
    after = _status(running, service)
    assert after.pid not in {None, before.pid}
    assert after.restarts == before.restarts + 1
    return said()


def _assert_said(said: list[Event]) -> None:
    kinds = [EventKind.UNWELL, EventKind.WAITING, EventKind.STARTING, EventKind.READY]
    assert [event.kind for event in said] == kinds
    assert said[0].detail.startswith("stands still at ")


async def _publish(lab: Care, patient: str) -> Outcome:
    async with asyncio.timeout(60 * STRETCH):
        return await lab.publish(patient, {"resourceType": "Observation"})


async def test_a_worker_that_stands_still_while_the_topic_grows_is_restarted_and_said_so(
    running: Clinic, lab: Care, patient: str
) -> None:
    # With nothing to do, a worker that does nothing is well.
    since = len(running.said)
    await asyncio.sleep(PATIENCE_S + 2)
    assert running.heard("worker", since) == []
    freezing = asyncio.create_task(_freeze_until_restarted(running, "worker"))
    await asyncio.sleep(0)
    assert (await _publish(lab, patient)).accepted
    _assert_said(await freezing)


async def test_agents_that_stand_still_while_entries_come_are_restarted_and_count_on(
    running: Clinic, lab: Care, patient: str
) -> None:
    assert (await _publish(lab, patient)).accepted
    since = len(running.said)
    freezing = asyncio.create_task(_freeze_until_restarted(running, "agents"))
    await asyncio.sleep(0)
    assert (await _publish(lab, patient)).accepted
    _assert_said(await freezing)
    assert running.heard("worker", since) == []
    async with Store(running.stack.postgres) as store:

        async def is_counted() -> bool:
            ((counted,),) = await store._fetch("SELECT sum(events) FROM activity WHERE type = 'care.observation'")
            ((written,),) = await store._fetch("SELECT count(*) FROM entries WHERE type = 'care.observation'")
            return bool(counted == written)

        await until_answered(is_counted, 30)
