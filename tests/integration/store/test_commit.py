from __future__ import annotations

from dataclasses import replace

import pytest

from carenet.errors import CorruptionError, TransportError
from carenet.ledger.hashes import hash_leaf
from carenet.ledger.tree import Tree
from carenet.rules.prepare import scope_of
from carenet.rules.reasons import Reason
from carenet.rules.rows import (
    AcceptedKey,
    AcceptedRow,
    EpochsKey,
    GrantsKey,
    GrantsRow,
    IdempotencyKey,
    IdempotencyRow,
    ParticipantKey,
    ReactionKey,
    ReactionRow,
    SubjectKey,
)
from carenet.statements.genesis import Genesis
from carenet.statements.records import RecordValue
from carenet.statements.statement import parse_statement
from carenet.store.commit import _rare_records
from carenet.store.faults import LostPartition
from carenet.store.store import Store
from tests.support.actors import actor
from tests.support.chronicle import Chronicle
from tests.support.folding import REPLICATED, decide, dump, fold_into, raw_records

ANY = (*REPLICATED, "partition_state", "rejections")


def _story(chronicle: Chronicle, events: int = 5) -> list[RecordValue | bytes]:
    anna, bert = chronicle.patient("anna"), chronicle.patient("bert")
    story: list[RecordValue | bytes] = [*chronicle.founding(), chronicle.open(anna), chronicle.open(bert)]
    story.append(b"no record at all")
    story += [chronicle.care(anna if number % 3 else bert, f"event {number}") for number in range(events)]
    story += [story[3], chronicle.give(anna, chronicle.clinician), chronicle.withdraw(anna, chronicle.clinician)]
    return story


async def test_a_batch_is_written_whole(store: Store, genesis: Genesis, chronicle: Chronicle) -> None:
    records = raw_records(_story(chronicle))
    effects = await decide(store, scope_of(genesis, 0), records)
    await store.commit(effects)
    assert len(effects.rejected) == 2
    state = await store.load_state(0)
    assert (state.next_offset, state.log_time_ms) == (len(records), effects.state.log_time_ms)
    assert state.tree.root() == effects.state.tree.root()
    stored = await store.read_entries(0, 0, 100)
    assert [each.entry for each in stored] == [each.entry.encode() for each in effects.accepted]
    assert [each.statement for each in stored] == [each.statement.encoded for each in effects.accepted]
    assert [each.body for each in stored] == [each.body for each in effects.accepted]
    assert [(each.index, each.offset) for each in stored] == [(each.index, each.offset) for each in effects.accepted]


async def test_rows_come_back_as_they_were_written(store: Store, genesis: Genesis, chronicle: Chronicle) -> None:
    effects = await decide(store, scope_of(genesis, 0), raw_records(_story(chronicle)))
    reaction = {ReactionKey("alert.raise", b"\1" * 32, b"more"): ReactionRow(b"\2" * 32)}
    effects = replace(effects, writes={**effects.writes, **reaction})
    await store.commit(effects)
    grants = {key: row for key, row in effects.writes.items() if isinstance(key, GrantsKey)}
    assert grants, "the story gives and withdraws"
    others = {key: row for key, row in effects.writes.items() if key not in grants}
    kinds = {type(key) for key in effects.writes}
    assert kinds == {ParticipantKey, SubjectKey, EpochsKey, GrantsKey, IdempotencyKey, ReactionKey}
    assert await store.load_rows(0, others) == others


async def test_a_role_whose_name_means_something_to_postgres_is_a_name(
    store: Store, genesis: Genesis, chronicle: Chronicle
) -> None:
    # A worker that remembers the row and one that loads it must decide alike, or replicas differ.
    ada = chronicle.patient("ada")
    write = ("null", "nan", "clinician", "a.b-c_d", "default")
    await store.commit(await decide(store, scope_of(genesis, 0), raw_records([*chronicle.founding()])))
    opened = await decide(store, scope_of(genesis, 0), raw_records([chronicle.open(ada, write)], from_offset=3))
    await store.commit(opened)
    key = SubjectKey(ada.id)
    assert opened.writes[key].write == write  # type: ignore[union-attr]
    assert await store.load_rows(0, {key}) == {key: opened.writes[key]}


async def test_ended_grants_are_kept_and_not_loaded(store: Store, genesis: Genesis, chronicle: Chronicle) -> None:
    anna, carl = chronicle.patient("anna"), actor("carl")
    story = [*chronicle.founding(), chronicle.admit(carl, ("clinician",)), chronicle.open(anna)]
    story += [chronicle.give(anna, chronicle.clinician), chronicle.give(anna, carl)]
    await fold_into(store, genesis, raw_records(story), batch=2)
    await fold_into(store, genesis, raw_records([chronicle.withdraw(anna, carl)], len(story)), batch=1)
    key = GrantsKey(anna.id)
    loaded = (await store.load_rows(0, {key}))[key]
    assert isinstance(loaded, GrantsRow)
    assert [grant.grantee for grant in loaded.grants] == [chronicle.clinician.id]
    kept = [each.row for each in await store.grants_of(0, anna.id)]
    assert [(grant.grantee, grant.from_seq, grant.to_seq) for grant in kept] == [
        (chronicle.clinician.id, 1, None),
        (carl.id, 2, 3),
    ]
    assert [each.row for each in await store.grants_to(carl.id)] == [kept[1]]
    assert [each.row for each in await store.active_grants(0)] == [kept[0]]


