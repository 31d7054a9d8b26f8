"""The program `carenet`: its commands, and how errors become one line on stderr and an exit code.

Exit codes: 0 done · 1 refused by the network's rules, or broken (`verify`) · 2 wrong usage, or could not be done.
Ctrl-C ends a command with 130. `--debug`, anywhere on the line, shows the traceback of an error.

A command's module has an `app`; a new command is a file here and a line in `_COMMANDS`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from carenet.cli import (
    bench,
    demo,
    doctor,
    grant,
    network,
    participant,
    patient,
    publish,
    rejections,
    timeline,
    up,
    verify,
    watch,
)
from carenet.cli.options import EXIT_FAILED, EXIT_REFUSED, epilog
from carenet.cli.screen import plain
from carenet.errors import CarenetError, CorruptionError, RefusedError, TransportError

_COMMANDS = (
    demo,
    up,
    doctor,
    network,
    participant,
    patient,
    grant,
    publish,
    watch,
    timeline,
    rejections,
    verify,
    bench,
)
_DEBUG = "--debug"
_EXAMPLES = ("carenet demo", "carenet up")

app = typer.Typer(
    name="carenet",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,  # main turns our errors into a line; what is not ours is a bug, shown whole
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=epilog(*_EXAMPLES),
)
for _command in _COMMANDS:
    app.add_typer(_command.app)


def _show_version(value: bool) -> None:
    if value:
        from importlib.metadata import version

        print(f"carenet {version('carenet')}")  # noqa: T201 - what was asked for
        raise typer.Exit


@app.callback()
def _root(
    debug: Annotated[bool, typer.Option(_DEBUG, help="Show an error's traceback; anywhere on the line.")] = False,
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """Signed, sealed care events on Kafka, folded into patients' timelines and pushed to those who may see them."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command and exit.

    Args:
        arguments: what stands behind the program's name; None takes the process's own.

    Raises:
        SystemExit: always, with the exit code.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    own = words[: words.index("--")] if "--" in words else words
    is_debugging = _DEBUG in own
    if is_debugging:
        words.remove(_DEBUG)
    try:
        app(words, prog_name="carenet")
    except (CarenetError, ExceptionGroup) as exc:
        error = find_error(exc)
        if is_debugging or error is None:
            raise
        print(f"carenet: {plain(describe(error))}", file=sys.stderr)  # noqa: T201 - the error line
        sys.exit(exit_code(error))


def find_error(raised: Exception) -> CarenetError | None:
    """Our error in what was raised: itself, or the first in a task group's; None if something else is among them."""
    if isinstance(raised, ExceptionGroup):
        found = [find_error(each) for each in raised.exceptions]
        return None if None in found else found[0]
    return raised if isinstance(raised, CarenetError) else None


def describe(error: CarenetError) -> str:
    """An error as one line that says what went wrong and what to do."""
    text = " ".join(str(error).split())
    if isinstance(error, RefusedError):
        advice = _ADVICE.get(error.reason)
        return f"refused: {text}" + (f" ({advice})" if advice else "")
    if isinstance(error, TransportError):
        return f"{text}; try again, or see what runs with carenet doctor"
    if isinstance(error, CorruptionError):
        return f"{text}; stop, keep the data as it is, and run carenet verify"
    return text


def exit_code(error: CarenetError) -> int:
    """What a command that ends with this error exits with."""
    return EXIT_REFUSED if isinstance(error, RefusedError | CorruptionError) else EXIT_FAILED


# What a person can do about a refusal that they meet on the command line; the reasons are carenet.rules.reasons.
_ADVICE = {
    "unknown_signer": "the signer is not admitted: carenet participant admit",
    "not_authenticated": "admit this key first: carenet participant admit NAME --roles ...",
    "stale_key": "this key was rotated away: use the newest key file",
    "no_grant": "ask a custodian: carenet grant give",
    "not_decider": "sign with --as the patient's custodian, or the participant's organisation",
    "unknown_subject": "register the patient first: carenet patient register",
    "role_not_given": "the admitter may not give that role: see --may-give of its own admission",
}
