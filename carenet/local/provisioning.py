"""Preparing servers for a node: topics, access rules and quotas on Kafka, tables in PostgreSQL.

`carenet up` does it for servers of its own, `carenet network provision` for those that somebody else runs, a cluster in
containers for example. It may be done again: what is there already is checked, not altered.
Not done here: making accounts, which is done when brokers are formatted or by who runs them.
"""

from __future__ import annotations

from carenet.bus.acls import allow, node_acls, participant_acls
from carenet.bus.quotas import PARTICIPANT_QUOTA, UNLIMITED, limit
from carenet.bus.security import KafkaLogin, login_of
from carenet.bus.topics import provision, topics_of
from carenet.errors import SetupError
from carenet.local.kafka_accounts import NODE, PARTICIPANT
from carenet.settings import Settings
from carenet.statements.genesis import Genesis
from carenet.store.store import Store


async def provision_servers(settings: Settings, genesis: Genesis, *, has_accounts: bool) -> list[str]:
    """Make what is missing.

    Args:
        settings: which servers; with accounts, Kafka's login is a super user's.
        genesis: the network's.
        has_accounts: whether Kafka has the accounts of `kafka_accounts`, which are then given their rights.

    Returns:
        What was seen to, for people.

    Raises:
        SetupError: a server is not named, refuses, or holds something else than it should.
        TransportError: a server does not answer.
    """
    kafka = login_of(settings)
    if kafka is None or settings.postgres is None:
        raise SetupError("say which servers: set CARENET_KAFKA and CARENET_POSTGRES")
    topics = topics_of(genesis, settings.node)
    await provision(kafka, topics)
    said = [f"topics {', '.join(spec.name for spec in topics)} at {kafka}"]
    if has_accounts:
        await give_rights(kafka, genesis, settings.node)
        said.append(f"access rules and quotas of {NODE} and {PARTICIPANT}")
    async with Store(str(settings.postgres), 1) as store:
        await store.create_schema(genesis)
        await store.seed(genesis)
    return [*said, "tables in the database"]


async def give_rights(admin: KafkaLogin, genesis: Genesis, node_name: str) -> None:
    """Say what the accounts may do, and how much.

    Args:
        admin: the login of a super user.
        genesis: the network's.
        node_name: the node's name.

    Raises:
        SetupError: the brokers refuse.
        TransportError: they do not answer.
    """
    await allow(admin, [*participant_acls(genesis, PARTICIPANT), *node_acls(genesis, node_name, NODE)])
    # For everyone, so that an account that somebody adds is limited too; but not for the node's own processes.
    await limit(admin, None, PARTICIPANT_QUOTA)
    for name in (admin.username, NODE):
        if name is not None:
            await limit(admin, name, UNLIMITED)
