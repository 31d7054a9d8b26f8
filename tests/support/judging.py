"""The judge of a whole stack after something befell it: nothing lost, nothing doubled, gapless, and the same bytes.

`assert_undisturbed` asks in this order, and each question is put to what another one has not vouched for:
1. Kafka's end offsets: the node has decided every record, and has halted no partition.
2. The log: it holds the published statements, each once, and no other care data; each chain is gapless.
3. Watchers: each was pushed what it may read by the plain rule (`carenet.demo.expected`), each entry once and in order,
   and nothing that was not committed at that moment.
4. Checkpoints and the entries topic: they come to cover everything.
5. The topic, folded once more from its beginning into a database of its own: equal heads, roots and rows.
6. `carenet verify`: everything derived from the statements.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence
from typing import Protocol

from carenet.audit.database import verify_database
from carenet.bus.security import KafkaAt
from carenet.bus.topics import topics_of
from carenet.demo.counting import Baseline, catch_up, read_access, read_run
from carenet.demo.expected import Logged, Place, find_expected
from carenet.encoding.ids import decode_id
from carenet.node.feed import decode_feed_record
from carenet.sealing.identity import Identity
from carenet.statements.genesis import Genesis
from carenet.store.store import Store
from tests.support.clinic import Follower
from tests.support.refolding import assert_same_as_undisturbed, read_topic
from tests.support.waiting import STRETCH, until_answered

SETTLE_S = 30.0
_QUIET_S = 0.2  # for what might be pushed once more
_BATCH = 700  # records of one transaction of the undisturbed fold: others than the worker's


class Judged(Protocol):
    """What is judged: a network and who takes part."""

    people: dict[str, Identity]

    @property
    def genesis(self) -> Genesis:
        """The network's."""

    @property
    def kafka(self) -> KafkaAt:
        """Where Kafka is, for whoever reads the topics."""

    @property
    def postgres(self) -> str:
        """DSN of the node's database."""


async def assert_undisturbed(
    network: Judged, followers: Sequence[Follower], published: set[bytes], settle_s: float = SETTLE_S
) -> None:
    """See the module header.

    Args:
        network: at rest: nobody publishes any more.
        followers: who watched all along.
        published: the digests of all care data that were published, of all runs.
        settle_s: seconds that each thing may take to come about.
    """
    genesis = network.genesis
    async with Store(network.postgres) as store:
        assert await store.halts() == [], "a partition was halted"
        await catch_up(network.kafka, genesis, store, settle_s * STRETCH)
        await assert_folded_once(store, published)
        log = await read_log(store, genesis)
        await assert_pushed_once(network, store, log, followers, settle_s)
        await assert_followed_up(store, settle_s)
        await assert_handed_on(store, genesis, network.kafka)
    # In a thread with a loop of its own, so that the supervisor's probes, which live in this process, are not starved.
    assert await asyncio.to_thread(asyncio.run, judge_database(network.postgres, genesis, network.kafka)) == len(log)


async def judge_database(dsn: str, genesis: Genesis, kafka: KafkaAt) -> int:
    """Hold the database against an undisturbed fold of its topic, and verify it from scratch; its entries."""
    async with Store(dsn) as store:
        await assert_same_as_undisturbed(store, genesis, kafka, batch=_BATCH)
    report = await verify_database(dsn, genesis)
    assert report.breaks == []
    return report.entries


async def read_log(store: Store, genesis: Genesis) -> tuple[Logged, ...]:
    """Every entry since the network was founded."""
    none = dict.fromkeys(range(genesis.partitions), 0)
    return (await read_run(store, genesis, Baseline(none, none))).entries


async def assert_folded_once(store: Store, published: set[bytes]) -> None:
    """The log holds what was published, each once, and no other care data; chains have no gap and no fork."""
    rows = await store._fetch("SELECT digest FROM entries WHERE type LIKE 'care.%'")
    folded = {row["digest"] for row in rows}
    lost, strange, doubled = len(published - folded), len(folded - published), len(rows) - len(folded)
    assert (lost, strange, doubled) == (0, 0, 0), f"{lost} lost, {strange} that nobody published, {doubled} doubled"
    chains = await store._fetch("SELECT subject, array_agg(seq ORDER BY seq) FROM entries GROUP BY partition, subject")
    assert all(seqs == list(range(len(seqs))) for _, seqs in chains)


