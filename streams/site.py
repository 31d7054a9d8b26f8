"""What a processor is told about where it runs: the node's servers, network and topics, from settings and genesis."""

from __future__ import annotations

from dataclasses import dataclass

from carenet.bus.security import KafkaLogin, login_of
from carenet.bus.topics import Topics, app_id_of, topics_of
from carenet.errors import SetupError
from carenet.settings import Settings
from carenet.statements.genesis import Genesis, parse_genesis


@dataclass(frozen=True, slots=True)
class Site:
    """One process of the stream processors.

    Attributes:
        settings: as the environment says.
        genesis: the network's.
        kafka: where Kafka is, and how to log in.
        postgres: DSN of the node's database.
        topics: the network's and the node's.
        role: what this process does.
        app_id: `carenet-<node>-<role>`: each role shares out the partitions among its own processes.
    """

    settings: Settings
    genesis: Genesis
    kafka: KafkaLogin
    postgres: str
    topics: Topics
    role: str
    app_id: str


def site_of(settings: Settings) -> Site:
    """Read the genesis and put together what the settings say.

    Raises:
        SetupError: an address, the role or the genesis is missing; the message says which variable to set.
        BadInputError: the genesis file is not one.
    """
    kafka = login_of(settings)
    if kafka is None or settings.postgres is None:
        raise SetupError("the stream processors need CARENET_KAFKA and CARENET_POSTGRES; `carenet up` sets them")
    if len(settings.roles) != 1:
        raise SetupError("CARENET_ROLES names one role a process: each role is a Faust app of its own")
    path = settings.dir / "network.cbor"
    try:
        genesis = parse_genesis(path.read_bytes())
    except OSError as exc:
        raise SetupError(f"cannot read {path}: {exc.strerror}; `carenet network init` founds a network") from exc
    role = settings.roles[0]
    app_id = app_id_of(genesis, settings.node, role)
    topics = topics_of(genesis, settings.node)
    return Site(settings, genesis, kafka, str(settings.postgres), topics, role, app_id)
