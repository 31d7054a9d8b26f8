"""`carenet up`: the whole of carenet on this machine, in the foreground."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from carenet.cli.options import DEFAULT_DIR, Dir, epilog, program
from carenet.cli.servers import Kafka, Postgres, check_addresses, kafka_login, read_or_found, show_fetch

if TYPE_CHECKING:
    from carenet.local.stack import Stack, StackPlan

app = typer.Typer()

_FIRST_EVENT = (
    '{"resourceType":"Observation","status":"final","code":{"text":"SpO2"},"valueQuantity":{"value":91,"unit":"%"}}'
)
_CODES = "Exit codes: 130 after Ctrl-C, 2 wrong usage or it could not be started."


@app.command(epilog=epilog("carenet up", "carenet up --brokers 3 --workers 2 --gateways 2", codes=_CODES))
def up(
    *,
    directory: Dir = DEFAULT_DIR,
    kafka: Kafka = None,
    postgres: Postgres = None,
    brokers: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=9,
            help="Kafka brokers: 1, open to this machine; or 3 and more, replicated, with accounts and access rules. "
            "A folder keeps the number that it began with.",
            show_default="1",
        ),
    ] = None,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Fold workers that share the partitions.")] = 1,
    gateways: Annotated[int, typer.Option(min=1, max=64, help="Gateways that share one port.")] = 1,
    gateway_port: Annotated[
        int,
        typer.Option(envvar="CARENET_GATEWAY_PORT", min=0, max=65_535, help="0 takes the last one, or a free one."),
    ] = 0,
) -> None:
    """Run Kafka, PostgreSQL, fold workers, stream processors and gateway, until Ctrl-C.

    A network is founded where the folder has none. What dies, or stands still while there is work, is started again.
    """
    from carenet.cli.running import run_until_interrupted
    from carenet.local.kafka_cluster import count_brokers
    from carenet.local.stack import StackPlan

    check_addresses(kafka, postgres)
    genesis, is_new = read_or_found(directory)
    plan = StackPlan(
        directory,
        genesis,
        kafka_login(kafka),
        postgres,
        brokers=brokers or count_brokers(directory) or 1,
        workers=workers,
        gateways=gateways,
        gateway_port=gateway_port,
    )
    run_until_interrupted(lambda: _run(plan, is_new=is_new))


async def _run(plan: StackPlan, *, is_new: bool) -> None:
    from rich.console import Console

    from carenet.cli.up_view import UpView
    from carenet.local.stack import Stack

    console = Console()
    with show_fetch(console) as progress:
        stack = Stack(plan, lambda event: view.hear(event), progress)  # noqa: PLW0108 - the view needs the stack
        view = UpView(console, stack.status)
        if is_new:
            view.say(f"founded the network [bold]{plan.genesis.name}[/] in {plan.directory}")
        with view.live():
            async with stack:
                view.tell_addresses(_footer(stack, plan.directory))
                await asyncio.Event().wait()


def _footer(stack: Stack, directory: Path) -> list[str]:
    """Addresses, health, and lines to copy. The DSN has a password and is in run.json, for its owner alone."""
    from rich.markup import escape

    health = stack.gateway.replace("ws", "http", 1) + "/health"
    to = "" if directory == DEFAULT_DIR else f" --dir {directory}"
    me = program()
    lines = [
        f"{me} participant admit hospital --roles registrar,custodian --may-give clinician --as authority{to}",
        f"{me} participant admit dr-lee --roles clinician --organisation hospital --as hospital{to}",
        f"{me} patient register ada --as hospital --grant dr-lee{to}",
        f"echo '{_FIRST_EVENT}' | {me} publish --as dr-lee --patient ada -{to}; {me} watch --as dr-lee --all{to}",
    ]
    return [
        f"gateway [bold]{stack.gateway}[/]   health {health}   kafka {stack.kafka}",
        f"metrics  {'  '.join(f'{name} {address}' for name, address in stack.metrics.items())}",
        f"postgres: its address and password are in {directory}/run.json",
        *_accounts(stack, directory),
        "[dim]Ctrl-C stops everything. In another terminal:[/]",
        *[f"  [cyan]{escape(line)}[/]" for line in lines],
    ]


def _accounts(stack: Stack, directory: Path) -> list[str]:
    """Where the password is by which one publishes straight to Kafka, if that takes one."""
    from carenet.local.kafka_accounts import PARTICIPANT, password_path

    if stack.plan.brokers == 1 or stack.plan.kafka is not None:
        return []
    return [
        f"kafka: log in as {PARTICIPANT} (SCRAM-SHA-512) with the password in {password_path(directory, PARTICIPANT)}"
    ]
