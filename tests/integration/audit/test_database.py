"""A database that holds, and the same one after somebody changed one thing in it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest
import pytest_asyncio

from carenet.audit.database import DatabaseReport, verify_database
from carenet.errors import SetupError, TransportError
from carenet.ledger.checkpoint import Checkpoint, origin_of
from carenet.ledger.prover import inclusion_path
from carenet.ledger.receipts import build_receipt
from carenet.ledger.tree import Tree
from carenet.store.store import Store
from carenet.store.stored import StoredCheckpoint
from tests.support.chronicle import genesis_of
from tests.support.folding import fold_into
from tests.support.simulator import Network
from tests.support.ward import PARTITION, Ward

EVENTS = 300  # so that the patient's log has a full tile and the audit more than one page


@pytest.fixture(scope="module")
def ward() -> Ward:
    """Grants given and withdrawn, a correction, a suspension, and events."""
    ward = Ward()
    world = ward.world
    event = ward.accept(world.care(world.clinician, ward.patient, ward.current()))
    ward.accept(world.care(world.clinician, ward.patient, ward.current(), replaces=event.entry.digest))
    for _ in range(EVENTS):
        world.clock_ms += 10
        ward.accept(world.care(world.clinician, ward.patient, ward.current()))
    ward.accept(world.withdraw(world.hospital, ward.patient, world.clinician, epochs=_next_epochs(ward)))
    ward.accept(world.suspend(world.hospital, world.nurse))
    return ward


def _next_epochs(ward: Ward) -> dict[str, bytes]:
    return {name: ward.patient.epoch(name, 1) for name in ("clinical", "medication")}


@pytest_asyncio.fixture(loop_scope="session")
async def node(database: str, ward: Ward) -> AsyncIterator[str]:
    """DSN of a node's database into which the ward's logs were folded, with checkpoints."""
    async with Store(database) as store:
        await store.create_schema(ward.world.genesis)
        await store.seed(ward.world.genesis)
        for partition, log in enumerate(ward.net.logs):
            if log:
                await fold_into(store, ward.world.genesis, log, 100, partition)
            for size in {1, 2, len(ward.net.replicas[partition].entries)}:
                await store.save_checkpoint(_checkpoint(ward.net, partition, size))
    yield database


def _checkpoint(net: Network, partition: int, size: int) -> StoredCheckpoint:
    replica = net.replicas[partition]
    note = net.note(partition, size, net.world.nodes)
    tiles = replica.tiles | replica.state.tree.partial_tiles()
    root = _root(net, partition, size)
    said = Checkpoint(origin_of(net.world.network, partition), size, root)
    entry = replica.entries[size - 1].entry.encode()
    receipt = build_receipt(said, entry, size - 1, inclusion_path(size - 1, size, tiles), net.world.nodes[0].key)
    return StoredCheckpoint(partition, size, note, receipt)


def _root(net: Network, partition: int, size: int) -> bytes:
    tree = Tree()
    for each in net.replicas[partition].entries[:size]:
        tree.append(each.entry.leaf_hash)
    return tree.root()


async def _judge(node: str, ward: Ward) -> DatabaseReport:
    return await verify_database(node, ward.world.genesis)


async def test_a_database_that_the_log_leads_to_holds(node: str, ward: Ward) -> None:
    seen: list[tuple[int, int]] = []
    report = await verify_database(node, ward.world.genesis, on_progress=lambda done, total: seen.append((done, total)))
    assert report.breaks == []
    assert report.unchecked == ()
    sizes = [len(replica.entries) for replica in ward.net.replicas]
    assert report.entries == sum(sizes)
    assert report.chains == 2
    assert report.timelines[ward.patient.id] == EVENTS + 5
    relayed = len(ward.net.replicas[2].entries)
    assert report.signatures == sum(sizes) - 2 * relayed
    assert report.checkpoints == 3 * 3
    assert seen[-1] == (sum(sizes), sum(sizes))
    assert len(seen) > 3


async def test_one_partition_is_judged_with_the_network_s_own(node: str, ward: Ward) -> None:
    report = await verify_database(node, ward.world.genesis, {PARTITION})
    assert sorted(report.partitions) == [0, PARTITION]
    assert report.breaks == []


_ENTRY = f"partition = {PARTITION} AND index = 100"
TAMPERING = {
    "an altered body": f"UPDATE entries SET body = body || 'x' WHERE {_ENTRY}",
    "an altered statement": f"UPDATE entries SET statement = overlay(statement placing 'x' from 200) WHERE {_ENTRY}",
    "an altered entry": f"UPDATE entries SET entry = overlay(entry placing 'x' from 20) WHERE {_ENTRY}",
    "a deleted entry": f"DELETE FROM entries WHERE {_ENTRY}",
    "a deleted last entry": "DELETE FROM entries e WHERE partition = 1 "
    "AND index = (SELECT max(index) FROM entries WHERE partition = 1)",
    "an entry of nowhere": "INSERT INTO entries SELECT 9, index, subject, seq, entry, statement, digest, body, issuer, "
    f'type, compartment, "offset", log_append_time_ms FROM entries WHERE {_ENTRY}',
    "another compartment": f"UPDATE entries SET compartment = 'medication' WHERE {_ENTRY}",
    "another issuer": f"UPDATE entries SET issuer = digest WHERE {_ENTRY}",
    "another type": f"UPDATE entries SET type = 'care.condition' WHERE {_ENTRY}",
    "an offset of later": f'UPDATE entries SET "offset" = 100000 WHERE {_ENTRY}',
    "an altered tile": "UPDATE tiles SET hashes = overlay(hashes placing 'x' from 20)",
    "a tile too many": "INSERT INTO tiles SELECT partition, 3, index, hashes FROM tiles",
    "a missing tile": "DELETE FROM tiles",
    "a grant that nobody gave": "INSERT INTO grants SELECT partition, subject, digest, issuer, '{read}', '{clinical}', "
    f"true, 0, NULL, 'treat', NULL FROM entries WHERE {_ENTRY}",
    "a withdrawal undone": "UPDATE grants SET to_seq = NULL",
    "an earlier withdrawal": "UPDATE grants SET to_seq = to_seq - 1",
    "a suspension undone": "UPDATE participants SET suspended = false WHERE partition = 1",
    "a participant too many": "INSERT INTO participants SELECT 1, '\\x00', name, organisation, roles, may_give, sign, "
    "hpke, retired, statements, suspended FROM participants WHERE partition = 1 LIMIT 1",
    "another custodian": "UPDATE subjects SET custodians = '{}' WHERE kind = 'patient'",
    "another epoch key": "UPDATE epochs SET public = public || 'x'",
    "an epoch less": "DELETE FROM epochs WHERE compartment = 'clinical'",
    "a forgotten id": "DELETE FROM idempotency WHERE partition = 1 AND digest IN "
    f"(SELECT digest FROM entries WHERE {_ENTRY})",
    "a reaction too many": "INSERT INTO reactions VALUES (1, 'alert.raise', '\\x00', '\\x00', '\\x00')",
    "a checkpoint of another root": "UPDATE checkpoints SET note = (SELECT note FROM checkpoints "
    "WHERE partition = 2 AND size = 2) WHERE partition = 1 AND size = 2",
    "a receipt of another entry": "UPDATE checkpoints SET receipt = (SELECT receipt FROM checkpoints "
    "WHERE partition = 1 AND size = 1) WHERE partition = 1 AND size = 2",
    "another time": "UPDATE partition_state SET log_time_ms = log_time_ms + 1 WHERE partition = 1",
    "another frontier": "UPDATE partition_state SET frontier = overlay(frontier placing 'x' from 9) "
    "WHERE partition = 1",
    "another size": "UPDATE partition_state SET size = size + 1 WHERE partition = 1",
    "an offset set back": "UPDATE partition_state SET next_offset = 5 WHERE partition = 1",
    "published too far": "UPDATE partition_state SET published_index = size + 1 WHERE partition = 1",
    "a partition that is gone": "DELETE FROM partition_state WHERE partition = 1",
    "a relay by nobody": "DELETE FROM checkpoints WHERE partition = 0",
}


@pytest.mark.parametrize("sql", TAMPERING.values(), ids=TAMPERING.keys())
async def test_one_change_is_found(node: str, ward: Ward, sql: str) -> None:
    connection = await asyncpg.connect(node)
    try:
        assert await connection.execute(sql) not in {"UPDATE 0", "DELETE 0", "INSERT 0 0"}
    finally:
        await connection.close()
    assert (await _judge(node, ward)).breaks


async def test_a_break_is_where_the_change_was(node: str, ward: Ward) -> None:
    connection = await asyncpg.connect(node)
    await connection.execute(TAMPERING["an altered body"])
    await connection.close()
    first = (await _judge(node, ward)).breaks[0]
    assert (first.partition, first.index) == (PARTITION, 100)


async def test_nothing_hangs_on_a_broken_partition_0(node: str, ward: Ward) -> None:
    connection = await asyncpg.connect(node)
    await connection.execute("DELETE FROM entries WHERE partition = 0 AND index = 3")
    await connection.close()
    report = await _judge(node, ward)
    assert report.breaks[0].partition == 0
    assert report.unchecked == (1, 2)


async def test_another_network_s_database_is_no_break_but_cannot_be_judged(node: str) -> None:
    with pytest.raises(SetupError, match="belongs to network"):
        await verify_database(node, genesis_of("other.events", 3))


async def test_a_database_without_tables_cannot_be_judged(database: str, ward: Ward) -> None:
    with pytest.raises(SetupError):
        await verify_database(database, ward.world.genesis)


async def test_a_database_that_is_away_cannot_be_judged(ward: Ward) -> None:
    with pytest.raises(TransportError):
        await verify_database("postgresql://nobody@127.0.0.1:1/none", ward.world.genesis)
