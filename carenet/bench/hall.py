"""Where watchers listen: processes that count what the gateway, and a bare broadcaster, send them."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from carenet.bench.audience import Watcher, fetch_heads
from carenet.bench.broadcaster import ALL, encode_order
from carenet.bench.contents import COMPARTMENT, Patient, draft_event
from carenet.bench.counting import Tally
from carenet.bench.cpu import read_cpu_s
from carenet.bench.crew import crew
from carenet.bench.fanout_report import Spell
from carenet.bench.processes import find_pid
from carenet.bench.stand import Stand
from carenet.bus.publishing import Publisher
from carenet.client.building import build_care_batch
from carenet.client.care import connect
from carenet.client.subjects import Epoch
from carenet.encoding.ids import decode_id
from carenet.errors import TransportError
from carenet.statements.records import RecordValue

_PROCESSES = 2  # of watchers: clients are to cost little, and there are as many cores
_UNDER_WAY = 4  # deliveries under way, as a multiple of the watchers
_LOOK_S = 0.0005
_ROUND_S = 120.0
_CONNECTED_S = 300.0  # thousands of signatures, and questions to the database


@dataclass(frozen=True, slots=True)
class _Bare:
    """The bare server.

    Attributes:
        pid: its process.
        url: where it listens.
        orders: what it is told through.
    """

    pid: int
    url: str
    orders: asyncio.StreamWriter


class Hall:
    """Watchers that listen, and what sends to them; made by `hall`.

    Args:
        bench: the stand.
        audience: who listens.
        tallies: what came from the gateway, by process.
        bare_tallies: what came from the bare server.
        bare: the bare server, or None.
    """

    def __init__(
        self,
        bench: Stand,
        audience: Sequence[Watcher],
        tallies: Sequence[Tally],
        bare_tallies: Sequence[Tally],
        bare: _Bare | None,
    ) -> None:
        self._bench = bench
        self._watchers = len(audience)
        self._tallies = tallies
        self._bare_tallies = bare_tallies
        self._bare = bare
        self._epochs: dict[str, Epoch] = {}
        self.group_sizes = Counter(each.group for each in audience)

    def size(self, group: int) -> int:
        """How many get an event of this group."""
        return self._watchers if group == ALL else self.group_sizes[group]

    @property
    def gateway_bytes(self) -> int:
        """Payload that came from the gateway so far."""
        return sum(tally.payload_bytes for tally in self._tallies)

    def check(self) -> None:
        """See that nobody was lost.

        Raises:
            TransportError: somebody was.
        """
        lost = sum(tally.lost for tally in (*self._tallies, *self._bare_tallies))
        if lost:
            raise TransportError(f"{lost} watchers were cut off")

    async def run_gateway(self, events: Sequence[int]) -> Spell:
        """Publish an event about each of these groups' patients, and wait until everybody has them.

        Raises:
            TransportError: deliveries were lost.
        """
        letters = await self._build(events)
        plan = self._bench.stack.plan
        async with Publisher(self._bench.stack.kafka, plan.genesis) as publisher, asyncio.TaskGroup() as group:

            def send(number: int) -> None:
                group.create_task(_publish(publisher, letters[number]))

            return await self._run(events, self._tallies, find_pid(self._bench.stack, "gateway"), send)

    async def run_bare(self, events: Sequence[int], frame_bytes: int) -> Spell:
        """Have as many frames broadcast to the groups.

        Raises:
            TransportError: as `run_gateway`.
        """
        assert self._bare is not None
        orders = self._bare.orders
        return await self._run(
            events,
            self._bare_tallies,
            self._bare.pid,
            lambda number: orders.write(encode_order(events[number], frame_bytes)),
        )

    async def _run(
        self, events: Sequence[int], tallies: Sequence[Tally], pid: int, send: Callable[[int], object]
    ) -> Spell:
        expected = sum(map(self.size, events))
        most = _UNDER_WAY * self._watchers
        before, cpu_s, began_s = sum(tally.frames for tally in tallies), read_cpu_s([pid]), time.monotonic()
        number = sent = 0
        while (delivered := sum(tally.frames for tally in tallies) - before) < expected:
            while number < len(events) and sent - delivered < most:
                send(number)
                sent += self.size(events[number])
                number += 1
            self.check()
            if time.monotonic() - began_s > _ROUND_S:
                raise TransportError(f"{expected - delivered} of {expected} deliveries were lost")
            await asyncio.sleep(_LOOK_S)
        return Spell(delivered, time.monotonic() - began_s, read_cpu_s([pid]) - cpu_s)

    async def _build(self, events: Sequence[int]) -> list[tuple[bytes, RecordValue]]:
        """Seal and sign."""
        if not self._epochs:
            async with connect(self._bench.stack.gateway, self._bench.clinician) as care:
                for patient in self._bench.patients:
                    self._epochs[patient] = (await care.patient(patient)).epochs[COMPARTMENT]
        return await asyncio.to_thread(self._seal, events, int(time.time()))

    def _seal(self, events: Sequence[int], now_s: int) -> list[tuple[bytes, RecordValue]]:
        about = [self._bench.patients[0 if group == ALL else 1 + group] for group in events]
        patients = [Patient(decode_id(each), self._epochs[each]) for each in about]
        drafts = [draft_event(number, patient) for number, patient in enumerate(patients)]
        epochs = [patient.epoch for patient in patients]
        letters = build_care_batch(drafts, epochs, self._bench.clinician, now_s)
        return [(letter.subject, RecordValue(letter.statement, letter.body)) for letter in letters]


@asynccontextmanager
async def hall(bench: Stand, audience: Sequence[Watcher], *, with_bare: bool) -> AsyncIterator[Hall]:
    """Have watchers sign in, subscribe and listen while the block lasts.

    Args:
        bench: the stand.
        audience: who; each also gets what the first patient's readers get.
        with_bare: whether they listen to a bare server too.

    Raises:
        SetupError: a process does not become ready.
    """
    async with connect(bench.stack.gateway, bench.clinician) as care:
        heads = await fetch_heads(care, bench.patients[0])
    async with AsyncExitStack() as stack:
        bare = await stack.enter_async_context(_bare(bench.directory)) if with_bare else None
        tallies, bare_tallies = (
            [Tally.create(_tally_path(bench, kind, number)) for number in range(_PROCESSES)]
            for kind in ("gateway", "bare")
        )
        tasks = [_task(bench, audience, number, heads, bare) for number in range(_PROCESSES)]
        listening = crew(bench.directory / "watchers", "carenet.bench.watchers", tasks, _CONNECTED_S)
        children = await stack.enter_async_context(listening)
        children.go()
        yield Hall(bench, audience, tallies, bare_tallies, bare)


def _tally_path(bench: Stand, kind: str, number: int) -> Path:
    return bench.directory / f"{kind}-{number}.tally"


def _task(
    bench: Stand, audience: Sequence[Watcher], number: int, heads: dict[str, int], bare: _Bare | None
) -> dict[str, object]:
    """What one process of watchers does."""

    def subjects(watcher: Watcher) -> list[str]:
        return [bench.patients[0], bench.patients[1 + watcher.group]]

    mine = audience[number::_PROCESSES]
    return {
        "gateway": bench.stack.gateway,
        "at": heads,
        "watchers": [{"key": str(each.key), "group": each.group, "subjects": subjects(each)} for each in mine],
        "tally": str(_tally_path(bench, "gateway", number)),
        "bare": bare.url if bare else None,
        "bare_tally": str(_tally_path(bench, "bare", number)),
    }


@asynccontextmanager
async def _bare(directory: Path) -> AsyncIterator[_Bare]:
    port, orders = directory / "bare.port", directory / "bare.sock"
    task = {"port": str(port), "orders": str(orders)}
    async with crew(directory / "broadcaster", "carenet.bench.broadcaster", [task]) as children:
        children.go()
        _, writer = await asyncio.open_unix_connection(orders)
        yield _Bare(children.pids[0], f"ws://127.0.0.1:{port.read_text(encoding='utf-8')}", writer)
        writer.close()


async def _publish(publisher: Publisher, letter: tuple[bytes, RecordValue]) -> None:
    await publisher.publish(*letter)
