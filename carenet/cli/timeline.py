"""`carenet timeline`: what was known of a patient at a moment, and how busy it was."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from carenet.cli import folder
from carenet.cli.lines import NameBook, describe_statement
from carenet.cli.names import Named
from carenet.cli.options import DEFAULT_DIR, As, Dir, Json, complete_patient, epilog
from carenet.cli.screen import Screen
from carenet.cli.session import Desk, run, sign_in
from carenet.cli.times import parse_time, show_time
from carenet.cli.watch import json_of
from carenet.encoding.ids import encode_id
from carenet.errors import CarenetError

if TYPE_CHECKING:
    from carenet.client.updates import Update
    from carenet.store.stored import ActivityRow

_RETRACT = "care.retract"
_MAX_ACTIVITY_ROWS = 100_000

app = typer.Typer()


@dataclass(frozen=True, slots=True)
class Known:
    """An entry as it was known at a moment.

    Attributes:
        update: the entry, opened.
        corrected_by: sequence number of the newest entry that corrects it, or None.
        retracted_by: sequence number of the entry that retracts it, or None.
    """

    update: Update
    corrected_by: int | None = None
    retracted_by: int | None = None

    @property
    def mark(self) -> str:
        """What people are told beside it."""
        if self.retracted_by is not None:
            return f"[retracted by #{self.retracted_by}]"
        return "" if self.corrected_by is None else f"[corrected by #{self.corrected_by}]"


def known_at(updates: Iterable[Update], at_ms: int | None) -> list[Known]:
    """What was known: the entries that the log had taken by then, with the corrections and retractions among them.

    Args:
        updates: of one timeline, in the chain's order.
        at_ms: ms since 1970; None for now.
    """
    there = [update for update in updates if at_ms is None or update.time_ms <= at_ms]
    corrected: dict[bytes, int] = {}
    retracted: dict[bytes, int] = {}
    for update in there:
        replaced = update.statement.header.replaces
        if replaced is not None:
            (retracted if update.type == _RETRACT else corrected)[replaced] = update.seq
    return [Known(update, corrected.get(update.digest), retracted.get(update.digest)) for update in there]


@app.command(epilog=epilog("carenet timeline ada --as dr-lee", "carenet timeline ada --as dr-lee --at 15m"))
def timeline(
    patient: Annotated[
        str,
        typer.Argument(metavar="ID", help="A nickname, an id or the start of one.", autocompletion=complete_patient),
    ],
    who: As,
    at: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="What was known then: 2026-11-24T10:15Z, or 15m for that long ago."),
    ] = None,
    directory: Dir = DEFAULT_DIR,
    json: Json = False,
) -> None:
    """Show a patient's timeline as you may read it, in the log's order, with corrections and retractions.

    Where the node's database is at hand, its figures follow: events, late ones and out-of-order ones by type.
    """
    at_ms = None if at is None else parse_time(at)
    run(_timeline(directory, who, patient, at_ms, Screen(json=json)))


async def _timeline(directory: Path, who: str, typed: str, at_ms: int | None, screen: Screen) -> None:
    async with sign_in(directory, who) as desk:
        patient = await desk.find_patient(typed)
        book = await desk.learn_names()
        entries = known_at(await _read(desk, patient), at_ms)
        activity = await _read_activity(directory, patient, at_ms)
    rows = [_row(each, book) for each in entries]
    screen.table(("#", "logged", "by", "what"), rows, f"{patient.label}: nothing that you may read was there")
    figures = _sum_up(activity)
    if figures:
        columns = ("type", "events", "busiest minute", "late", "out of order")
        screen.table(columns, [(name, *map(str, counts)) for name, counts in figures.items()], "")
    screen.emit(
        {
            "patient": patient.text,
            "at": None if at_ms is None else show_time(at_ms),
            "entries": [_json(each, book) for each in entries],
            "activity": {name: dict(zip(_FIGURES, counts, strict=True)) for name, counts in figures.items()},
        }
    )


async def _read(desk: Desk, patient: Named) -> list[Update]:
    """The whole timeline, as far as the signer may read it."""
    from carenet.client.updates import CaughtUp, Update

    updates = []
    async with desk.care.watch([patient.id]) as watching:
        async for event in watching.events():
            if isinstance(event, Update):
                updates.append(event)
            elif isinstance(event, CaughtUp) and (event.everything or patient.text in event.patients):
                break
    return sorted(updates, key=lambda update: update.seq)


async def _read_activity(directory: Path, patient: Named, at_ms: int | None) -> list[ActivityRow]:
    """The agents' figures, or none where the database is not at hand: they are an extra."""
    from carenet.statements.records import partition_of
    from carenet.store.store import Store

    try:
        genesis = folder.load_genesis(directory)
        partition = partition_of(patient.text, encode_id(genesis.network_id), genesis.partitions)
        async with Store(folder.find_database(directory), max_connections=1) as store:
            rows = await store.read_activity(partition, patient.id, 0, _MAX_ACTIVITY_ROWS)
    except CarenetError:
        return []
    return [row for row in rows if at_ms is None or row.minute_ms <= at_ms]


_FIGURES = ("events", "busiest", "late", "out_of_order")


def _sum_up(rows: Iterable[ActivityRow]) -> dict[str, tuple[int, int, int, int]]:
    """By type: events, those of the busiest minute, late ones, out-of-order ones."""
    sums: dict[str, tuple[int, int, int, int]] = {}
    for row in rows:
        events, busiest, late, disordered = sums.get(row.type, (0, 0, 0, 0))
        sums[row.type] = (
            events + row.events,
            max(busiest, row.events),
            late + row.late,
            disordered + row.out_of_order,
        )
    return dict(sorted(sums.items()))


def _row(known: Known, book: NameBook) -> tuple[str, ...]:
    update = known.update
    said = describe_statement(update.statement, update.resource, update.fault, book)
    replaces = update.statement.header.replaces is not None and update.type != _RETRACT
    line = " ".join(part for part in ("correction:" if replaces else "", said, known.mark) if part)
    return str(update.seq), show_time(update.time_ms), book.label(update.statement.header.issuer), line


def _json(known: Known, book: NameBook) -> dict[str, Any]:
    return json_of(known.update, book) | {"corrected_by": known.corrected_by, "retracted_by": known.retracted_by}
