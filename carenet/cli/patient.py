"""`carenet patient`: open timelines, and list those that one may read or keeps."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from carenet.cli import folder
from carenet.cli.grant import ALL_ACTIONS, GRANTED
from carenet.cli.names import Named
from carenet.cli.options import DEFAULT_DIR, As, Dir, Json, epilog, split_list
from carenet.cli.screen import Screen
from carenet.cli.session import run, sign_in


@dataclass(frozen=True, slots=True)
class Wish:
    """What a new timeline is to be.

    Attributes:
        grants: first grantees, as typed, and what each may do.
        write: roles that may write unasked.
        emergency: whether emergency access is allowed.
        custodians: as typed; none for the registrar itself.
    """

    grants: tuple[tuple[str, tuple[str, ...]], ...]
    write: tuple[str, ...]
    emergency: bool
    custodians: tuple[str, ...]


app = typer.Typer(name="patient", help="Open patients' timelines, and list them.", no_args_is_help=True)

Nickname = Annotated[str, typer.Argument(metavar="NAME", help="A nickname, kept in DIR/patients.json and never sent.")]


@app.command(
    epilog=epilog(
        "carenet patient register ada --as hospital --grant dr-lee",
        "carenet patient register bob --as hospital --grant dr-lee,er:read --write lab",
    )
)
def register(
    name: Nickname,
    *,
    who: As,
    grants: Annotated[
        list[str] | None,
        typer.Option("--grant", metavar="NAME[:ACTION]", help="Also grant: read and write, or one of them; repeat."),
    ] = None,
    write: Annotated[str, typer.Option(metavar="ROLE,...", help="Roles that may write unasked.")] = "lab,pharmacy",
    emergency: Annotated[bool, typer.Option(help="Whether emergency access is allowed.")] = True,
    custodians: Annotated[
        str | None, typer.Option(metavar="NAME,...", help="Who keeps the keys, the deciding one first; you without.")
    ] = None,
    directory: Dir = DEFAULT_DIR,
    json: Json = False,
) -> None:
    """Open a patient's timeline, and grant it to its first readers.

    The patient's id says nothing about who it is; the nickname is this folder's own.
    """
    folder.check_nickname(directory, folder.load_genesis(directory).network_id, name)
    wanted = tuple(read_grant(item) for each in grants or () for item in split_list(each))
    wish = Wish(wanted, split_list(write), emergency, split_list(custodians))
    screen = Screen(json=json)
    patient, granted = run(_register(directory, who, name, wish))
    screen.say(f"registered {name}: {patient.text}")
    for each, actions in granted.items():
        screen.say(f"granted {'/'.join(actions)} to {each}, with history")
    screen.emit(
        {"name": name, "id": patient.text, "granted": {each: list(actions) for each, actions in granted.items()}}
    )


@app.command("list", epilog=epilog("carenet patient list --as dr-lee"))
def list_patients(who: As, directory: Dir = DEFAULT_DIR, json: Json = False) -> None:
    """List the patients that you may read or keep, with the nicknames that they have here."""
    found = run(_list(directory, who))
    screen = Screen(json=json)
    rows = [
        (each["name"] or "-", str(each["entries"]), "custodian" if each["custodian"] else "reader", each["id"])
        for each in found
    ]
    screen.table(("name", "entries", "you are", "id"), rows, f"no patient that {who} may read")
    screen.emit({"patients": found})


def read_grant(typed: str) -> tuple[str, tuple[str, ...]]:
    """A grantee and its actions, from `NAME` or `NAME:ACTION`.

    Raises:
        typer.BadParameter: another action.
    """
    name, _, action = typed.partition(":")
    if action and action not in ALL_ACTIONS:
        raise typer.BadParameter(f"--grant {typed}: the action is one of {', '.join(ALL_ACTIONS)}")
    return name, (action,) if action else GRANTED


async def _register(directory: Path, who: str, name: str, wish: Wish) -> tuple[Named, dict[str, tuple[str, ...]]]:
    from carenet.encoding.ids import decode_id

    async with sign_in(directory, who) as desk:
        # Everyone is found before the timeline is opened: a mistyped name must not leave half of it done.
        holders = [(await desk.find_participant(each)).id for each in wish.custodians] or [desk.identity.id]
        grantees = [(await desk.find_participant(each), actions) for each, actions in wish.grants]
        opened = await desk.care.register_patient(holders, write=wish.write, emergency=wish.emergency)
        patient = Named(name, decode_id(opened))
        folder.remember_patient(directory, desk.identity.network, patient)
        for grantee, actions in grantees:
            await desk.care.grant(patient.id, grantee.id, actions)
    return patient, {grantee.label: actions for grantee, actions in grantees}


async def _list(directory: Path, who: str) -> list[dict[str, Any]]:
    async with sign_in(directory, who) as desk:
        names = {each.text: each.name for each in desk.nicknames()}
        found = [each for each in await desk.care.patients() if each.kind == "patient"]
    listed = [
        {"name": names.get(each.id), "id": each.id, "entries": each.next_seq, "custodian": each.custodian}
        for each in found
    ]
    return sorted(listed, key=lambda each: (each["name"] is None, each["name"] or "", each["id"]))
