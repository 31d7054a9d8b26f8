from __future__ import annotations

import contextlib
from dataclasses import replace

import asyncpg
import pytest

from carenet.errors import TransportError
from carenet.gateway.likely import Likely
from carenet.rules.reasons import Reason
from carenet.statements.genesis import Genesis
from carenet.statements.records import RecordValue
from carenet.statements.statement import Statement, parse_statement
from carenet.store.store import Store
from carenet.store.stored import ActivityRow, LeanEntry, StoredCheckpoint, StoredEntry, StoredRejection
from tests.support.chronicle import Chronicle
from tests.support.folding import fold_into, raw_records


def _statement(value: RecordValue) -> Statement:
    return parse_statement(value.statement)


async def test_a_log_and_a_timeline_are_read_in_order(store: Store, genesis: Genesis, chronicle: Chronicle) -> None:
    anna, bert = chronicle.patient("anna"), chronicle.patient("bert")
    story = [*chronicle.founding(), chronicle.open(anna), chronicle.open(bert)]
    story += [chronicle.care(anna), chronicle.care(bert), chronicle.care(anna)]
    await fold_into(store, genesis, raw_records(story), batch=3)
    log = await store.read_entries(0, 2, 4)
    assert [each.index for each in log] == [2, 3, 4, 5]
    timeline = await store.read_subject_entries(0, anna.id, 1, 10)
    assert [(each.seq, each.index) for each in timeline] == [(1, 4), (2, 6)]
    assert [each.digest for each in timeline] == [_statement(story[4]).digest, _statement(story[6]).digest]
    assert await store.read_entries(1, 0, 10) == []


async def test_a_fed_log_is_whole_where_it_is_control_or_likely_to_be_wanted(
    store: Store, genesis: Genesis, chronicle: Chronicle
) -> None:
    anna, bert = chronicle.patient("anna"), chronicle.patient("bert")
    story = [*chronicle.founding(), chronicle.open(anna), chronicle.open(bert)]
    story += [chronicle.care(anna), chronicle.care(bert), chronicle.care(anna)]
    await fold_into(store, genesis, raw_records(story), batch=3)
    log = await store.read_entries(0, 0, 100)
    likely = Likely()
    likely.learn(anna.id)
    fed = await store.read_fed(0, 0, 100, likely.bits(), 100)
    lean = [each for each in fed if isinstance(each, LeanEntry)]
    (bert_care,) = [each for each in log if each.subject == bert.id and each.type.startswith("care.")]
    assert [(each.index, each.digest) for each in lean] == [(bert_care.index, bert_care.digest)]
    assert all(getattr(lean[0], name) == getattr(bert_care, name) for name in LeanEntry._fields)
    assert [each for each in fed if isinstance(each, StoredEntry)] == [each for each in log if each != bert_care]
    few = await store.read_fed(0, 1, 3, likely.bits(), 1)
    assert [(each.index, type(each)) for each in few] == [(1, StoredEntry), (2, LeanEntry), (3, LeanEntry)]
    assert await store.read_entries_at(0, [3, 1]) == [log[1], log[3]]


async def test_an_outcome_is_found_by_digest_and_by_offset(
    store: Store, genesis: Genesis, chronicle: Chronicle
) -> None:
    anna = chronicle.patient("anna")
    care, unknown = chronicle.care(anna), chronicle.care(chronicle.patient("nobody"))
    story = [*chronicle.founding(), chronicle.open(anna), care, unknown, care]
    await fold_into(store, genesis, raw_records(story), batch=10)
    accepted = await store.outcome_at(0, 3)
    assert isinstance(accepted, StoredEntry)
    assert accepted == await store.outcome_of(_statement(care).digest)
    refused = await store.outcome_at(0, 4)
    assert isinstance(refused, StoredRejection)
    assert (refused.reason, refused.issuer) == (Reason.UNKNOWN_SUBJECT, chronicle.clinician.id)
    assert refused == await store.outcome_of(_statement(unknown).digest)
    repeat = await store.outcome_at(0, 5)
    assert isinstance(repeat, StoredRejection)
    assert (repeat.reason, repeat.winner) == (Reason.DUPLICATE, _statement(care).digest)
    assert await store.outcome_at(0, 6) is None
    assert await store.outcome_of(b"\0" * 32) is None


