"""What commands that run a stack have in common: which servers to use, the network to run, and the first fetch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from carenet.errors import SetupError

if TYPE_CHECKING:
    from rich.console import Console

    from carenet.bus.security import KafkaLogin
    from carenet.local.packages import Download, Progress
    from carenet.statements.genesis import Genesis

Kafka = Annotated[
    str | None,
    typer.Option(envvar="CARENET_KAFKA", metavar="HOST:PORT", help="A Kafka that exists; else one is run."),
]
Postgres = Annotated[
    str | None,
    typer.Option(
        envvar="CARENET_POSTGRES", metavar="DSN", help="A PostgreSQL that exists; else one is run.", show_envvar=True
    ),
]

NETWORK_NAME = "carenet"


def check_addresses(kafka: str | None, postgres: str | None) -> None:
    """Refuse addresses that cannot be meant, before anything is started.

    Raises:
        SetupError: not `host:port`, or not a DSN; the message does not repeat a DSN, which has a password.
    """
    from pydantic import ValidationError

    from carenet.settings import Settings

    try:
        Settings(kafka=kafka, postgres=postgres)  # type: ignore[arg-type] # pydantic reads the text
    except ValidationError as exc:
        wrong = {str(error["loc"][0]) for error in exc.errors() if error["loc"]}
        forms = {"kafka": "--kafka is HOST:PORT", "postgres": "--postgres is postgresql://USER:PASSWORD@HOST:PORT/NAME"}
        known = [forms[name] for name in sorted(wrong) if name in forms]
        raise SetupError("; ".join(known) or f"the environment's CARENET_ settings are wrong: {sorted(wrong)}") from exc


def kafka_login(kafka: str | None) -> KafkaLogin | None:
    """A Kafka that exists, with the login that CARENET_KAFKA_… names for it; None where one is run.

    Raises:
        SetupError: half of a login.
    """
    from carenet.bus.security import login_of
    from carenet.settings import Settings

    return None if kafka is None else login_of(Settings(kafka=kafka))


def read_or_found(directory: Path, name: str = NETWORK_NAME) -> tuple[Genesis, bool]:
    """The folder's network, founded if there is none.

    Returns:
        The genesis, and whether it is new.
    """
    from carenet.cli.folder import passphrase
    from carenet.local.founding import GENESIS_FILE, found_network, read_genesis

    if (directory / GENESIS_FILE).exists():
        return read_genesis(directory), False
    return found_network(directory, name, passphrase=passphrase()), True


@contextmanager
def show_fetch(console: Console) -> Iterator[Progress]:
    """Shows the first fetch of Kafka's jars: what, how much of it, and how far it is.

    Args:
        console: where; plain lines if it is no terminal.
    """
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    from carenet.local.packages import download_bytes, pinned_jars

    bar = Progress(
        TextColumn("  [cyan]{task.description}"),
        BarColumn(bar_width=32),
        DownloadColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    done: dict[str, int] = {}
    total = download_bytes()
    task = bar.add_task("Kafka", total=total, start=False)

    def report(download: Download) -> None:
        if not done:
            count = len(pinned_jars())
            console.print(f"Fetching Apache Kafka, once: {count} jars, {total / (1 << 20):.0f} MiB", highlight=False)
            bar.start()
            bar.start_task(task)
        done[download.name] = download.done_bytes
        bar.update(task, completed=min(sum(done.values()), total), description=download.name)
        if sum(done.values()) >= total:
            bar.stop()

    try:
        yield report
    finally:
        bar.stop()
