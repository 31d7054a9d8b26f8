"""`carenet bench …`: what this machine can do, each figure beside its bare baseline from the same run."""

from __future__ import annotations

from typing import Annotated

import typer

from carenet.cli.options import Json, epilog

app = typer.Typer()
bench = typer.Typer(no_args_is_help=True, help="Measure, on a stack of its own that is removed afterwards.")
app.add_typer(bench, name="bench")

_CODES = "Exit codes: 0 measured, 2 it could not be."


@bench.command(epilog=epilog("carenet bench latency --rate 300 --seconds 20 --json", codes=_CODES))
def latency(
    rate: Annotated[int, typer.Option(min=1, max=5000, help="Events a second.")] = 300,
    seconds: Annotated[int, typer.Option(min=1, max=3600, help="Counted seconds, after a warm-up.")] = 20,
    json: Json = False,
) -> None:
    """Publish call to opened update through the real gateway, beside bare produce to consume in the same seconds."""
    from carenet.bench.latency import measure_latency
    from carenet.cli.screen import Screen

    screen = Screen(json=json)
    report = measure_latency(rate, seconds)
    figures = (("carenet", report.carenet), ("bare Kafka", report.bare))
    rows = [[name, *(f"{value:.2f}" for value in (each.p50, each.p99, each.max))] for name, each in figures]
    ratios = [report.carenet.p50 / report.bare.p50, report.carenet.p99 / report.bare.p99]
    rows.append(["ratio", *(f"{ratio:.2f}" for ratio in ratios), ""])
    screen.table(["ms", "p50", "p99", "max"], rows, "nothing was measured")
    screen.emit(report.to_map())
