"""`carenet grant`: who may read, write or manage a patient's timeline."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from carenet.cli.names import Named
from carenet.cli.options import DEFAULT_DIR, As, Dir, Json, PatientOf, epilog, split_list
from carenet.cli.screen import Screen
from carenet.cli.session import run, sign_in
from carenet.cli.times import parse_until, show_time

if TYPE_CHECKING:
    from carenet.client.listing import ListedGrant

ALL_ACTIONS = ("read", "write", "manage")
GRANTED = ("read", "write")
_COMPARTMENTS = "clinical,medication,identity"


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be granted; fields as in `Care.grant`."""

    actions: tuple[str, ...]
    compartments: tuple[str, ...]
    history: bool
    until_ms: int | None
    purpose: str


app = typer.Typer(name="grant", help="Who may read, write or manage a patient's timeline.", no_args_is_help=True)

Grantee = Annotated[str, typer.Argument(metavar="NAME", help="A participant: a name, an id or the start of one.")]


@app.command(
    epilog=epilog(
        "carenet grant give dr-lee --patient ada --as hospital",
        "carenet grant give er --patient ada --as hospital --actions read --until 12h --from-now",
    )
)
def give(
    grantee: Grantee,
    *,
    patient: PatientOf,
    who: As,
    actions: Annotated[str, typer.Option(metavar="ACTION,...", help="Of read, write and manage.")] = "read,write",
    compartments: Annotated[str, typer.Option(metavar="NAME,...", help="Parts of the chart.")] = _COMPARTMENTS,
    from_now: Annotated[bool, typer.Option("--from-now", help="Without history: new keys begin with it.")] = False,
    until: Annotated[
        str | None, typer.Option(metavar="TIME", help="When it ends by itself: 2026-12-24T10:15Z, or 12h from now.")
    ] = None,
    purpose: Annotated[str, typer.Option(help="Purpose of use.")] = "treatment",
    directory: Dir = DEFAULT_DIR,
    json: Json = False,
) -> None:
    """Grant access, and wrap the keys that it needs to the grantee's key."""
    wish = Wish(check_actions(actions), split_list(compartments), not from_now, parse_until(until), purpose)
    found, seq = run(_give(directory, who, patient, grantee, wish))
    screen = Screen(json=json)
    screen.say(f"{found.label} may {'/'.join(wish.actions)} {', '.join(wish.compartments)} of {patient}")
    told = {"actions": list(wish.actions), "compartments": list(wish.compartments), "seq": seq}
    screen.emit({"grantee": found.text, **told})


@app.command(epilog=epilog("carenet grant withdraw dr-lee --patient ada --as hospital"))
def withdraw(grantee: Grantee, patient: PatientOf, who: As, directory: Dir = DEFAULT_DIR, json: Json = False) -> None:
    """End every grant of a participant on a patient, and begin new keys of all that it could read.

    What it read or copied before is not undone.
    """
    found, seq = run(_withdraw(directory, who, patient, grantee))
    screen = Screen(json=json)
    screen.say(f"access of {found.label} to {patient} ended at #{seq}")
    screen.emit({"grantee": found.text, "seq": seq})


@app.command("list", epilog=epilog("carenet grant list --patient ada --as hospital"))
def list_grants(patient: PatientOf, who: As, directory: Dir = DEFAULT_DIR, json: Json = False) -> None:
    """List the active grants on a patient: all of them to a custodian, to a reader its own."""
    grants, names = run(_list(directory, who, patient))
    screen = Screen(json=json)
    rows = [
        (
            names.get(each.grantee, each.grantee),
            "/".join(each.actions),
            ", ".join(each.compartments),
            "with history" if each.history else f"from #{each.from_seq}",
            "-" if each.until_ms is None else show_time(each.until_ms),
            each.purpose,
        )
        for each in grants
    ]
    screen.table(("who", "may", "of", "since", "until", "purpose"), rows, f"no active grant on {patient}")
    screen.emit({"grants": [_describe(each, names) for each in grants]})


def check_actions(typed: str) -> tuple[str, ...]:
    """The actions of a comma-separated list, in their usual order.

    Raises:
        typer.BadParameter: none, or another word.
    """
    wanted = set(split_list(typed))
    if not wanted or not wanted <= set(ALL_ACTIONS):
        raise typer.BadParameter(f"actions are of {', '.join(ALL_ACTIONS)}")
    return tuple(action for action in ALL_ACTIONS if action in wanted)


def _describe(grant: ListedGrant, names: dict[str, str]) -> dict[str, Any]:
    return {
        "grantee": grant.grantee,
        "name": names.get(grant.grantee),
        "actions": list(grant.actions),
        "compartments": list(grant.compartments),
        "history": grant.history,
        "from_seq": grant.from_seq,
        "until": None if grant.until_ms is None else show_time(grant.until_ms),
        "purpose": grant.purpose,
    }


async def _give(directory: Path, who: str, patient: str, grantee: str, wish: Wish) -> tuple[Named, int]:
    async with sign_in(directory, who) as desk:
        subject = await desk.find_patient(patient)
        found = await desk.find_participant(grantee)
        accepted = await desk.care.grant(
            subject.id,
            found.id,
            wish.actions,
            wish.compartments,
            history=wish.history,
            until_ms=wish.until_ms,
            purpose=wish.purpose,
        )
        return found, accepted.entry.seq


async def _withdraw(directory: Path, who: str, patient: str, grantee: str) -> tuple[Named, int]:
    async with sign_in(directory, who) as desk:
        subject = await desk.find_patient(patient)
        found = await desk.find_participant(grantee)
        return found, (await desk.care.withdraw(subject.id, found.id)).entry.seq


async def _list(directory: Path, who: str, patient: str) -> tuple[list[ListedGrant], dict[str, str]]:
    async with sign_in(directory, who) as desk:
        subject = await desk.find_patient(patient)
        names = {each.id: each.name for each in await desk.care.participants()}
        return await desk.care.grants(subject.id), names
