"""`carenet bench idle`: what watchers who only wait cost the gateway in memory.

Method: the gateway's resident memory (VmRSS of its process) before anybody is connected, and again a while after all
watchers have signed in, subscribed and caught up. They are real participants, each with up to ten connections, on one
patient and one of their own five. Nothing is pushed meanwhile but keepalives.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from carenet.bench.audience import gather_audience, patients_for
from carenet.bench.hall import hall
from carenet.bench.processes import find_pid, read_rss
from carenet.bench.stand import stand
from carenet.errors import SetupError
from carenet.gateway.openfiles import raise_open_files

_EACH = 10  # connections of one participant
_SETTLE_S = 3.0
_MB = 1e6

Tick = Callable[[str, int, int], None]
"""Told what is being done, how much of it is done, and how much there is."""


@dataclass(frozen=True, slots=True)
class IdleReport:
    """What was measured; memory in bytes.

    Attributes:
        watchers: connections.
        before: the gateway's, with nobody there.
        after: with all of them.
    """

    watchers: int
    before: int
    after: int

    def to_map(self) -> dict[str, float]:
        """The JSON object that the command prints."""
        grown = self.after - self.before
        return {
            "watchers": self.watchers,
            "rss_before_mb": round(self.before / _MB, 1),
            "rss_after_mb": round(self.after / _MB, 1),
            "growth_mb": round(grown / _MB, 1),
            "kb_per_watcher": round(grown / self.watchers / 1e3, 1),
        }


async def measure_idle(watchers: int, tick: Tick = lambda *_: None) -> IdleReport:
    """Run the bench.

    Raises:
        SetupError: the stand does not come up, or too few files may be open for so many connections.
        TransportError: watchers were lost.
    """
    too_few = raise_open_files(watchers)  # of this process, and so of those that it starts
    if too_few is not None:
        raise SetupError(too_few)
    people = -(-watchers // _EACH)
    tick("registering patients and watchers", 0, 1)
    async with stand(patients_for(people)) as bench:
        audience = (await gather_audience(bench, people)) * _EACH
        tick("connecting watchers", 0, 1)
        before = read_rss(find_pid(bench.stack, "gateway"))
        async with hall(bench, audience[:watchers], with_bare=False) as on:
            await asyncio.sleep(_SETTLE_S)
            on.check()
            return IdleReport(watchers, before, read_rss(find_pid(bench.stack, "gateway")))
