"""`carenet verify`: derive a node's database again from the signed statements, and compare."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from carenet.cli import folder
from carenet.cli.names import resolve
from carenet.cli.options import DEFAULT_DIR, EXIT_FAILED, EXIT_REFUSED, Dir, Json, complete_patient, epilog
from carenet.cli.screen import Screen
from carenet.encoding.ids import encode_id

if TYPE_CHECKING:
    from carenet.audit.database import DatabaseReport
    from carenet.cli.names import Named
    from carenet.statements.genesis import Genesis

_SHOWN_BREAKS = 10

app = typer.Typer()


@app.command(
    epilog=epilog(
        "carenet verify",
        "carenet verify ada",
        codes="Exit codes: 0 everything holds, 1 something is broken, 2 could not be checked.",
    )
)
def verify(
    patient: Annotated[
        str | None,
        typer.Argument(
            metavar="ID",
            help="A patient: only the partition that holds it is judged.",
            autocompletion=complete_patient,
        ),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every partition; this is the default.")] = False,
    directory: Dir = DEFAULT_DIR,
    json: Json = False,
) -> None:
    """Verify a node's database from scratch: signatures, decisions, chains, trees, checkpoints, access.

    Only DIR/network.cbor is trusted. The database is that of what runs in DIR, or CARENET_POSTGRES.
    """
    if patient is not None and everything:
        raise typer.BadParameter("give one patient or --all")
    genesis = folder.load_genesis(directory)
    database = folder.find_database(directory)
    screen = Screen(json=json)
    started = time.monotonic()
    subject, report = asyncio.run(_judge(directory, genesis, database, patient, screen))
    _show(screen, report, subject, time.monotonic() - started)
    if report.breaks:
        raise typer.Exit(EXIT_REFUSED)
    if subject is not None and subject.id not in report.timelines:
        screen.note(f"no timeline of {subject.label} was ever opened in this database")
        raise typer.Exit(EXIT_FAILED)


async def _judge(
    directory: Path, genesis: Genesis, database: str, typed: str | None, screen: Screen
) -> tuple[Named | None, DatabaseReport]:
    from carenet.audit.database import verify_database
    from carenet.statements.records import partition_of

    subject = None
    wanted = None
    if typed is not None:
        subject = await _find_patient(directory, genesis, database, typed)
        wanted = {partition_of(subject.text, encode_id(genesis.network_id), genesis.partitions)}
    with screen.progress("entries") as progress:
        task = progress.add_task("verifying", total=None)
        report = await verify_database(
            database, genesis, wanted, lambda done, total: progress.update(task, completed=done, total=total)
        )
    return subject, report


async def _find_patient(directory: Path, genesis: Genesis, database: str, typed: str) -> Named:
    from carenet.store.store import Store

    known = folder.read_nicknames(directory, genesis.network_id)
    async with Store(database) as store:
        known += folder.without_names(each.row.subject for each in await store.subjects("patient"))
    return resolve(typed, known, "patient")


def _show(screen: Screen, report: DatabaseReport, subject: Named | None, seconds: float) -> None:
    breaks = report.breaks
    for found in breaks[:_SHOWN_BREAKS]:
        place = f"partition {found.partition}" + ("" if found.index is None else f", index {found.index}")
        screen.say(f"BROKEN  {place}: {found.what}")
    if len(breaks) > _SHOWN_BREAKS:
        screen.say(f"        and {len(breaks) - _SHOWN_BREAKS} more")
    if report.unchecked:
        screen.say(f"        {len(report.unchecked)} partitions hang on partition 0 and were not looked at")
    screen.say(
        f"{report.chains} chains, {report.entries} entries, {report.signatures} signatures and {report.checkpoints} "
        f"checkpoints verified in {seconds:.1f} s: " + ("broken" if breaks else "all hold")
    )
    if subject is not None and subject.id in report.timelines:
        screen.say(f"{subject.label}: {report.timelines[subject.id]} entries")
    screen.emit(
        {
            "holds": not breaks,
            "chains": report.chains,
            "entries": report.entries,
            "signatures": report.signatures,
            "checkpoints": report.checkpoints,
            "broken": len(breaks),
            "breaks": [{"partition": each.partition, "index": each.index, "what": each.what} for each in breaks],
            "unchecked": list(report.unchecked),
            "seconds": round(seconds, 3),
        }
    )
