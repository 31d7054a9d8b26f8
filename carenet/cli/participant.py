"""`carenet participant`: keys of one's own, and who takes part in the network."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from carenet.cli import folder
from carenet.cli.names import Named
from carenet.cli.options import DEFAULT_DIR, Dir, Json, epilog, split_list
from carenet.cli.screen import Screen
from carenet.cli.session import run, sign_in
from carenet.cli.times import now_ms
from carenet.encoding.ids import encode_id, is_name
from carenet.errors import BadInputError, RefusedError

if TYPE_CHECKING:
    from carenet.client.listing import ListedParticipant
    from carenet.sealing.identity import Identity


@dataclass(frozen=True, slots=True)
class Terms:
    """What is to be admitted.

    Attributes:
        roles: what it may sign.
        may_give: roles that it may give to its own members.
        organisation: where it belongs, as typed; None: to whoever admits it, unless that is the authority.
    """

    roles: tuple[str, ...]
    may_give: tuple[str, ...]
    organisation: str | None


app = typer.Typer(name="participant", help="Keys, and who takes part in the network.", no_args_is_help=True)

AUTHORITY = "authority"

Admitter = Annotated[str, typer.Option("--as", metavar="NAME", help="Who signs: the authority, or its organisation.")]
Someone = Annotated[str, typer.Argument(metavar="NAME", help="A name, an id or the start of one.")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="Up to 64 of the characters a-z 0-9 . _ -")]


@app.command(epilog=epilog("carenet participant create dr-lee"))
def create(name: Name, directory: Dir = DEFAULT_DIR, json: Json = False) -> None:
    """Make a key file, DIR/keys/NAME.key: an Ed25519 signing pair and an HPKE pair.

    With CARENET_PASSPHRASE set it is encrypted. The network does not know it until it is admitted.
    """
    identity = create_key(directory, name)
    screen = Screen(json=json)
    screen.say(f"made {folder.key_path(directory, name)}: {encode_id(identity.id)}")
    screen.say(f"next: carenet participant admit {name} --roles clinician --as authority")
    screen.emit({"name": name, "id": encode_id(identity.id), "file": str(folder.key_path(directory, name))})


def create_key(directory: Path, name: str) -> Identity:
    """Make a key file of the network in DIR.

    Raises:
        BadInputError: not a name.
        SetupError: no network in DIR.
        KeyFileError: the file exists or cannot be written.
    """
    from carenet.sealing.identity import create_identity
    from carenet.sealing.keyfile import save_identity

    if not is_name(name):
        raise BadInputError(f"{name!r} is no name: up to 64 of the characters a-z 0-9 . _ -")
    network = folder.load_genesis(directory).network_id
    identity = create_identity(name, network, now_ms())
    return save_identity(identity, folder.key_path(directory, name), folder.passphrase())


@app.command(
    epilog=epilog(
        "carenet participant admit hospital --roles registrar,custodian --may-give clinician,ems",
        "carenet participant admit dr-lee --roles clinician --as hospital",
    )
)
def admit(
    name: Name,
    *,
    roles: Annotated[str, typer.Option(metavar="ROLE,...", help="What it may sign, such as clinician or lab.")],
    may_give: Annotated[
        str | None, typer.Option(metavar="ROLE,...", help="Roles that it may give to its own members: an organisation.")
    ] = None,
    organisation: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Where it belongs, if the authority admits an organisation's member."),
    ] = None,
    who: Admitter = AUTHORITY,
    directory: Dir = DEFAULT_DIR,
    json: Json = False,
) -> None:
    """Admit a participant, as the authority, or as an organisation a member of its own.

    Its key file is made if there is none. Who is admitted by an organisation belongs to it and falls with it.
    """
    screen = Screen(json=json)
    if name not in folder.list_key_files(directory):
        create_key(directory, name)
        screen.say(f"made {folder.key_path(directory, name)}")
    identity = folder.load_identity(directory, str(folder.key_path(directory, name)))
    terms = Terms(split_list(roles), split_list(may_give), organisation)
    seq = run(_admit(directory, who, identity, terms))
    screen.say(f"admitted {identity.name} ({', '.join(split_list(roles))}): {encode_id(identity.id)}")
    screen.emit({"name": identity.name, "id": encode_id(identity.id), "roles": list(split_list(roles)), "seq": seq})


@app.command(epilog=epilog("carenet participant suspend dr-lee --as hospital"))
def suspend(participant: Someone, who: Admitter = AUTHORITY, directory: Dir = DEFAULT_DIR, json: Json = False) -> None:
    """Suspend a participant: from here on it signs and reads nothing, nor does any member of it.

    Keys that it holds stay with it: rotate the epochs of patients that it could read (grant withdraw does).
    """
    meant, seq = run(_suspend(directory, who, participant))
    screen = Screen(json=json)
    screen.say(f"suspended {meant.label}")
    screen.emit({"name": meant.name, "id": meant.text, "seq": seq})


@app.command(epilog=epilog("carenet participant rotate dr-lee"))
def rotate(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The name of a key in DIR/keys.")],
    who: Annotated[
        str | None, typer.Option("--as", metavar="NAME", help="Its organisation or the authority; itself without.")
    ] = None,
    directory: Dir = DEFAULT_DIR,
    json: Json = False,
) -> None:
    """Go over to new keys under the same id. The key file keeps the old ones, to open what was wrapped to them."""
    path = folder.find_key_file(directory, name)
    renewed, seq = run(_rotate(directory, path, who))
    screen = Screen(json=json)
    screen.say(f"{renewed.name} signs with new keys; {path} holds them all: keep a copy of it")
    screen.emit({"name": renewed.name, "id": encode_id(renewed.id), "kid": renewed.kid.hex(), "seq": seq})


@app.command("list", epilog=epilog("carenet participant list --as hospital"))
def list_participants(who: Admitter = AUTHORITY, directory: Dir = DEFAULT_DIR, json: Json = False) -> None:
    """List everyone who takes part in the network, and whether they are suspended."""
    found = run(_list(directory, who))
    names = {each.id: each.name for each in found}
    screen = Screen(json=json)
    rows = [
        (
            each.name,
            ", ".join(each.roles),
            names.get(each.organisation or "", "-"),
            "suspended" if each.suspended else "",
            each.id,
        )
        for each in found
    ]
    screen.table(("name", "roles", "of", "", "id"), rows, "nobody")
    screen.emit(
        {
            "participants": [
                {
                    "name": each.name,
                    "id": each.id,
                    "organisation": each.organisation,
                    "roles": list(each.roles),
                    "suspended": each.suspended,
                }
                for each in found
            ]
        }
    )


async def _admit(directory: Path, who: str, identity: Identity, terms: Terms) -> int:
    async with sign_in(directory, who) as desk:
        house = None
        if terms.organisation is not None:
            house = (await desk.find_participant(terms.organisation)).id
        elif not desk.is_authority():
            house = desk.identity.id
        accepted = await desk.care.admit(identity, terms.roles, organisation=house, may_give=terms.may_give)
        return accepted.entry.seq


async def _suspend(directory: Path, who: str, typed: str) -> tuple[Named, int]:
    async with sign_in(directory, who) as desk:
        meant = await desk.find_participant(typed)
        return meant, (await desk.care.suspend(meant.id)).entry.seq


async def _rotate(directory: Path, path: Path, who: str | None) -> tuple[Identity, int]:
    from carenet.sealing.keyfile import save_identity

    before = folder.load_identity(directory, str(path))
    async with sign_in(directory, who or str(path)) as desk:
        # Saved first: were the network told first, a crash in between would lose the keys that it then wants.
        renewed = save_identity(before.rotated(), path, folder.passphrase(), replace_file=True)
        try:
            return renewed, (await desk.care.rotate(renewed)).entry.seq
        except RefusedError:
            save_identity(before, path, folder.passphrase(), replace_file=True)
            raise


async def _list(directory: Path, who: str) -> list[ListedParticipant]:
    async with sign_in(directory, who) as desk:
        return sorted(await desk.care.participants(), key=lambda each: (each.name, each.id))
