"""Kill -9 of each process, and SIGSTOP and SIGCONT of each, in the middle of a run of 20,000 events.

Nobody in these tests retries anything, but for the sender of the burst, which sends again what Kafka did not answer.
Each run has a stack of its own, so that a failure says which fault it was.
"""

from __future__ import annotations

import asyncio
import os
import signal
from functools import partial
from pathlib import Path

import pytest

from carenet.local.orphans import processes_in
from carenet.local.supervisor import EventKind
from tests.support.longrun import LongRun, long_run

pytestmark = [pytest.mark.long, pytest.mark.xdist_group("stack")]

# Longer than any session: Kafka throws a worker out of its group after 6 s of silence and a broker out of its cluster
# after 1 s, PostgreSQL ends a transaction that stands still after 5 s. Shorter than the supervisor's patience.
PAUSE_S = 8.0


@pytest.mark.parametrize("victim", ["worker", "gateway", "kafka", "postgres"])
async def test_a_kill_in_the_middle_of_many_events_loses_and_doubles_nothing(tmp_path: Path, victim: str) -> None:
    async with long_run(tmp_path) as run:
        await run.go(lambda: run.clinic.stack.kill(victim))
        assert run.clinic.heard(victim)[-5:-3] == [EventKind.READY, EventKind.DIED]
        run.assert_answered()
        await run.assert_undisturbed()
        assert run.clinic.heard(victim)[-1] == EventKind.READY


@pytest.mark.parametrize("victim", ["worker", "gateway", "kafka", "postgres"])
async def test_a_process_that_stands_still_for_a_while_and_goes_on_loses_and_doubles_nothing(
    tmp_path: Path, victim: str
) -> None:
    async with long_run(tmp_path) as run:
        await run.go(lambda: _pause(run, victim))
        run.assert_answered()
        await run.assert_undisturbed()
        assert run.clinic.heard(victim) == [EventKind.STARTING, EventKind.READY], "nobody restarted it"


@pytest.mark.parametrize("befall", ["killed", "paused"])
async def test_one_broker_of_three_that_goes_away_loses_and_doubles_nothing(tmp_path: Path, befall: str) -> None:
    async with long_run(tmp_path, brokers=3) as run:
        victim = "kafka-2"
        strike = run.clinic.stack.kill if befall == "killed" else partial(_pause, run)
        await run.go(lambda: strike(victim))
        run.assert_answered()
        await run.assert_undisturbed()
        assert run.clinic.heard(victim)[-1] == EventKind.READY
        assert all(len(run.clinic.heard(each)) == 2 for each in ("kafka-1", "kafka-3")), "the others went on"


async def _pause(run: LongRun, victim: str) -> None:
    """Stop a service's processes, and let them go on after a while."""
    (first,) = (status.pid for status in run.clinic.stack.status() if status.service == victim)
    assert first is not None
    pids = [first]
    if victim == "postgres":  # its backends are processes of their own
        pids = processes_in(run.clinic.directory / "postgres" / "data", "postgres")
        assert first in pids
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        await asyncio.sleep(PAUSE_S)
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
