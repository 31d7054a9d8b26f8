"""Who may do what on Kafka: the access rules of a network, derived from the names of its topics and groups.

| who | topic or group | may |
|---|---|---|
| a participant | the events topic | write, and look at it |
| a node | the events topic | read, write (relays, and what its gateways carry), look at its settings |
| | `<stem>.<node>.entries` | read, write, look at its settings |
| | `<stem>.checkpoints` | read, write, look at its settings |
| | topics that begin with `<stem>-<node>-` (its processors' changelogs) | read, write, make, look at their settings |
| | groups that begin with `<stem>-<node>-` | be a member |

To "write" includes idempotent producing (since Kafka 3.0) and to be told of the topic. Whoever makes topics, accounts
and these rules is a super user of the brokers, and needs none. What is not allowed here is refused by the brokers'
authorizer; so a participant can neither read what others published nor fill a node's own topics.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

from aiokafka.errors import for_code
from aiokafka.protocol.admin import CreateAclsRequest

from carenet.bus.security import KafkaAt
from carenet.bus.topics import TIMEOUT_S, open_admin, own_prefix_of, topics_of
from carenet.errors import SetupError
from carenet.statements.genesis import Genesis


class Resource(IntEnum):
    """Kafka's numbers for what a rule is about."""

    TOPIC = 2
    GROUP = 3


class Pattern(IntEnum):
    """Kafka's numbers for how a rule's name is meant."""

    LITERAL = 3
    PREFIXED = 4


class Operation(IntEnum):
    """Kafka's numbers for what is done."""

    READ = 3
    WRITE = 4
    CREATE = 5
    DESCRIBE = 8
    DESCRIBE_CONFIGS = 10


_ALLOW = 3
_ANY_HOST = "*"


@dataclass(frozen=True, slots=True, order=True)
class Acl:
    """One permission.

    Attributes:
        user: whose: the name in its login, or `CN=…` as its certificate says.
        resource: what kind of thing.
        name: its name, or the beginning of its name.
        operation: what may be done.
        pattern: whether the name is whole.
    """

    user: str
    resource: Resource
    name: str
    operation: Operation
    pattern: Pattern = Pattern.LITERAL


def participant_acls(genesis: Genesis, user: str) -> list[Acl]:
    """What somebody who publishes to Kafka must be allowed, and nothing more.

    Args:
        genesis: the network's.
        user: its name on Kafka.
    """
    return [Acl(user, Resource.TOPIC, genesis.topic, each) for each in (Operation.WRITE, Operation.DESCRIBE)]


def node_acls(genesis: Genesis, node_name: str, user: str) -> list[Acl]:
    """What the processes of a node must be allowed, and nothing more.

    Args:
        genesis: the network's.
        node_name: the node's name.
        user: its name on Kafka.

    Raises:
        SetupError: another node's names begin with this one's, so that the rules would cover them too.
    """
    prefix = own_prefix_of(genesis, node_name)
    for other in genesis.nodes:
        if other.name != node_name and own_prefix_of(genesis, other.name).startswith(prefix):
            raise SetupError(f"node {node_name} could use what is node {other.name}'s on Kafka: rename one of them")
    own = (Operation.READ, Operation.WRITE, Operation.DESCRIBE_CONFIGS)
    acls = [Acl(user, Resource.TOPIC, spec.name, each) for spec in topics_of(genesis, node_name) for each in own]
    acls += [Acl(user, Resource.TOPIC, prefix, each, Pattern.PREFIXED) for each in (*own, Operation.CREATE)]
    return [*acls, Acl(user, Resource.GROUP, prefix, Operation.READ, Pattern.PREFIXED)]


async def allow(at: KafkaAt, acls: Iterable[Acl], timeout_s: float = TIMEOUT_S) -> None:
    """Give these permissions; those that are there already are as good.

    Args:
        at: Kafka, with the login of a super user.
        acls: what is to be allowed.
        timeout_s: seconds for all of it.

    Raises:
        SetupError: the brokers have no authorizer, or the user may not give permissions.
        TransportError: Kafka does not answer.
    """
    async with open_admin(at, timeout_s, "access rules") as admin:

        async def create(acl: Acl) -> None:
            principal = f"User:{acl.user}"
            request = CreateAclsRequest(
                acl.resource, acl.name, acl.pattern, principal, _ANY_HOST, acl.operation, _ALLOW
            )
            answer = await admin._send_to_controller(request)  # noqa: SLF001 - aiokafka has no public call for it
            for code, _ in answer.creation_responses:  # with the text comes the whole request, which says nothing more
                if code:
                    raise for_code(code)(f"{acl.operation.name} of {acl.name} for {principal}")

        await asyncio.gather(*map(create, acls))
