"""`carenet participant`: keys of one's own, and who takes part in the network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from carenet.cli import folder
from carenet.cli.options import DEFAULT_DIR, Dir, Json, epilog
from carenet.cli.screen import Screen
from carenet.cli.times import now_ms
from carenet.encoding.ids import encode_id, is_name
from carenet.errors import BadInputError

if TYPE_CHECKING:
    from carenet.sealing.identity import Identity

app = typer.Typer(name="participant", help="Keys, and who takes part in the network.", no_args_is_help=True)

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