async def assert_pushed_once(
    network: Judged, store: Store, log: Iterable[Logged], followers: Sequence[Follower], settle_s: float = SETTLE_S
) -> None:
    """Each follower was pushed what it may read of the patients that it watches, each entry once and in order."""
    access = await read_access(store)
    now_ms = time.time_ns() // 1_000_000
    expected: list[set[Place]] = []
    for follower in followers:
        watched = [each for each in log if follower.watches(each.subject)]
        reader = network.people[follower.name].id
        expected.append(find_expected(reader, watched, access.subjects, access.grants, now_ms))
        await follower.has(expected[-1], settle_s)
    await asyncio.sleep(_QUIET_S)
    for follower, places in zip(followers, expected, strict=True):
        assert_pushed(follower, places)
    lengths = {row.row.subject: row.row.next_seq for row in await store.subjects("patient")}
    for follower in followers:
        if follower.reads_everything:
            chains = {decode_id(patient): seqs for patient, seqs in follower.chains.items()}
            whole = {each: list(range(length)) for each, length in lengths.items() if follower.watches(each)}
            assert chains == whole, f"{follower.name}: gaps"


def assert_pushed(follower: Follower, expected: set[Place]) -> None:
    """What a follower was pushed is what it should have been."""
    pushed = set(follower.places)
    lost, strange, doubled = len(expected - pushed), len(pushed - expected), len(follower.places) - len(pushed)
    assert (lost, strange, doubled, follower.unopened) == (0, 0, 0, 0), (
        f"{follower.name}: {lost} lost, {strange} not its to read, {doubled} doubled, {follower.unopened} not opened"
    )
    assert all(seqs == sorted(set(seqs)) for seqs in follower.chains.values()), f"{follower.name}: out of order"
    assert not follower.uncommitted, f"{follower.name}: {follower.uncommitted} pushed before they were committed"


async def assert_followed_up(store: Store, settle_s: float = SETTLE_S) -> None:
    """Checkpoints, and by its mark the entries topic, come to cover everything."""

    async def cover_all() -> bool:
        covered = True
        for partition, head in (await store.heads()).items():
            latest = await store.latest_checkpoint(partition)
            covered &= latest is not None and (latest.size, head.published_index) == (head.size, head.size)
        return covered

    await until_answered(cover_all, settle_s)


async def assert_handed_on(store: Store, genesis: Genesis, kafka: KafkaAt) -> None:
    """Every entry that is marked as published is in the entries topic, at least once; a subject's first in order."""
    topic = topics_of(genesis, genesis.nodes[0].name).entries.name
    handed_on = await read_entries_topic(kafka, topic, genesis.partitions)
    for partition, head in (await store.heads()).items():
        lost = set(range(head.published_index)).difference(*handed_on[partition].values())
        assert not lost, (
            f"partition {partition}: {len(lost)} entries were never handed on, the first {sorted(lost)[:3]}"
        )
        for indexes in handed_on[partition].values():
            first_seen = list(dict.fromkeys(indexes))
            assert first_seen == sorted(first_seen), f"partition {partition}: handed on out of order"


async def read_entries_topic(kafka: KafkaAt, topic: str, partitions: int) -> dict[int, dict[bytes, list[int]]]:
    """The indexes that the entries topic holds now, by partition and subject, repeats too."""
    found: dict[int, dict[bytes, list[int]]] = {}
    for place, records in (await read_topic(kafka, topic, partitions)).items():
        by_subject = found.setdefault(place, {})
        for record in records:
            assert record.value is not None
            assert record.key is not None
            read = decode_feed_record(record.value)
            assert read.partition == place
            by_subject.setdefault(record.key, []).extend(each.index for each in read.entries)
    return found