async def test_keys_without_rows_lead_to_none(store: Store) -> None:
    nobody = b"\7" * 32
    keys = {
        ParticipantKey(nobody),
        SubjectKey(nobody),
        EpochsKey(nobody),
        GrantsKey(nobody),
        IdempotencyKey(nobody, nobody[:16]),
        AcceptedKey(nobody, nobody),
        ReactionKey("epoch.begin", nobody, b""),
    }
    assert await store.load_rows(0, keys) == dict.fromkeys(keys)
    assert await store.load_rows(0, set()) == {}


async def test_an_accepted_statement_is_found_in_its_own_timeline_only(
    store: Store, genesis: Genesis, chronicle: Chronicle
) -> None:
    anna, bert = chronicle.patient("anna"), chronicle.patient("bert")
    care = chronicle.care(anna)
    story = [*chronicle.founding(), chronicle.open(anna), chronicle.open(bert), care]
    await fold_into(store, genesis, raw_records(story), batch=10)
    digest = parse_statement(care.statement).digest
    here, there = AcceptedKey(anna.id, digest), AcceptedKey(bert.id, digest)
    row = AcceptedRow(1, chronicle.clinician.id, "care.observation", "clinical")
    assert await store.load_rows(0, {here, there}) == {here: row, there: None}


async def test_who_comes_second_loses_the_partition_and_changes_nothing(
    store: Store, genesis: Genesis, chronicle: Chronicle
) -> None:
    records = raw_records(_story(chronicle))
    late = await decide(store, scope_of(genesis, 0), records)
    await fold_into(store, genesis, records[:3], batch=3)
    before = await dump(store, *ANY)
    with pytest.raises(LostPartition):
        await store.commit(late)
    assert await dump(store, *ANY) == before
    assert issubclass(LostPartition, TransportError)


async def test_a_batch_that_contradicts_the_log_is_corruption_and_changes_nothing(
    store: Store, genesis: Genesis, chronicle: Chronicle
) -> None:
    records = raw_records(_story(chronicle))
    await fold_into(store, genesis, records[:3], batch=3)
    before = await dump(store, *ANY)
    effects = await decide(store, scope_of(genesis, 0), records[3:])
    crooked = replace(effects.accepted[0], index=0)
    with pytest.raises(CorruptionError) as caught:
        await store.commit(replace(effects, accepted=(crooked, *effects.accepted[1:])))
    assert "unique" in str(caught.value).lower()
    assert await dump(store, *ANY) == before


async def test_two_databases_hold_the_same_bytes_whatever_the_batches(
    store: Store, genesis: Genesis, chronicle: Chronicle
) -> None:
    records = raw_records(_story(chronicle, events=560))
    await fold_into(store, genesis, records, batch=len(records))
    whole = await dump(store, *REPLICATED)
    roots = (await store.load_state(0)).tree.root()
    assert len(whole["tiles"]) == 2
    await store._fetch("DROP SCHEMA public CASCADE")
    await store._fetch("CREATE SCHEMA public")
    await store._pool.expire_connections()
    await store.create_schema(genesis)
    await store.seed(genesis)
    await fold_into(store, genesis, records, batch=37)
    assert await dump(store, *REPLICATED) == whole
    assert (await store.load_state(0)).tree.root() == roots


async def test_stored_entries_and_tiles_are_the_naive_tree(
    store: Store, genesis: Genesis, chronicle: Chronicle
) -> None:
    await fold_into(store, genesis, raw_records(_story(chronicle, events=300)), batch=50)
    entries = await store.read_entries(0, 0, 1000)
    tree = Tree()
    for each in entries:
        tree.append(hash_leaf(each.entry))
    assert (await store.load_state(0)).tree.root() == tree.root()
    tiles = await store.read_tiles(0, [(0, 0), (0, 1), (5, 5)])
    assert tiles == {(0, 0): b"".join(hash_leaf(each.entry) for each in entries[:256])}


async def test_detail_with_a_zero_character_is_kept(store: Store, genesis: Genesis) -> None:
    effects = await decide(store, scope_of(genesis, 0), raw_records([b"rubbish"]))
    effects = replace(effects, rejected=(replace(effects.rejected[0], detail="a\0b"),))
    await store.commit(effects)
    kept = await store.find_rejection(0, 0)
    assert kept is not None
    assert (kept.reason, kept.head) == (Reason.BAD_ENCODING, b"rubbish")


def test_a_row_under_another_kind_of_key_is_a_mistake_of_ours() -> None:
    with pytest.raises(ValueError, match="no row that is written"):
        _rare_records(0, {ParticipantKey(b"\0" * 32): IdempotencyRow(b"", None)})
