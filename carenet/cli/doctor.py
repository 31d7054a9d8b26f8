"""`carenet doctor`: is this machine as carenet needs it, and is what runs here well?"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from carenet.cli.options import DEFAULT_DIR, EXIT_REFUSED, Dir, Json, epilog
from carenet.cli.screen import Screen
from carenet.cli.servers import kafka_login

if TYPE_CHECKING:
    from carenet.local.checkup import Check

app = typer.Typer()

_CODES = "Exit codes: 0 nothing failed, 1 something did, 2 wrong usage."
_SIGNS = {"ok": "[green]ok  [/]", "warn": "[yellow]warn[/]", "fail": "[bold red]fail[/]"}


@app.command(epilog=epilog("carenet doctor", "carenet doctor --kafka kafka.example:9092", codes=_CODES))
def doctor(
    *,
    directory: Dir = DEFAULT_DIR,
    kafka: Annotated[
        str | None, typer.Option(envvar="CARENET_KAFKA", metavar="HOST:PORT", help="A Kafka that exists.")
    ] = None,
    postgres: Annotated[
        str | None, typer.Option(envvar="CARENET_POSTGRES", metavar="DSN", help="A PostgreSQL that exists.")
    ] = None,
    json: Json = False,
) -> None:
    """Check this machine and what runs here; changes nothing.

    Python, packages, Java, Kafka's jars, PostgreSQL's programs and user, the folder, key files, disk and clock.

    Of a running stack its processes, topic settings, database, worker's lag and gateway.
    """
    from carenet.local.checkup import Verdict, check_machine
    from carenet.local.checkup_stack import check_stack
    from carenet.settings import default_cache

    cache = os.environ.get("CARENET_CACHE")
    checks = list(
        check_machine(
            directory,
            default_cache() if cache is None else Path(cache),
            own_servers=kafka is None or postgres is None,
        )
    )
    checks += asyncio.run(check_stack(directory, kafka_login(kafka), postgres))
    screen = Screen(json=json)
    if not json:
        _print(checks)
    worst = [check for check in checks if check.verdict is Verdict.FAIL]
    found = [
        {"name": check.name, "verdict": check.verdict, "found": check.found, "advice": check.advice} for check in checks
    ]
    screen.emit({"checks": found, "failed": len(worst)})
    if worst:
        raise typer.Exit(EXIT_REFUSED)


def _print(checks: Sequence[Check]) -> None:
    from rich.console import Console
    from rich.markup import escape

    console = Console(highlight=False, soft_wrap=True)
    for check in checks:
        console.print(f"{_SIGNS[check.verdict]} {check.name:<14}{escape(check.found)}")
        if check.advice:
            console.print(f"     {'':<14}[dim]→ {escape(check.advice)}[/]")
