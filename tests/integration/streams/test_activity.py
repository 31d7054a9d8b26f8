from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from carenet.bus.publishing import Producer, Record
from carenet.encoding.ids import encode_id
from carenet.ledger.entry import NO_PREV, Entry
from carenet.local.process import ChildProcess
from carenet.node.feed import FeedEntry, FeedRecord
from carenet.store.stored import ActivityRow
from tests.integration.streams.conftest import Place
from tests.support.world import Patient, World

Figures = dict[tuple[bytes, int, str], tuple[int, int, int]]


class Feed:
    """Entries of a few patients as a node would publish them, and what a plain count says of them."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.patients = [world.patient(partition) for partition in (0, 1, 2)] + [world.patient(1, 1)]
        self.seqs: dict[bytes, int] = defaultdict(int)
        self.indexes: dict[int, int] = defaultdict(int)
        self.latest: dict[tuple[bytes, bytes], int] = {}
        self.expected: Figures = defaultdict(lambda: (0, 0, 0))
        self.random = random.Random(7)

    def next(self, patient: Patient | None = None) -> tuple[int, Record]:
        patient = patient or self.random.choice(self.patients)
        issuer = self.random.choice((self.world.lab, self.world.clinician))
        self.world.clock_ms += self.random.choice((1, 100, 20_000))
        now_ms = self.world.clock_ms
        iat_s = (now_ms - self.random.choice((0, 1_000, 59_000, 61_000, 600_000))) // 1000
        type_ = self.random.choice(("care.observation", "care.condition"))
        message = self.world.care(issuer, patient, bytes(16), type=type_, iat_s=iat_s)
        partition = self.world.partition(patient.id)
        seq = self.seqs[patient.id]
        prev = bytes([1]) * 32 if seq else NO_PREV
        entry = Entry(patient.id, seq, prev, message.statement.digest, now_ms)
        feed_entry = FeedEntry(self.indexes[partition], entry.encode(), message.statement.encoded)
        record = FeedRecord(partition, [feed_entry])
        self.seqs[patient.id] += 1
        self.indexes[partition] += 1
        before = self.latest.get((patient.id, issuer.id), -1)
        self.latest[patient.id, issuer.id] = max(before, iat_s)
        key = (patient.id, now_ms // 60_000 * 60_000, type_)
        events, late, early = self.expected[key]
        self.expected[key] = (events + 1, late + (now_ms - iat_s * 1000 > 60_000), early + (iat_s < before))
        return partition, Record(encode_id(patient.id).encode(), record.encode())


async def _figures(place: Place, feed: Feed) -> Figures:
    rows: list[ActivityRow] = []
    for patient in feed.patients:
        rows += await place.store.read_activity(place.world.partition(patient.id), patient.id, 0, 10_000)
    return {(row.subject, row.minute_ms, row.type): (row.events, row.late, row.out_of_order) for row in rows}


async def _until_counted(place: Place, feed: Feed) -> None:
    figures: Any = None
    try:
        async with asyncio.timeout(120):
            while (figures := await _figures(place, feed)) != feed.expected:  # noqa: ASYNC110 - another process counts
                await asyncio.sleep(0.1)
    except TimeoutError:
        assert figures == feed.expected


async def test_figures_are_those_of_a_plain_count_whatever_is_repeated_or_killed(
    place: Place, run: Callable[[str], ChildProcess]
) -> None:
    feed, topic = Feed(place.world), place.genesis.topic.replace(".events", ".north.entries")
    async with Producer(place.kafka) as producer:
        network_key = encode_id(place.genesis.network_id).encode()
        await producer.send(topic, 0, network_key, b"the network's own statements are not a patient's")
        first = run("agents")
        await first.start()
        sent = []
        for _ in range(60):
            sent.append(feed.next())
            await producer.send(topic, sent[-1][0], *sent[-1][1])
        await producer.send(topic, 0, b"k" * 43, b"rubbish")
        await _until_counted(place, feed)
        for partition, record in sent[-20:]:  # at least once: the outbox sends some again
            await producer.send(topic, partition, *record)
        for _ in range(20):
            partition, record = feed.next()
            await producer.send(topic, partition, *record)
        await first.kill()
        second = run("agents")
        await second.start()
        for _ in range(20):
            partition, record = feed.next()
            await producer.send(topic, partition, *record)
        await _until_counted(place, feed)
        await second.stop()
        assert second.exit_code == 0
