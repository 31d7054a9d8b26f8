"""A broker whose clock is a day off, in the middle of a run and on a quiet network (ARCHITECTURE §5, "Time").

t = max(the partition's last accepted time, LogAppendTime), and iat must lie in [t - 1 h, t + 5 min]. What follows:
- A day ahead: every statement is refused as `too_old`, however often it is signed anew. A refusal does not move t, so
  the first statement after the clock is right again is accepted.
- A day behind: where something was accepted before, t is that time, and all goes on. Where nothing was, t is the
  broker's time, and everything is refused as `future` until the clock is right.
Either way what was accepted stays, and what was refused can be published again, bytes and all.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import pytest_asyncio

from carenet.client.bulk import CareEvent
from carenet.client.care import Care
from carenet.demo.counting import catch_up
from carenet.errors import RefusedError
from carenet.ledger.entry import decode_entry
from carenet.store.store import Store
from tests.support.brokerclock import ShiftedKafka, find_compiler
from tests.support.bursts import Burst
from tests.support.clinic import PARTITIONS, Clinic, clinic
from tests.support.judging import SETTLE_S, assert_undisturbed
from tests.support.longrun import LongRun, long_run
from tests.support.waiting import STRETCH

pytestmark = [pytest.mark.long, pytest.mark.xdist_group("stack")]

DAY_S = 86_400
WRONG_S = 3.0
_OF_LATE_RELAYS = {"unknown_signer", "unknown_participant", "wrong_kid"}  # the SDK tries again
RESOURCE = {"resourceType": "Observation", "status": "final"}


@pytest_asyncio.fixture(loop_scope="session")
async def broker(tmp_path: Path) -> AsyncIterator[ShiftedKafka]:
    """A broker whose clock can be set."""
    compiler = find_compiler()
    if compiler is None:
        pytest.skip("setting a broker's clock takes a C compiler (cc, gcc or clang), and there is none")
    async with ShiftedKafka(tmp_path / "broker", compiler) as kafka:
        yield kafka


async def test_a_day_ahead_in_the_middle_of_many_events_refuses_them_and_harms_nothing(
    broker: ShiftedKafka, tmp_path: Path
) -> None:
    async with long_run(tmp_path / "run", kafka=broker.bootstrap) as run:
        await run.go(lambda: _be_wrong(run, broker, DAY_S))
        async with Store(run.clinic.stack.postgres) as store:
            await catch_up(broker.bootstrap, run.clinic.genesis, store, SETTLE_S * STRETCH)
            reasons = await _count_reasons(store)
            refused_burst = await _find_refused(run, store)
            await _assert_time_is_ours(store)
        assert reasons.keys() <= {"too_old", "duplicate"}
        refused = [each for ended in run.outcomes.values() for each in ended if not each.accepted]
        assert {each.reason for each in refused} <= {"too_old"}
        assert all(len(ended) == 1 for ended in run.outcomes.values()), "each publish call has one outcome"
        assert len(run.outcomes) == len(run.visits)
        assert refused_burst.events
        await _publish_again(run, refused_burst)
        await run.assert_undisturbed()


async def test_a_day_behind_in_the_middle_of_many_events_refuses_nothing(broker: ShiftedKafka, tmp_path: Path) -> None:
    async with long_run(tmp_path / "run", kafka=broker.bootstrap) as run:
        await run.go(lambda: _be_wrong(run, broker, -DAY_S))
        run.assert_answered()
        await run.assert_undisturbed()
        async with Store(run.clinic.stack.postgres) as store:
            assert (await _count_reasons(store)).keys() <= {"duplicate"}
            late = await store._fetch(
                "SELECT entry, log_append_time_ms FROM entries WHERE log_append_time_ms < $1 ORDER BY partition, index",
                (time.time_ns() // 1_000_000) - DAY_S * 500,
            )
        assert late, "the broker was never wrong"
        assert all(decode_entry(row["entry"]).log_time_ms > row["log_append_time_ms"] for row in late)


@pytest_asyncio.fixture(loop_scope="session")
async def quiet(broker: ShiftedKafka, tmp_path: Path) -> AsyncIterator[Clinic]:
    """A network in which only partition 0 has ever accepted anything: relays move no time."""
    async with AsyncExitStack() as stack:
        yield await stack.enter_async_context(clinic(tmp_path / "quiet", kafka=broker.bootstrap))


async def test_a_clock_that_is_wrong_decides_as_the_rule_says_and_its_end_ends_that(
    broker: ShiftedKafka, quiet: Clinic
) -> None:
    hospital, lab = await quiet.enter("hospital"), await quiet.enter("lab")
    async with Store(quiet.stack.postgres) as store:
        broker.set_clock(-DAY_S)
        accepted, reasons = await _register_some(hospital, store)
        assert accepted == {0}, "t is the last accepted time where there is one"
        assert reasons == {"future"}, "and the broker's where there is none"
        broker.set_clock(0)
        patients = [await hospital.register_patient() for _ in range(4 * PARTITIONS)]
        before = {each.partition: each.log_time_ms for each in (await store.heads()).values()}
        broker.set_clock(DAY_S)
        outcomes = [await lab.publish(each, RESOURCE, cti=bytes(16)) for each in patients]
        assert {each.reason for each in outcomes if not each.accepted} == {"too_old"}
        assert not any(each.accepted for each in outcomes)
        assert {each.partition: each.log_time_ms for each in (await store.heads()).values()} == before
        broker.set_clock(0)
        again = [await lab.publish(each, RESOURCE, cti=bytes(16)) for each in patients]
        assert all(each.accepted for each in again), "right again, all is well at once"
        await _assert_time_is_ours(store)
    await assert_undisturbed(quiet, [], {each.digest for each in again if each.accepted})


async def _be_wrong(run: LongRun, broker: ShiftedKafka, ahead_s: int) -> None:
    """Set the clock wrong for a while; the first statement after it is right again is accepted."""
    broker.set_clock(ahead_s)
    await asyncio.sleep(WRONG_S)
    broker.set_clock(0)
    visit = CareEvent(run.patients[0], RESOURCE, b"right again".ljust(16))
    run.visits.append(visit)
    run.note(visit, (await run.lab.publish(visit.patient, RESOURCE, cti=visit.cti)).or_raise())


async def _count_reasons(store: Store) -> Counter[str]:
    """Why statements were refused, but for what a relay that is late or repeated brings about."""
    rows = await store._fetch("SELECT reason FROM rejections WHERE reason NOT LIKE 'relay_%'")
    return Counter(row["reason"] for row in rows if row["reason"] not in _OF_LATE_RELAYS)


async def _find_refused(run: LongRun, store: Store) -> Burst:
    """What of the burst is not in the log."""
    folded = {row["digest"] for row in await store._fetch("SELECT digest FROM entries")}
    return Burst([event for event in run.burst.events if event.digest not in folded])


async def _assert_time_is_ours(store: Store) -> None:
    now_ms = time.time_ns() // 1_000_000
    assert all(head.log_time_ms <= now_ms for head in (await store.heads()).values())


async def _publish_again(run: LongRun, refused: Burst) -> None:
    """What was refused, as the publishers would: the burst's bytes, and the laboratory's calls."""
    await refused.send(run.clinic.stack.kafka, run.clinic.genesis, 1.0)
    again = [visit for visit in run.visits if visit.cti and not run.outcomes[visit.cti][0].accepted]
    for visit in again:
        assert visit.cti is not None
        run.outcomes[visit.cti].clear()
    await run.lab.publish_many(again, run.note)
    run.assert_answered()


async def _register_some(hospital: Care, store: Store) -> tuple[set[int], set[str]]:
    """Register patients, whose partitions are drawn, until some were accepted and some refused."""
    refused: set[str] = set()
    for _ in range(40):
        try:
            await hospital.register_patient()
        except RefusedError as exc:
            refused.add(exc.reason)
        opened = await store._fetch("SELECT DISTINCT partition FROM entries WHERE type = 'subject.open'")
        if refused and opened:
            break
    rows = await store._fetch("SELECT DISTINCT partition FROM rejections WHERE reason = 'future'")
    assert not {row["partition"] for row in rows} & {row["partition"] for row in opened}
    return {row["partition"] for row in opened}, refused
