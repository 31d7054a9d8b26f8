"""`carenet bench report`: all benches one after the other, and the page that shows them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from carenet.cli.options import Json


def report(
    *,
    read: Annotated[
        Path | None, typer.Option("--from", metavar="FILE", help="Results of an earlier run, instead of a new one.")
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option(metavar="BENCH", help="Run this one; may be given again. Others as --from says.")
    ] = None,
    quick: Annotated[bool, typer.Option(help="Small sizes: shows that all of it runs.")] = False,
    output: Annotated[Path, typer.Option(help="Folder of performance.md and performance/.")] = Path("docs"),
    json: Json = False,
) -> None:
    """Run every bench and write performance.md: figures, baselines, targets, pictures, and the machine's size."""
    from dataclasses import asdict

    from carenet.bench.report import plan_of, run_all, write_report
    from carenet.bench.results import no_results, read_results
    from carenet.bench.targets import TARGETS
    from carenet.cli.running import run_until_interrupted
    from carenet.cli.screen import Screen

    screen = Screen(json=json)
    results = no_results() if read is None else read_results(read)
    if read is None or only:
        plan = plan_of(quick=quick) if not only else plan_of(quick=quick).only(only)
        with screen.progress("benches") as progress:
            bar = progress.add_task("starting", total=None)

            def tick(what: str, done: int, total: int) -> None:
                progress.update(bar, description=what, completed=done, total=total)

            known = results
            results = run_until_interrupted(lambda: run_all(plan, known, tick))
    page = write_report(output, results)
    rows = [[cell.strip("*") for cell in target.row(results)] for target in TARGETS]
    screen.table(["target", "figure", "baseline", "held against it", "met"], rows, "no targets")
    screen.note(f"{page} written")
    screen.emit({name: asdict(each) for name, each in results.by_name.items()})
