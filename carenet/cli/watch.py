"""`carenet watch`: updates as they arrive, opened, one line each."""

from __future__ import annotations

import asyncio
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from carenet.cli.lines import NameBook, describe_statement
from carenet.cli.options import DEFAULT_DIR, As, Dir, complete_patient, epilog, split_list
from carenet.cli.screen import Screen
from carenet.cli.session import Desk, run, sign_in
from carenet.cli.times import show_time
from carenet.errors import BadInputError

if TYPE_CHECKING:
    from carenet.client.cursor import Cursor
    from carenet.client.updates import Event, Update
    from carenet.client.watch import Watch

_CLOCK = slice(11, 23)  # HH:MM:SS.mmm of an ISO time


@dataclass(frozen=True, slots=True)
class View:
    """What is to be watched.

    Attributes:
        patients: as typed; none for everyone.
        types: event types; None for all.
        since: a cursor's text, or None for the whole backlog.
        once: whether to end when the backlog is through.
    """

    patients: tuple[str, ...]
    types: tuple[str, ...] | None
    since: str | None
    once: bool

    def takes(self, event_type: str) -> bool:
        """Whether an event of this type is shown; the gateway sends others too, where they bring the reader's keys."""
        if self.types is None:
            return True
        return any(
            event_type.startswith(each[:-1]) if each.endswith(".*") else event_type == each for each in self.types
        )


app = typer.Typer()


@app.command(
    epilog=epilog(
        "carenet watch --as dr-lee --patient ada",
        "carenet watch --as er --all --type care.observation --json",
        codes="Exit codes: 0 ended (Ctrl-C too), 1 refused by the network's rules, 2 wrong usage or could not be done.",
    )
)
def watch(
    *,
    who: As,
    patient: Annotated[
        list[str] | None,
        typer.Option(
            "--patient",
            metavar="ID",
            help="A nickname, an id or the start of one; repeat.",
            autocompletion=complete_patient,
        ),
    ] = None,
    everyone: Annotated[bool, typer.Option("--all", help="Everyone you may read, now and later; the default.")] = False,
    types: Annotated[
        list[str] | None, typer.Option("--type", help="Only this type, such as care.observation or grant.*; repeat.")
    ] = None,
    since: Annotated[
        str | None, typer.Option(metavar="CURSOR", help="Go on where an earlier watch ended; it printed its cursor.")
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="End when everything that was there has been shown.")] = False,
    directory: Dir = DEFAULT_DIR,
    json: Annotated[bool, typer.Option("--json", help="One JSON object a line; the cursor is the last.")] = False,
) -> None:
    """Watch timelines: first what was there before, then every update as it arrives, opened with your keys.

    Ctrl-C ends it and prints the cursor to resume from with --since.
    """
    if patient and everyone:
        raise typer.BadParameter("give --patient or --all")
    chosen = tuple(item for each in types or () for item in split_list(each))
    run(_watch(directory, who, View(tuple(patient or ()), chosen or None, since, once), Screen(json=json)))


async def _watch(directory: Path, who: str, view: View, screen: Screen) -> None:
    cursor = None if view.since is None else read_cursor(view.since)
    async with sign_in(directory, who) as desk:
        meant = [(await desk.find_patient(typed)).id for typed in view.patients] or None
        await desk.learn_names()
        async with desk.care.watch(meant, types=view.types, cursor=cursor) as watching:
            ended = asyncio.Event()
            loop = asyncio.get_running_loop()
            # Ends the reading and not the command: the cursor is still to be printed.
            loop.add_signal_handler(signal.SIGINT, ended.set)
            loop.add_signal_handler(signal.SIGTERM, ended.set)
            try:
                await _show_until(ended, watching, desk, view, screen)
            finally:
                loop.remove_signal_handler(signal.SIGINT)
                loop.remove_signal_handler(signal.SIGTERM)
                text = watching.cursor.encode()
                screen.say(f"cursor: {text}")
                screen.emit({"cursor": text})


def read_cursor(typed: str) -> Cursor:
    """The cursor that an earlier watch printed.

    Raises:
        BadInputError: it is none.
    """
    from carenet.client.cursor import Cursor

    try:
        return Cursor.decode(typed)
    except BadInputError as exc:
        raise BadInputError("--since wants a cursor as carenet watch prints it when it ends") from exc


async def _show_until(ended: asyncio.Event, watching: Watch, desk: Desk, view: View, screen: Screen) -> None:
    """Show what the view takes until the signal comes, or with `once` until the backlog is through."""
    from carenet.client.updates import Update

    stop = asyncio.ensure_future(ended.wait())
    try:
        while True:
            following = asyncio.ensure_future(watching.next_event())
            await asyncio.wait({stop, following}, return_when=asyncio.FIRST_COMPLETED)
            if not following.done():
                following.cancel()
                return
            event = following.result()
            if not isinstance(event, Update) or view.takes(event.type):
                await _show(event, desk, screen)
            if ended.is_set() or (view.once and is_through(event)):
                return
    finally:
        stop.cancel()


def is_through(event: Event) -> bool:
    """Whether everything that was there before has been delivered."""
    from carenet.client.updates import CaughtUp

    return isinstance(event, CaughtUp) and event.everything


async def _show(event: Event, desk: Desk, screen: Screen) -> None:
    from carenet.client.updates import Update, Withdrawn
    from carenet.encoding.ids import decode_id

    if isinstance(event, Update):
        if event.statement.header.issuer not in desk.book.names:
            await desk.learn_names()  # somebody who was admitted since
        screen.say(line_of(event, desk.book))
        screen.emit(json_of(event, desk.book))
    elif isinstance(event, Withdrawn):
        screen.say(f"{'':12}  {desk.book.label(decode_id(event.patient))}: access ended")
        screen.emit({"withdrawn": event.patient})
    elif is_through(event):
        screen.emit({"caught_up": True})


def line_of(update: Update, book: NameBook) -> str:
    """An update for people: when, of whom, by whom, what, and how fast."""
    said = describe_statement(update.statement, update.resource, update.fault, book)
    if update.statement.header.replaces is not None and not update.statement.is_control:
        said = f"correction: {said}"
    parts = [
        show_time(update.time_ms)[_CLOCK],
        f"{book.label(update.entry.subject):<{book.width}}",
        f"{book.label(update.statement.header.issuer):<{book.width}}",
        said,
    ]
    return "  ".join(parts) + ("" if update.is_backlog else f"  (+{max(0, update.latency_ms)} ms)")


def json_of(update: Update, book: NameBook) -> dict[str, Any]:
    """An update for machines."""
    header = update.statement.header
    return {
        "patient": update.patient,
        "name": book.names.get(update.entry.subject),
        "seq": update.seq,
        "type": update.type,
        "issuer": update.issuer,
        "by": book.names.get(header.issuer),
        "logged": show_time(update.time_ms),
        "signed": show_time(header.iat_s * 1000),
        "compartment": header.compartment,
        "digest": update.digest.hex(),
        "replaces": None if header.replaces is None else header.replaces.hex(),
        "partition": update.partition,
        "index": update.index,
        "backlog": update.is_backlog,
        "latency_ms": None if update.is_backlog else update.latency_ms,
        "resource": update.resource,
        "control": describe_statement(update.statement, None, None, book) if update.statement.is_control else None,
        "fault": update.fault,
    }
