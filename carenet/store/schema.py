"""Making the tables, and seeding what the genesis says into every partition; both any number of times.

One database is one node's replica of one network: the table `meta` says of which, and in which form it is kept.
"""

from __future__ import annotations

from importlib import resources
from typing import Any

from carenet.encoding.ids import encode_id
from carenet.errors import SetupError
from carenet.ledger.tree import Tree
from carenet.rules.fold import genesis_rows
from carenet.rules.prepare import scope_of
from carenet.statements.genesis import Genesis, parse_genesis
from carenet.store.commit import write_rows

VERSION = 1
_LOCK = 0x6361726E  # "carn": one process makes the schema, others wait for it

_GET = "SELECT value FROM meta WHERE key = $1"
_PUT = "INSERT INTO meta (key, value) VALUES ($1, $2)"
_SEED = """
INSERT INTO partition_state (partition, next_offset, size, log_time_ms, frontier) VALUES ($1, 0, 0, 0, $2)
ON CONFLICT DO NOTHING RETURNING 1
"""


async def create_schema(connection: Any, genesis: Genesis) -> None:
    """Make the tables if there are none; the caller holds the transaction.

    Raises:
        SetupError: the database is kept in another form, or is another network's.
    """
    await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
    if await connection.fetchval("SELECT to_regclass('meta') IS NULL"):
        await connection.execute(_read_sql())
        await connection.execute(_PUT, "schema_version", str(VERSION).encode())
        await connection.execute(_PUT, "network", genesis.network_id)
        await connection.execute(_PUT, "genesis", genesis.encode())
    await check_schema(connection, genesis)


async def check_schema(connection: Any, genesis: Genesis) -> None:
    """Check that the database is kept in this form and is this network's.

    Raises:
        SetupError: it is not; the message says what it is instead.
    """
    version = await connection.fetchval(_GET, "schema_version")
    if version != str(VERSION).encode():
        found = (version or b"none").decode()
        raise SetupError(f"the database has schema version {found}, this carenet needs {VERSION}: use a new database")
    network = await connection.fetchval(_GET, "network")
    if network != genesis.network_id:
        name = encode_id(network) if network else "none"
        raise SetupError(f"the database belongs to network {name}: give each network a database of its own")


async def fetch_genesis(connection: Any) -> Genesis:
    """The genesis of the network whose replica this database is."""
    return parse_genesis(await connection.fetchval(_GET, "genesis"))


async def seed(connection: Any, genesis: Genesis) -> None:
    """Write the genesis's rows into the partitions that have none yet; the caller holds the transaction."""
    for partition in range(genesis.partitions):
        is_new = await connection.fetchval(_SEED, partition, Tree().encode())
        if is_new:
            await write_rows(connection, partition, genesis_rows(scope_of(genesis, partition)))


def _read_sql() -> str:
    return (resources.files("carenet.store") / "schema" / f"{VERSION:03}.sql").read_text(encoding="utf-8")
