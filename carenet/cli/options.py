"""Options that several commands take, and the note under each command's help."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

from carenet.cli import folder
from carenet.errors import CarenetError

DEFAULT_DIR = Path(".carenet")
EXIT_REFUSED, EXIT_FAILED = 1, 2
EXIT_CODES = "Exit codes: 0 done, 1 refused by the network's rules, 2 wrong usage or could not be done."


def _complete_key(context: typer.Context, incomplete: str) -> list[str]:
    """Names of keys in DIR/keys, for the shell."""
    return [name for name in folder.list_key_files(_directory(context)) if name.startswith(incomplete)]


def complete_patient(context: typer.Context, incomplete: str) -> list[str]:
    """Nicknames in DIR/patients.json, for the shell."""
    try:
        named = folder.read_nicknames(_directory(context))
    except CarenetError:
        return []
    return [each.name for each in named if each.name.startswith(incomplete)]


def _directory(context: typer.Context) -> Path:
    return Path(context.params.get("directory") or DEFAULT_DIR)


Dir = Annotated[
    Path,
    typer.Option("--dir", envvar="CARENET_DIR", help="Folder that holds keys, genesis and state.", show_default=True),
]
As = Annotated[
    str,
    typer.Option(
        "--as",
        metavar="NAME",
        help="Who signs: the name of a key in DIR/keys, or a path.",
        autocompletion=_complete_key,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object, on one line, last on stdout.")]
PatientOf = Annotated[
    str,
    typer.Option(
        "--patient",
        metavar="ID",
        help="A nickname, an id or the start of one.",
        autocompletion=complete_patient,
    ),
]


def program() -> str:
    """How the shell that started this may call it again, for lines to copy: `carenet`, or the path where it lies."""
    return "carenet" if shutil.which("carenet") else sys.argv[0]


def epilog(*examples: str, codes: str = EXIT_CODES) -> str:
    """What stands under a command's help: examples to copy, and what its exit codes mean.

    Args:
        examples: one command line each.
        codes: another command's own meaning of 1.
    """
    return "\n\n".join([f"Example: {example}" for example in examples] + [codes])


def split_list(value: str | None) -> tuple[str, ...]:
    """The items of a comma-separated option."""
    return tuple(item.strip() for item in (value or "").split(",") if item.strip())