async def test_rejections_are_read_newest_first_by_reason_and_by_offset(store: Store, genesis: Genesis) -> None:
    await fold_into(store, genesis, raw_records([b"a", b"b", b"c" * 2000]), batch=1)
    assert [each.offset for each in await store.rejections(10)] == [2, 1, 0]
    assert [each.offset for each in await store.rejections(1, Reason.BAD_ENCODING)] == [2]
    assert await store.rejections(10, Reason.TOO_OLD) == []
    assert [each.offset for each in await store.read_rejections(0, 1, 10)] == [1, 2]
    assert len((await store.rejections(1))[0].head) == 1024


async def test_the_decision_state_can_be_read(store: Store, genesis: Genesis, chronicle: Chronicle) -> None:
    anna = chronicle.patient("anna")
    await fold_into(store, genesis, raw_records([*chronicle.founding(), chronicle.open(anna)]), batch=10)
    assert [each.name for each in await store.participants()] == ["authority", "clinician", "hospital", "node"]
    hospital = await store.find_participant(chronicle.hospital.id)
    assert hospital is not None
    assert hospital.roles == ("registrar", "custodian")
    assert [each.row.subject for each in await store.subjects("patient")] == [anna.id]
    assert len(await store.subjects()) == 2
    assert await store.subjects(partition=1) == []
    subject = await store.find_subject(0, anna.id)
    assert subject is not None
    assert subject.custodians == (chronicle.hospital.id,)
    assert [each.compartment for each in (await store.epochs_of(0, anna.id)).epochs] == [
        "clinical",
        "identity",
        "medication",
    ]
    assert await store.find_participant(b"\0" * 32) is None
    assert await store.find_subject(0, b"\0" * 32) is None


async def test_the_mark_of_what_is_published_only_grows(store: Store) -> None:
    await store.mark_published(0, 5)
    await store.mark_published(0, 3)
    assert (await store.heads())[0].published_index == 5


async def test_the_first_checkpoint_that_covers_an_entry_is_found(store: Store) -> None:
    for size in (3, 7, 10):
        await store.save_checkpoint(StoredCheckpoint(0, size, f"note {size}", b"receipt"))
    await store.save_checkpoint(StoredCheckpoint(0, 7, "another", b"receipt"))
    covering = [await store.checkpoint_covering(0, index) for index in (0, 2, 3, 9, 10)]
    assert [each.size if each else None for each in covering] == [3, 3, 7, 10, None]
    latest = await store.latest_checkpoint(0)
    assert latest == StoredCheckpoint(0, 10, "note 10", b"receipt")
    assert [each.note for each in await store.read_checkpoints(0, 4, 9)] == ["note 7", "note 10"]
    assert await store.latest_checkpoint(1) is None


async def test_of_two_figures_for_one_minute_the_one_that_counted_further_stays(store: Store) -> None:
    subject = b"\1" * 32
    row = ActivityRow(0, subject, 60_000, "care.observation", 2, 1, 0, 17)
    await store.save_activity([row, replace(row, minute_ms=120_000)])
    await store.save_activity([replace(row, events=1, last_index=16)])
    await store.save_activity([replace(row, minute_ms=120_000, events=3, last_index=18)])
    found = await store.read_activity(0, subject, 0, 10)
    assert [(each.minute_ms, each.events) for each in found] == [(60_000, 2), (120_000, 3)]
    assert found[0] == row


async def test_a_snapshot_sees_one_moment(store: Store, genesis: Genesis, chronicle: Chronicle) -> None:
    async with store.snapshot() as then:
        assert (await then.heads())[0].size == 0
        await fold_into(store, genesis, raw_records(chronicle.founding()), batch=10)
        assert (await then.heads())[0].size == 0
        assert await then.read_entries(0, 0, 10) == []
    assert (await store.heads())[0].size == 2


async def test_a_snapshot_writes_nothing(store: Store) -> None:
    async with store.snapshot() as then:
        with pytest.raises(TransportError, match="ReadOnly"):
            await then._fetch("DELETE FROM entries")


async def test_a_query_that_breaks_off_is_worth_another_try(store: Store, database: str) -> None:
    other = await asyncpg.connect(database)
    try:
        await store.heads()
        await other.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'carenet'")
    finally:
        await other.close()
    with contextlib.suppress(TransportError):
        await store.heads()
    assert sorted(await store.heads()) == [0]
