"""One demo from end to end: servers up, cast admitted, patients registered, events, counting, verification.

1. Kafka, PostgreSQL, fold worker, stream processors and gateway start; what an interrupted run left is decided first.
2. Where the run begins is noted: whatever is counted is of this run.
3. The cast is admitted and the patients are registered, where they are not yet.
4. Watchers subscribe from where their last run ended, and events flow.
5. Everything that was published is decided; every watcher has what the plain rule says it should have.
6. The node's whole store is verified from scratch.

A cancellation anywhere stops all children; watchers' places and unfinished publications are kept for the next run.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from carenet.audit.database import verify_database
from carenet.bus.publishing import Producer
from carenet.demo.board import Board, Pane
from carenet.demo.cast import EMERGENCY, LAB, PHARMACY, TEAM, WATCHERS, Nicknames, gather_identities
from carenet.demo.counting import AccessRows, Baseline, RunLog, catch_up, count_published, read_access, read_run
from carenet.demo.counting import take_baseline as find_baseline
from carenet.demo.expected import Place, find_expected
from carenet.demo.lines import describe_update
from carenet.demo.mischief import Attempt
from carenet.demo.notebook import Notebook, read_notebook, write_notebook
from carenet.demo.replay import BundleReplay
from carenet.demo.screens import Screens
from carenet.demo.script import Script
from carenet.demo.stage import Servers, Stage
from carenet.demo.summary import Summary, Verified, percentile
from carenet.demo.watchers import OnPush, Push, Watcher
from carenet.encoding.ids import encode_id
from carenet.fhir.story import Story
from carenet.local.packages import Progress
from carenet.local.stack import Stack, StackPlan
from carenet.local.supervisor import Event, EventKind
from carenet.store.store import Store

_DECIDED_S = 60.0  # for the node to decide what is in Kafka
_PUSHED_S = 30.0  # without any push, while some are missing: then they are lost
_SETTLE_S = 0.3  # for a push that should not come, or comes twice
_POLL_S = 0.05
_FLOOD_GAP_S = 0.05


@dataclass(frozen=True, slots=True)
class DemoPlan:
    """What is to be shown.

    Attributes:
        stack: the servers, and the network in its folder.
        passphrase: of the key files, or None.
        patients: how many people the built-in story is about.
        pace: 2 plays it twice as fast.
        bundles: a file or folder of FHIR R4 bundles to replay instead.
        allow_external: accept bundles that refer outside what is read.
    """

    stack: StackPlan
    passphrase: str | None = None
    patients: int = 6
    pace: float = 1.0
    bundles: Path | None = None
    allow_external: bool = False


@dataclass(frozen=True, slots=True)
class Result:
    """What came of it.

    Attributes:
        summary: the numbers.
        attempts: what was tried on purpose.
    """

    summary: Summary
    attempts: tuple[Attempt, ...] = ()


class Director:
    """Directs one demo.

    Args:
        plan: what to show.
        screens: where.
        nicknames: where the folder keeps what patients are called.
        progress: told of Kafka's jars as they are fetched.
    """

    def __init__(
        self, plan: DemoPlan, screens: Screens, nicknames: Nicknames, progress: Progress | None = None
    ) -> None:
        self._plan = plan
        self._genesis = plan.stack.genesis
        self._directory = plan.stack.directory
        self._screens = screens
        self._nicknames = nicknames
        self._progress = progress
        self._notebook = Notebook()

    async def run(self) -> Result:
        """Steps 1 to 6.

        Raises:
            SetupError: the folder is in use, or a server did not come up.
            TransportError: a server was away for too long.
            ResourceError: a bundle is not what it should be.
            RefusedError: the network's rules said no to what the demo needs.
        """
        with ExitStack() as sign:
            sign.enter_context(self._screens.waiting("starting Kafka, PostgreSQL, worker, agents and gateway"))
            return await self._run(sign)

    async def _run(self, sign: ExitStack) -> Result:
        async with Stack(self._plan.stack, self._hear, self._progress) as stack, Store(stack.postgres) as store:
            network = self._genesis.network_id
            before = read_notebook(self._directory, network)
            self._notebook = replace(before, runs=before.runs + 1)
            write_notebook(self._directory, network, self._notebook)
            self._screens.board.run = self._notebook.runs
            identities = gather_identities(self._directory, network, self._plan.passphrase)
            servers = Servers(stack.gateway, stack.node_kafka, store)
            stage = Stage(self._genesis, servers, identities, self._screens, self._nicknames)
            return await self._perform(stage, sign)

    async def _perform(self, stage: Stage, sign: ExitStack) -> Result:
        baseline = await find_baseline(stage.servers.kafka, self._genesis, stage.servers.store, _DECIDED_S)
        async with AsyncExitStack() as exits:
            await self._prepare(stage, exits)
            sign.close()
            async with self._watching(stage, baseline) as watchers, self._screens.live():
                attempts = await self._play(stage)
                self._screens.tell("counting: every push against what each watcher should have")
                log, expected = await self._settle(stage, baseline, watchers)
        published = await count_published(stage.servers.kafka, self._genesis, baseline, log)
        verified = await self._verify(stage.servers.store.dsn)
        latencies = [sample for watcher in watchers for sample in watcher.latencies_ms]
        summary = Summary(
            published=published,
            folded=log.folded,
            refused=log.refused,
            watchers={each.name: each.tally.count(expected[each.name]) for each in watchers},
            verified=verified,
            p50_ms=_rounded(percentile(latencies, 0.5)),
            p99_ms=_rounded(percentile(latencies, 0.99)),
            seconds=self._screens.board.elapsed_s,
            surprises=tuple(stage.surprises),
        )
        return Result(summary, tuple(attempts))

    async def _prepare(self, stage: Stage, exits: AsyncExitStack) -> None:
        """Step 3."""
        admitted = await stage.admit_cast()
        if admitted:
            self._screens.tell(f"admitted {', '.join(admitted)}")
        is_story = self._plan.bundles is None
        await stage.connect_cast(exits, (LAB, PHARMACY) if is_story else ())
        if is_story:
            names = [person.key for person in self._story.patients]
            new = await stage.register(names)
            known = f", {len(names) - new} known from before" if new < len(names) else ""
            self._screens.tell(f"registered {new} patients{known}; the care team may read and write")

    @property
    def _story(self) -> Story:
        return Story(self._notebook.runs, self._plan.patients)

    async def _play(self, stage: Stage) -> list[Attempt]:
        board = self._screens.board
        board.flow_began_s = board.elapsed_s
        if self._plan.bundles is not None:
            board.line_gap_s = _FLOOD_GAP_S
            await BundleReplay(stage, self._plan.bundles, allow_external=self._plan.allow_external).play()
            return []
        async with Producer(stage.servers.kafka) as producer:
            script = Script(stage, self._story, f"story-{self._notebook.runs}", producer, self._plan.pace)
            board.total = script.events
            await script.play()
        return script.attempts

    @asynccontextmanager
    async def _watching(self, stage: Stage, baseline: Baseline) -> AsyncIterator[list[Watcher]]:
        """Step 4: watchers at work while the block runs; their places are kept however it ends."""
        cursors = self._notebook.cursors
        watchers = [Watcher.of(name, stage.care[name], baseline.sizes, cursors.get(name)) for name in WATCHERS]
        on_push = self._push_hearer(stage)
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(watcher.follow(stage.stopwatch, on_push)) for watcher in watchers]
                try:
                    yield watchers
                finally:
                    for task in tasks:
                        task.cancel()
        finally:
            kept = {watcher.name: watcher.watch.cursor.encode() for watcher in watchers if watcher.watch.cursor.at}
            self._notebook = replace(self._notebook, cursors={**cursors, **kept})
            write_notebook(self._directory, self._genesis.network_id, self._notebook)

    def _push_hearer(self, stage: Stage) -> OnPush:
        board = self._screens.board
        participants = {identity.id: name for name, identity in stage.identities.items()}

        def hear(push: Push) -> None:
            if push.is_of_run:
                board.count_push(push.watcher, push.latency_ms)
            if board.has_room(push.watcher):
                patients = {subject: name for name, subject in stage.patients.items()}
                board.show(push.watcher, describe_update(push.update, patients, participants, push.latency_ms))

        return hear

    async def _settle(
        self, stage: Stage, baseline: Baseline, watchers: list[Watcher]
    ) -> tuple[RunLog, Mapping[str, set[Place]]]:
        """Step 5: the run's log, and what each watcher should have; waits until they have it, or it is lost."""
        store = stage.servers.store
        await catch_up(stage.servers.kafka, self._genesis, store, _DECIDED_S)
        log = await read_run(store, self._genesis, baseline)
        rows = await read_access(store)
        expected = {watcher.name: self._expect(stage, watcher.name, log, rows) for watcher in watchers}
        pushed, since = -1, time.monotonic()
        while any(watcher.tally.missing(expected[watcher.name]) for watcher in watchers):
            now = sum(watcher.tally.pushed for watcher in watchers)
            if now != pushed:
                pushed, since = now, time.monotonic()
            elif time.monotonic() - since > _PUSHED_S:
                break
            await asyncio.sleep(_POLL_S)
        await asyncio.sleep(_SETTLE_S)
        self._screens.tell("told, and counted")
        return log, expected

    def _expect(self, stage: Stage, name: str, log: RunLog, rows: AccessRows) -> set[Place]:
        now_ms = time.time_ns() // 1_000_000
        return find_expected(stage.identities[name].id, log.entries, rows.subjects, rows.grants, now_ms)

    async def _verify(self, dsn: str) -> Verified:
        """Step 6."""
        what = "verifying every chain, tree and signature from scratch"
        with self._screens.waiting(what) as update:
            report = await verify_database(
                dsn, self._genesis, None, lambda done, total: update(f"{what}: {done:,} of {total:,} entries")
            )
        for found in report.breaks:
            self._screens.report(f"broken: partition {found.partition}: {found.what}")
        return Verified(report.chains, report.entries, report.signatures, len(report.breaks) + len(report.unchecked))

    def _hear(self, event: Event) -> None:
        if event.kind is EventKind.READY:
            self._screens.tell(f"{event.service} runs")
        elif event.kind in {EventKind.DIED, EventKind.UNWELL, EventKind.FAILED}:
            self._screens.report(f"{event.service} {event.kind}: {event.detail}")


def make_board(plan: DemoPlan) -> Board:
    """The empty screens of a demo."""
    genesis = plan.stack.genesis
    network = f"{genesis.name} {encode_id(genesis.network_id)[:6]}…"
    waiting = "no patient is on the way" if plan.bundles is None else "no patient on the way yet"
    team = Pane(f"Care team · {', '.join(TEAM)}", TEAM, "waiting for the first event")
    return Board(network, 0, (team, Pane(f"Emergency room · {EMERGENCY}", (EMERGENCY,), waiting)))


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
