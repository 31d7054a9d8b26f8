"""Preparing servers that exist for a node, once: topics, access rules and quotas on Kafka, tables in PostgreSQL.

`carenet up` does the same for servers of its own; this is for those that somebody else runs, a cluster in containers
for example. It may be done again: what is there already is checked, not altered.
Not done here: making accounts, which is done when brokers are formatted or by who runs them.
"""

from __future__ import annotations

from carenet.bus.acls import allow, node_acls, participant_acls
from carenet.bus.quotas import PARTICIPANT_QUOTA, UNLIMITED, limit
from carenet.bus.security import login_of
from carenet.bus.topics import provision, topics_of
from carenet.errors import SetupError
from carenet.settings import Settings
from carenet.statements.genesis import Genesis
from carenet.store.store import Store


async def provision_servers(settings: Settings, genesis: Genesis, accounts: tuple[str, str] | None) -> list[str]:
    """Make what is missing.

    Args:
        settings: which servers; with accounts, Kafka's login is a super user's.
        genesis: the network's.
        accounts: names on Kafka of the node and of those who publish straight to it, to be given their rights; None
            for a Kafka that asks nobody who it is.

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
    if accounts is not None:
        node, participant = accounts
        await allow(kafka, [*participant_acls(genesis, participant), *node_acls(genesis, settings.node, node)])
        # For everyone, so that an account that somebody adds is limited too; but not for the node's own processes.
        await limit(kafka, None, PARTICIPANT_QUOTA)
        for name in {node, kafka.username or node}:
            await limit(kafka, name, UNLIMITED)
        said.append(f"access rules and quotas of {node} and {participant}")
    async with Store(str(settings.postgres), 1) as store:
        await store.create_schema(genesis)
        await store.seed(genesis)
    return [*said, "tables in the database"]
