"""Builds that are broken on purpose, each in one place, and the judge that must say so.

The sound build goes through the same mishaps first and passes: without that, a judge that refuses everything would do.
The code is replaced in this process, before worker and gateway start in it; the product has no such switch.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from carenet.bus.publishing import Producer, Record
from carenet.client.spool import Letter
from carenet.encoding.ids import encode_id
from carenet.errors import TransportError
from carenet.gateway.push import Pusher
from carenet.local.kafka import EmbeddedKafka
from carenet.node.feed import decode_feed_record
from carenet.node.pipeline import Pipeline, PreparedBatch
from carenet.rules.access import may_read
from carenet.rules.effects import Effects
from carenet.rules.prepare import RawRecord
from carenet.rules.rows import GrantRow, SubjectRow
from carenet.statements.records import RecordValue, decode_record, encode_record
from carenet.statements.statement import parse_statement
from carenet.store import commit, quick
from carenet.store.store import Store
from carenet.store.stored import StoredEntry
from tests.support.bursts import Burst, Sealed, seal_events
from tests.support.judging import assert_undisturbed
from tests.support.onenode import OneNode, one_node
from tests.support.waiting import until_answered

EVENTS = 60  # before a grant, and as many after it
SETTLE_S = 3.0
FOUND = (AssertionError, TransportError, TimeoutError)

Start = Callable[[], Awaitable[OneNode]]


class OvertakenStore(Store):
    """The worker's store, with a mishap: as it commits the first care data, another worker has done so already."""

    _is_overtaken = False

    async def commit(self, effects: Effects) -> None:
        if _has_care(effects) and not self._is_overtaken:
            self._is_overtaken = True
            async with Store(self.dsn, 1) as other:
                await other.commit(effects)
        await super().commit(effects)


class KilledProducer(Producer):
    """The worker's producer, with a mishap: its outbox dies as it is about to hand on the first care data."""

    _is_killed = False

    async def send_all(self, topic: str, partition: int, records: Sequence[Record]) -> None:
        if not self._is_killed and any(not _is_control(each) for each in records):
            self._is_killed = True
            raise RuntimeError("killed, as far as the outbox is concerned")
        await super().send_all(topic, partition, records)


def _is_control(record: Record) -> bool:
    return all(parse_statement(each.statement).is_control for each in decode_feed_record(record.value).entries)


def _has_care(effects: Effects) -> bool:
    return any(each.statement.header.type.startswith("care.") for each in effects.accepted)


@pytest_asyncio.fixture(loop_scope="session")
async def start(
    kafka: EmbeddedKafka, database: str, topic_name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Start]:
    """Starts a node with the mishaps; the test replaces more before."""
    monkeypatch.setattr("carenet.node.worker.Store", OvertakenStore)
    monkeypatch.setattr("carenet.node.worker.Producer", KilledProducer)
    async with AsyncExitStack() as stack:
        yield lambda: stack.enter_async_context(one_node(tmp_path, kafka.bootstrap, database, f"{topic_name}.events"))


async def _work_and_be_judged(node: OneNode) -> None:
    """A grant from now on in the middle of care data, two watchers, and the judge."""
    hospital, lab = await node.enter("hospital"), await node.enter("lab")
    patients = [await hospital.register_patient(write=("lab",)) for _ in range(2)]
    await node.follow("hospital", patients)
    earlier = await seal_events(lab, patients, EVENTS, "earlier")
    await _grant_after(node, patients[1], earlier)
    await node.follow("lee", patients[1:], reads_everything=False)
    later = Burst(await seal_events(await node.enter("lab"), patients, EVENTS, "later"))
    await later.send(node.kafka, node.genesis, 0.5)
    published = {event.digest for event in earlier} | later.digests
    await assert_undisturbed(node, node.followers, published, SETTLE_S)


async def _grant_after(node: OneNode, patient: str, earlier: Sequence[Sealed]) -> None:
    """Let the hospital grant the clinician reading from now on, right behind other records, in one batch with them."""
    hospital = await node.enter("hospital")
    carrier = hospital._parts.delivery._carrier
    send = carrier.send

    async def send_behind(letter: Letter) -> tuple[int, int]:
        value = encode_record(RecordValue(letter.statement, letter.body))
        records = [*(event.record for event in earlier), Record(encode_id(letter.subject).encode(), value)]
        async with Producer(node.kafka) as producer:
            await producer.send_all(node.genesis.topic, 0, records)
        carrier.send = send  # type: ignore[method-assign]
        return await send(letter)  # a repeat, whose outcome is the first one's

    carrier.send = send_behind  # type: ignore[method-assign]
    await hospital.grant(patient, node.people["lee"].id, compartments=("clinical",), history=False)


