"""`carenet bench soak`: many events in one run, and what grows meanwhile.

Method, slice by slice (50,000 events):
1. a lock on the table of entries keeps the worker from committing;
2. two processes seal, sign and publish the slice, as in the fold's bench;
3. the lock is given back, and the clock runs until everything is committed: so the fold's own rate is timed, with the
   whole slice before it, and not that of the publishers;
4. the memory of worker and gateway is read once the worker has handed its entries on.
A few watchers of the SDK follow one patient each all along, and are owed every entry once. Before the first slice and
after the last one, worker and gateway are ended in good order three times each, and their starts are timed.

Not done here: judging the log (`carenet verify`), and faults (tests/faults).
"""

from __future__ import annotations

import time
from collections.abc import Callable

import asyncpg

from carenet.bench.contents import read_patients
from carenet.bench.cpu import read_cpu_s
from carenet.bench.publishers import publish_events
from carenet.bench.soak_report import Slice, SoakPlan, SoakReport
from carenet.bench.soak_stage import GATEWAY, WORKER, Stage, stage
from carenet.bench.soak_watchers import SoakWatchers
from carenet.bus.looking import fetch_end_offsets
from carenet.client.care import connect

OnProgress = Callable[[str, int, int], None]

_HOLD = "LOCK TABLE entries IN SHARE MODE"


async def measure_soak(plan: SoakPlan, on_progress: OnProgress = lambda *_: None) -> SoakReport:
    """Run the bench.

    Args:
        plan: how much.
        on_progress: told what goes on, and how many of how many events are folded.

    Raises:
        SetupError: the stack does not come up, or a publisher fails.
        TransportError: the node does not get to the end of what was published.
    """
    on_progress("starting servers", 0, plan.events)
    async with stage(plan.patients) as on, connect(on.stack.gateway, on.key, on.stack.kafka) as care:
        patients = [each.subject for each in read_patients(on.patients)]
        async with SoakWatchers(care, patients[: plan.watchers]) as watchers:
            early = await on.time_starts(care, patients[-1])
            slices = []
            for first in range(0, plan.events, plan.slice):
                on_progress("folding", first, plan.events)
                slices.append(await _run_slice(on, first, min(first + plan.slice, plan.events)))
            on_progress("folded", plan.events, plan.events)
            late = await on.time_starts(care, patients[-1])
            owed, lost, doubled = await watchers.finish(on.store)
        return SoakReport(
            slices=slices,
            early=early,
            late=late,
            owed=owed,
            lost=lost,
            doubled=doubled,
            database_bytes=await on.database_bytes(),
            disk_bytes=on.disk_bytes(),
        )


async def _run_slice(on: Stage, first: int, end: int) -> Slice:
    """Publish and fold the events from `first` on and before `end`."""
    roots = [on.pid(WORKER), on.pid("postgres")]
    before_s = read_cpu_s(roots)
    began_s, ends = await _publish_while_held(on, first, end)

    async def is_folded() -> bool:
        offsets = await on.store.next_offsets()
        return all(offsets[partition] >= at for partition, at in ends.items())

    await on.until(is_folded, "folding a slice")
    fold_s, cpu_s = time.monotonic() - began_s, read_cpu_s(roots) - before_s

    async def is_handed_on() -> bool:
        return all(head.published_index == head.size for head in (await on.store.heads()).values())

    await on.until(is_handed_on, "handing entries on")
    return Slice(end - first, fold_s, cpu_s, on.rss(WORKER), on.rss(GATEWAY))


async def _publish_while_held(on: Stage, first: int, end: int) -> tuple[float, dict[int, int]]:
    """Publish a slice while nothing can be committed; when that ended, and where the topic ends then."""
    lock = await asyncpg.connect(on.stack.postgres)
    try:
        async with lock.transaction():
            await lock.execute(_HOLD)
            await _publish(on, first, end)
            ends = await fetch_end_offsets(on.stack.kafka, on.genesis.topic)
        return time.monotonic(), ends
    finally:
        await lock.close()


async def _publish(on: Stage, first: int, end: int) -> None:
    common = {
        "kafka": on.stack.kafka,
        "directory": str(on.directory),
        "key": str(on.key),
        "patients": str(on.patients),
        "signing": "single",
    }
    await publish_events(on.directory / "crew", common, first, end)
