"""`carenet bench fold`: how fast two workers fold care events from cold, beside what this machine takes anyway.

Method: on one Kafka and one PostgreSQL (fsync on) two networks of as many patients get the same number of events, one
signed singly, one in batches, published by two processes each, before and after two processes that only seal and sign.
Then rounds alternate, each in a fresh copy of the database from before the first event: the bare pipeline over the
singly signed records, the fold over them, the fold with the entries topic, the fold over the batch-signed ones; and one
core's libsodium after each. The first round is a warm-up and not counted; figures are medians of the others.

Not done here: one round (`rounds`), what the servers hold before it (`ground`), the figures (`fold_report`).
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median

from carenet.bench import sealing
from carenet.bench.contents import draft_content, draft_event, read_patients
from carenet.bench.crew import crew, rate_of
from carenet.bench.fold_report import BARE, BATCH, ENTRIES, KINDS, SINGLE, FoldPlan, FoldReport
from carenet.bench.ground import BenchNetwork, Ground, Published, ground
from carenet.bench.publishers import PUBLISHERS, publish_events
from carenet.bench.rounds import Round, run_bare, run_fold
from carenet.bench.verifying import measure_verify_us
from carenet.bus.looking import fetch_end_offsets
from carenet.client.building import build_care_batch
from carenet.encoding.cose import encode_sig_structure
from carenet.errors import CorruptionError, SetupError
from carenet.sealing.keyfile import load_identity
from carenet.sealing.padme import pad
from carenet.statements.statement import parse_statement

_MOST_BARE_SEALS = 20_000  # each of two times

Tick = Callable[[str, int, int], None]
"""Told what is being done, how much of it is done, and how much there is."""


async def measure_fold(plan: FoldPlan, tick: Tick = lambda *_: None) -> FoldReport:
    """Run the bench.

    Raises:
        SetupError: the servers or workers do not come up, or the kept folder holds another number of events.
        CorruptionError: an event was not accepted, or two rounds came to different logs: no figure may hide that.
    """
    async with _folder(plan) as directory, ground(directory, is_kept=plan.keep is not None) as on:
        networks = {name: await _prepare(on, plan, name, tick) for name in plan.networks}
        bench = _Bench(on, plan, tick, networks, FoldReport(plan.events))
        await bench.publish_all()
        await bench.run_rounds()
    return bench.report


@asynccontextmanager
async def _folder(plan: FoldPlan) -> AsyncIterator[Path]:
    if plan.keep is not None:
        plan.keep.mkdir(parents=True, exist_ok=True)
        yield plan.keep.absolute()
        return
    directory = Path(tempfile.mkdtemp(prefix="carenet-bench-"))
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


async def _prepare(on: Ground, plan: FoldPlan, name: str, tick: Tick) -> BenchNetwork:
    what, done = f"registering patients ({name})", 0

    def count() -> None:
        nonlocal done
        done += 1
        tick(what, done, plan.patients)

    tick(what, 0, plan.patients)
    return await on.prepare(name, plan.patients, count)


def signed_length(network: BenchNetwork) -> int:
    """Bytes of a real event's Sig_structure."""
    patient = read_patients(network.patients)[0]
    (letter,) = build_care_batch([draft_event(0, patient)], [patient.epoch], load_identity(network.key), 1_790_000_000)
    statement = parse_statement(letter.statement)
    return len(encode_sig_structure(statement.protected, statement.payload))


@dataclass(slots=True)
class _Bench:
    """One run: the servers, what is asked for, who is told, the networks, and what was found so far."""

    on: Ground
    plan: FoldPlan
    tick: Tick
    networks: dict[str, BenchNetwork]
    report: FoldReport

    @property
    def _any_network(self) -> BenchNetwork:
        return next(iter(self.networks.values()))

    async def publish_all(self) -> None:
        """Publish to the networks that have no events yet, between two measurements of the bare libraries."""
        missing = {name: network for name, network in self.networks.items() if not network.read_published().ends}
        if not missing:
            return
        steps = 2 + len(missing)
        self.tick("sealing, signing, publishing", 0, steps)
        bare = [await self._seal_bare()]
        for number, (name, network) in enumerate(missing.items()):
            self.tick("sealing, signing, publishing", 1 + number, steps)
            self.report.publish_per_s[name] = await self._publish(network, signing=name)
        self.tick("sealing, signing, publishing", steps - 1, steps)
        bare.append(await self._seal_bare())
        self.report.bare_seal_sign_per_s = fmean(bare)

    async def run_rounds(self) -> None:
        """The warm-up and the counted rounds.

        Raises:
            CorruptionError: two rounds over the same events came to different logs.
        """
        published = {name: self._read_published(network) for name, network in self.networks.items()}
        kinds = [kind for kind in KINDS if kind in self.plan.kinds]
        length = signed_length(self._any_network)
        verify_us = []
        for number in range(self.plan.rounds + 1):
            for place, kind in enumerate(kinds):
                self.tick("folding", number * len(kinds) + place, (self.plan.rounds + 1) * len(kinds))
                took = await self._run(kind, published[BATCH if kind == BATCH else SINGLE])
                if number:  # the first is the warm-up
                    self.report.rounds[kind].append(took)
                    verify_us.append(measure_verify_us(length))
        self.report.verify_us = median(verify_us)
        logs = {kind: {each.state for each in taken} for kind, taken in self.report.rounds.items()}
        if any(len(states) > 1 for states in logs.values()):
            raise CorruptionError("two rounds over the same events came to different logs")

    async def _run(self, kind: str, published: Published) -> Round:
        network = self.networks[BATCH if kind == BATCH else SINGLE]
        if kind == BARE:
            return await run_bare(self.on, network, published)
        return await run_fold(self.on, network, published, entries_topic=kind == ENTRIES)

    async def _seal_bare(self) -> float:
        task = {
            "patients": str(self._any_network.patients),
            "events": min(self.plan.events, _MOST_BARE_SEALS) // PUBLISHERS,
            "sealed": len(pad(draft_content(0))),
            "signed": signed_length(self._any_network),
        }
        async with crew(self.on.directory / "crew", sealing.__name__, [task] * PUBLISHERS) as children:
            children.go()
            return rate_of(await children.finished())

    async def _publish(self, network: BenchNetwork, *, signing: str) -> float:
        common = {
            "kafka": self.on.kafka.bootstrap,
            "directory": str(network.directory),
            "key": str(network.key),
            "patients": str(network.patients),
            "signing": signing,
        }
        per_s = await publish_events(self.on.directory / "crew", common, 0, self.plan.events)
        ends = await fetch_end_offsets(self.on.kafka.bootstrap, network.genesis.topic)
        network.write_published(Published(network.read_published().starts, ends, per_s))
        return per_s

    def _read_published(self, network: BenchNetwork) -> Published:
        published = network.read_published()
        if published.events != self.plan.events:
            raise SetupError(f"{network.directory} holds {published.events} events: say --events {published.events}")
        return published