async def test_the_sound_build_comes_through_the_mishaps_and_the_judge_finds_nothing(start: Start) -> None:
    await _work_and_be_judged(await start())


def _skip_the_compare(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name, compare, anything in (
        (commit, "_MOVE", "next_offset = $2", "$2::bigint IS NOT NULL"),
        (quick, "_COMMIT", "old.next_offset = new.before", "TRUE"),
    ):
        statement = getattr(module, name)
        assert statement.count(compare) == 1
        monkeypatch.setattr(module, name, statement.replace(compare, anything))


async def test_a_build_that_skips_the_compare_and_set_runs_into_the_tables_second_guard(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    _skip_the_compare(monkeypatch)
    node = await start()

    async def is_halted() -> bool:
        return bool(await node.store.halts())

    work = asyncio.create_task(_work_and_be_judged(node))
    try:
        await until_answered(is_halted, 20)
    finally:
        work.cancel()
        await asyncio.wait({work})
    with pytest.raises(AssertionError, match="a partition was halted"):
        await assert_undisturbed(node, [], set(), SETTLE_S)


async def test_a_build_that_skips_the_compare_and_set_and_has_no_second_guard_is_seen_to_double(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    _skip_the_compare(monkeypatch)
    node = await start()
    for table in ("entries", "idempotency", "tiles", "rejections"):
        await node.store._fetch(f"ALTER TABLE {table} DROP CONSTRAINT {table}_pkey")
    await node.store._fetch("DROP INDEX entries_subject, entries_digest, entries_offset")
    with pytest.raises(FOUND, match=r"[1-9]\d* doubled"):
        await _work_and_be_judged(node)


async def test_a_build_that_pushes_before_it_commits_is_seen_to(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    pushers: list[Pusher] = []

    class KnownPusher(Pusher):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            pushers.append(self)

    class HastyStore(Store):
        async def commit(self, effects: Effects) -> None:
            for pusher in pushers:
                for each in effects.accepted:
                    pusher.take(StoredEntry(*commit.entry_record(effects.state.partition, each)))
            await asyncio.sleep(0.1)
            await super().commit(effects)

    monkeypatch.setattr("carenet.gateway.server.Pusher", KnownPusher)
    monkeypatch.setattr("carenet.node.worker.Store", HastyStore)
    with pytest.raises(FOUND, match=r"[1-9]\d* pushed before they were committed"):
        await _work_and_be_judged(await start())


async def test_a_fold_that_decides_grants_before_what_came_earlier_is_seen_to(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare = Pipeline.prepare

    async def prepare_grants_first(self: Pipeline, records: Sequence[RawRecord]) -> PreparedBatch:
        batch = await prepare(self, sorted(records, key=lambda each: not _is_grant(each)))
        return replace(batch, next_offset=records[-1].offset + 1)

    monkeypatch.setattr(Pipeline, "prepare", prepare_grants_first)
    with pytest.raises(FOUND, match=r"[1-9]\d* lost"):
        await _work_and_be_judged(await start())


def _is_grant(record: RawRecord) -> bool:
    assert record.value is not None
    return parse_statement(decode_record(record.value).statement).header.type.startswith("grant.")


async def test_a_gateway_that_ignores_when_a_grant_was_given_is_seen_to(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    def may_read_whenever(
        reader: bytes, subject: SubjectRow, grants: Iterable[GrantRow], entry: tuple[int, str | None], now_ms: int
    ) -> bool:
        return may_read(reader, subject, [replace(each, from_seq=0) for each in grants], entry, now_ms)

    monkeypatch.setattr("carenet.gateway.backlog.may_read", may_read_whenever)
    with pytest.raises(FOUND, match=r"lee: .* [1-9]\d* not its to read"):
        await _work_and_be_judged(await start())


async def test_an_outbox_that_marks_before_it_sends_is_seen_to(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    stores: list[OvertakenStore] = []

    class KnownStore(OvertakenStore):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            stores.append(self)

    class MarkingProducer(KilledProducer):
        async def send_all(self, topic: str, partition: int, records: Sequence[Record]) -> None:
            last = max(each.index for record in records for each in decode_feed_record(record.value).entries)
            await stores[-1].mark_published(partition, last + 1)
            await super().send_all(topic, partition, records)

    monkeypatch.setattr("carenet.node.worker.Store", KnownStore)
    monkeypatch.setattr("carenet.node.worker.Producer", MarkingProducer)
    with pytest.raises(FOUND, match="never handed on"):
        await _work_and_be_judged(await start())
