"""`carenet demo`: a whole network on this machine, a story flowing through it, and everything counted at the end."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from carenet.cli import folder
from carenet.cli.names import Named
from carenet.cli.options import DEFAULT_DIR, EXIT_REFUSED, Dir, Json, epilog, program
from carenet.cli.screen import Screen
from carenet.cli.servers import Kafka, Postgres, check_addresses, kafka_login, read_or_found, show_fetch
from carenet.errors import SetupError

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from carenet.demo.director import DemoPlan, Result
    from carenet.demo.screens import Screens

app = typer.Typer()

_CODES = "Exit codes: 0 nothing lost, doubled or broken, 1 something was, 2 it could not be run, 130 after Ctrl-C."
_PICTURE_COLUMNS, _PICTURE_ROWS = 118, 40


@app.command(epilog=epilog("carenet demo", "carenet demo --bundles my-fhir-bundles/ --json", codes=_CODES))
def demo(
    *,
    bundles: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            help="Replay FHIR R4 bundles (.json, .ndjson, also .gz) of a file or folder instead.",
            exists=True,
        ),
    ] = None,
    directory: Dir = DEFAULT_DIR,
    reset: Annotated[
        bool, typer.Option("--reset", help="Start anew: removes carenet's own files in DIR first.")
    ] = False,
    pace: Annotated[float, typer.Option(min=0.1, max=100, help="2 plays the story twice as fast.")] = 1.0,
    patients: Annotated[int, typer.Option(min=3, max=200, help="How many people the story is about.")] = 6,
    allow_external: Annotated[
        bool, typer.Option("--allow-external", help="Accept bundles that refer outside what is read.")
    ] = False,
    kafka: Kafka = None,
    postgres: Postgres = None,
    json: Json = False,
    export_svg: Annotated[Path | None, typer.Option("--export-svg", metavar="FILE", hidden=True)] = None,
) -> None:
    """Show a network at work: real Kafka and PostgreSQL, a hospital, a laboratory, a pharmacy, an emergency room.

    Patients are registered and care events flow to the care team's and the emergency room's screens; some are refused.

    At the end everything is counted and verified from scratch. A second demo in the same folder continues its network.
    """  # fmt: skip
    from rich.console import Console

    from carenet.cli.running import run_until_interrupted
    from carenet.demo.clearing import clear_directory
    from carenet.demo.director import DemoPlan
    from carenet.local.kafka_cluster import count_brokers
    from carenet.local.stack import StackPlan

    check_addresses(kafka, postgres)
    console = Console(stderr=json)
    if reset:
        clear_directory(directory)
    genesis, is_new = read_or_found(directory)
    if is_new:
        console.print(f"founded the network {genesis.name} in {directory}", highlight=False)
    plan = DemoPlan(
        StackPlan(directory, genesis, kafka_login(kafka), postgres, brokers=count_brokers(directory) or 1),
        passphrase=folder.passphrase(),
        patients=patients,
        pace=pace,
        bundles=bundles,
        allow_external=allow_external,
    )
    result = run_until_interrupted(lambda: _direct(plan, console, export_svg))
    Screen(json=json).emit(result.summary.as_json())
    if not result.summary.is_clean:
        raise typer.Exit(EXIT_REFUSED)


async def _direct(plan: DemoPlan, console: Console, picture: Path | None) -> Result:
    from carenet.demo.director import Director, make_board
    from carenet.demo.screens import Screens
    from carenet.demo.summary_view import draw_summary

    directory, network = plan.stack.directory, plan.stack.genesis.network_id
    screens = Screens(console, make_board(plan))
    with show_fetch(console) as progress:
        result = await Director(plan, screens, FolderNicknames(directory, network), progress).run()
    drawn = draw_summary(result.summary, result.attempts)
    console.print(drawn)
    console.print(_next_steps(directory))
    if picture is not None:
        _export(screens, drawn, picture)
    return result


@dataclass(frozen=True, slots=True)
class FolderNicknames:
    """The patients' nicknames in DIR, which other commands use too."""

    directory: Path
    network: bytes

    def read(self) -> dict[str, bytes]:
        """Subject ids by nickname."""
        return {each.name: each.id for each in folder.read_nicknames(self.directory, self.network)}

    def remember(self, nickname: str, subject: bytes) -> None:
        """Keep one."""
        folder.remember_patient(self.directory, self.network, Named(nickname, subject))


def _next_steps(directory: Path) -> str:
    to = "" if directory == DEFAULT_DIR else f" --dir {directory}"
    me = program()
    lines = (
        f"{me} demo{to}", "continues this network with another story",
        f"{me} up{to}", "keeps it running; then, in another terminal:",
        f"{me} watch --as dr-lee --all{to}", "opens what dr-lee may read",
    )  # fmt: skip
    return "".join(f"\n[cyan]{line}[/]  [dim]{why}[/]" for line, why in zip(lines[::2], lines[1::2], strict=True))


def _export(screens: Screens, drawn: RenderableType, path: Path) -> None:
    """The last picture and the summary as an SVG file, for the README."""
    import io
    import re

    from rich.console import Console

    recorder = Console(
        record=True, width=_PICTURE_COLUMNS, height=_PICTURE_ROWS, file=io.StringIO(), force_terminal=True,
        color_system="truecolor",
    )  # fmt: skip
    screens.console, screens.board.phase = recorder, "told, counted and verified"
    recorder.print(screens.render())
    recorder.print(drawn)
    try:
        picture = recorder.export_svg(title="carenet demo")
        # The picture must not fetch anything: the fonts of whoever looks at it will do, each text has its width.
        path.write_text(re.sub(r"@font-face\s*{[^}]*}", "", picture), encoding="utf-8")
    except OSError as exc:
        raise SetupError(f"{path} cannot be written: {exc.strerror}") from exc
