"""`carenet network`: found a network, and show what its genesis file says."""

from __future__ import annotations

from typing import Annotated

import typer

from carenet.cli import folder
from carenet.cli.options import DEFAULT_DIR, Dir, Json, epilog
from carenet.cli.screen import Screen

app = typer.Typer(name="network", help="Found a network, or show the one in DIR.", no_args_is_help=True)


@app.command(epilog=epilog("carenet network init riverside --partitions 8"))
def init(
    name: Annotated[str, typer.Argument(help="What people call the network.")] = "carenet",
    partitions: Annotated[int, typer.Option(min=1, max=1024, help="Of the event topic; this never changes.")] = 8,
    topic: Annotated[str, typer.Option(help="Kafka topic of the events.")] = "carenet.events",
    directory: Dir = DEFAULT_DIR,
    json: Json = False,
) -> None:
    """Found a network: genesis file, the authority's key, and the first node's keys.

    Nothing is overwritten. Give DIR/network.cbor to everyone who takes part; keep the keys.
    """
    from carenet.local.founding import found_network

    genesis = found_network(directory, name, partitions, topic=topic, passphrase=folder.passphrase())
    screen = Screen(json=json)
    screen.say(f"founded {name} in {directory}: {partitions} partitions, topic {topic}")
    screen.say(f"network id: {folder.network_text(genesis)}")
    screen.say(f"the authority's key is {folder.key_path(directory, 'authority')}: keep it safe")
    screen.say("next: carenet up")
    screen.emit(folder.describe_genesis(genesis))


@app.command(epilog=epilog("carenet network provision", "carenet network provision --accounts"))
def provision(
    *,
    accounts: Annotated[
        bool, typer.Option("--accounts", help="Give Kafka's accounts `node` and `participant` their rights and quotas.")
    ] = False,
    directory: Dir = DEFAULT_DIR,
    json: Json = False,
) -> None:
    """Prepare servers that exist: found a network if DIR has none, then make topics, access rules and tables.

    CARENET_KAFKA, CARENET_KAFKA_USERNAME, CARENET_KAFKA_PASSWORD and CARENET_POSTGRES say which, and who asks there.

    With --accounts that is a super user of Kafka's. It may be done again, and alters nothing that is there.
    """
    import asyncio
    import os

    from carenet.cli.servers import check_addresses, read_or_found
    from carenet.local.provisioning import provision_servers
    from carenet.settings import Settings

    check_addresses(os.environ.get("CARENET_KAFKA"), os.environ.get("CARENET_POSTGRES"))
    settings = Settings()
    genesis, is_new = read_or_found(directory)
    done = asyncio.run(provision_servers(settings, genesis, has_accounts=accounts))
    screen = Screen(json=json)
    screen.say(f"{'founded' if is_new else 'found'} {genesis.name} in {directory}")
    for each in done:
        screen.say(f"ready: {each}")
    screen.emit({**folder.describe_genesis(genesis), "founded": is_new})


@app.command(epilog=epilog("carenet network show"))
def show(directory: Dir = DEFAULT_DIR, json: Json = False) -> None:
    """Show the network in DIR: its id, topic, authorities and nodes."""
    described = folder.describe_genesis(folder.load_genesis(directory))
    screen = Screen(json=json)
    for field in ("name", "network", "topic", "partitions", "quorum", "rulebook"):
        screen.say(f"{field:<11} {described[field]}")
    for kind in ("authorities", "nodes"):
        for each in described[kind]:
            screen.say(f"{kind:<11} {each['name']} {each['id']}")
    screen.emit(described)
