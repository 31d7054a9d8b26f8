"""`carenet bench fanout`: what a push costs the gateway, beside a bare `websockets.broadcast` of frames of its size.

Method: watchers are participants with keys of their own; they sign in and subscribe for real (in CBOR, as the SDK
does), and then count frames. Events are sealed and signed beforehand, go to Kafka, through the fold and to everybody
who may read them. The same processes of watchers listen to the bare server as well. Both are driven alike: an event
(or an order to broadcast) goes out as soon as fewer than so many deliveries are under way. Both run uvloop, without
permessage-deflate. Two layouts: all watchers on one patient, and five a patient. Rounds alternate bare and gateway;
the first of each is a warm-up and not counted; figures are medians. CPU is the server process's, from /proc.
"""

from __future__ import annotations

from collections.abc import Callable

from carenet.bench.audience import gather_audience, patients_for
from carenet.bench.broadcaster import ALL
from carenet.bench.fanout_report import FanoutPlan, FanoutReport, Layout
from carenet.bench.hall import Hall, hall
from carenet.bench.stand import stand

Tick = Callable[[str, int, int], None]
"""Told what is being done, how much of it is done, and how much there is."""


async def measure_fanout(plan: FanoutPlan, tick: Tick = lambda *_: None) -> FanoutReport:
    """Run the bench.

    Raises:
        SetupError: the stand or a process of it does not come up.
        TransportError: deliveries were lost, which no figure may hide.
    """
    tick("registering patients and watchers", 0, plan.rounds + 1)
    async with stand(patients_for(plan.watchers)) as bench:
        audience = await gather_audience(bench, plan.watchers)
        tick("connecting watchers", 0, plan.rounds + 1)
        async with hall(bench, audience, with_bare=True) as on:
            frame_bytes = await _measure_frame(on)
            report = FanoutReport(plan, Layout(), Layout(), frame_bytes)
            for number in range(plan.rounds + 1):
                tick("rounds", number, plan.rounds + 1)
                await _run_round(report, on, is_counted=number > 0)
    return report


async def _run_round(report: FanoutReport, on: Hall, *, is_counted: bool) -> None:
    for layout, groups in ((report.one, [ALL]), (report.five, list(range(len(on.group_sizes))))):
        turn = sum(on.size(group) for group in groups)
        events = groups * max(1, report.plan.deliveries // turn)
        bare = await on.run_bare(events, report.frame_bytes)
        gateway = await on.run_gateway(events)
        if is_counted:
            layout.bare.append(bare)
            layout.gateway.append(gateway)


async def _measure_frame(on: Hall) -> int:
    """The bytes of a push, which the bare frames are to have."""
    before = on.gateway_bytes
    spell = await on.run_gateway([ALL])
    return round((on.gateway_bytes - before) / spell.deliveries)
