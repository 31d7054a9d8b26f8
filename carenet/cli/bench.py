"""`carenet bench …`: what this machine can do, each figure beside its bare baseline from the same run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from carenet.cli.bench_report import report
from carenet.cli.options import Json, epilog

if TYPE_CHECKING:
    from carenet.bench.fold_report import FoldReport
    from carenet.cli.screen import Screen

app = typer.Typer()
bench = typer.Typer(no_args_is_help=True, help="Measure, on a stack of its own that is removed afterwards.")
app.add_typer(bench, name="bench")

_Tick = Callable[[str, int, int | None], None]
"""Told what is being done, how much of it is done, and how much there is, if that is known."""

_CODES = "Exit codes: 0 measured, 2 it could not be."
bench.command(epilog=epilog("carenet bench report --from docs/performance/results.json", codes=_CODES))(report)


@contextmanager
def _ticking(screen: Screen, unit: str = "") -> Iterator[_Tick]:
    """A progress bar that says what a bench does now."""
    with screen.progress(unit) as progress:
        bar = progress.add_task("starting servers", total=None)

        def tick(what: str, done: int, total: int | None) -> None:
            progress.update(bar, description=what, completed=done, total=total)

        yield tick


@bench.command(epilog=epilog("carenet bench latency --rate 300 --seconds 20 --json", codes=_CODES))
def latency(
    rate: Annotated[int, typer.Option(min=1, max=5000, help="Events a second.")] = 300,
    seconds: Annotated[int, typer.Option(min=1, max=3600, help="Counted seconds, after a warm-up.")] = 20,
    background: Annotated[
        int, typer.Option(min=0, max=100_000, help="Events a second about other patients meanwhile.")
    ] = 0,
    json: Json = False,
) -> None:
    """Publish call to opened update through the real gateway, beside bare produce to consume in the same seconds."""
    from carenet.bench.latency import measure_latency
    from carenet.cli.screen import Screen

    screen = Screen(json=json)
    report = measure_latency(rate, seconds, background)
    figures = (("carenet", report.carenet), ("bare Kafka", report.bare))
    rows = [[name, *(f"{value:.2f}" for value in (each.p50, each.p99, each.max))] for name, each in figures]
    ratios = [report.carenet.p50 / report.bare.p50, report.carenet.p99 / report.bare.p99]
    rows.append(["ratio", *(f"{ratio:.2f}" for ratio in ratios), ""])
    screen.table(["ms", "p50", "p99", "max"], rows, "nothing was measured")
    screen.emit(report.to_map())


@bench.command(epilog=epilog("carenet bench overload --seconds 10 --json", codes=_CODES))
def overload(
    seconds: Annotated[int, typer.Option(min=1, max=600, help="Seconds of overload.")] = 10,
    json: Json = False,
) -> None:
    """Offer twice what the node can fold: how long the accepted wait, and whether anything is lost."""
    from carenet.bench.overload import measure_overload
    from carenet.cli.screen import Screen

    screen = Screen(json=json)
    with _ticking(screen) as tick:
        report = measure_overload(seconds, lambda what: tick(what, 0, None))
    rows = [[name.replace("_", " "), str(value)] for name, value in report.to_map().items() if name != "latency_ms"]
    latency = [[f"{name} of the accepted, ms", f"{value:.0f}"] for name, value in report.latency.to_map().items()]
    screen.table(["overload", ""], rows + latency, "nothing was measured")
    screen.emit(report.to_map())


@bench.command(epilog=epilog("carenet bench fold --events 100000 --json", codes=_CODES))
def fold(
    *,
    events: Annotated[int, typer.Option(min=100, max=10_000_000, help="Events of each kind of signature.")] = 100_000,
    patients: Annotated[int, typer.Option(min=1, max=100_000, help="Patients that they are spread over.")] = 2000,
    rounds: Annotated[int, typer.Option(min=1, max=100, help="Counted rounds, after a warm-up.")] = 5,
    only: Annotated[
        list[str] | None, typer.Option(metavar="KIND", help="bare, single, entries or batch; may be given again.")
    ] = None,
    keep: Annotated[
        Path | None,
        typer.Option("--keep", "--reuse", help="Folder that keeps what was published, for the next run with it."),
    ] = None,
    json: Json = False,
) -> None:
    """Fold events from cold, signed singly and in batches, beside bare aiokafka to COPY, and libsodium on one core."""
    from carenet.bench.fold import measure_fold
    from carenet.bench.fold_report import KINDS, FoldPlan
    from carenet.cli.running import run_until_interrupted
    from carenet.cli.screen import Screen

    kinds = frozenset(only or KINDS)
    if kinds - set(KINDS):
        raise typer.BadParameter(f"one of {', '.join(KINDS)}", param_hint="--only")
    screen = Screen(json=json)
    plan = FoldPlan(events, patients, rounds, kinds, keep)
    with _ticking(screen) as tick:
        report = run_until_interrupted(lambda: measure_fold(plan, tick))
    screen.table(["fold", "events/s", "CPU µs", "× verify"], _fold_rows(report), "nothing was measured")
    screen.emit(report.to_map())


@bench.command(epilog=epilog("carenet bench soak --events 500000 --json", codes=_CODES))
def soak(
    *,
    events: Annotated[int, typer.Option(min=1000, max=100_000_000, help="Events of the whole run.")] = 500_000,
    patients: Annotated[int, typer.Option(min=1, max=100_000, help="Patients that they are spread over.")] = 200,
    watchers: Annotated[int, typer.Option(min=0, max=100, help="Subscribers of one patient each.")] = 4,
    json: Json = False,
) -> None:
    """What grows in a long run: memory of worker and gateway, time to fold, time to start, and room on the disk."""
    from carenet.bench.soak import measure_soak
    from carenet.bench.soak_report import SoakPlan
    from carenet.cli.running import run_until_interrupted
    from carenet.cli.screen import Screen

    screen = Screen(json=json)
    with _ticking(screen, "events") as tick:
        report = run_until_interrupted(lambda: measure_soak(SoakPlan(events, patients, min(watchers, patients)), tick))
    figures = report.to_map()
    slices = figures.pop("slices")
    assert isinstance(slices, list)
    rows = [[str(value) for value in each.values()] for each in slices]
    screen.table(["events", "folded/s", "CPU µs", "worker MB", "gateway MB"], rows, "nothing was measured")
    rows = [[name, _in_a_line(value)] for name, value in figures.items()]
    screen.table(["figure", ""], rows, "nothing was measured")
    screen.emit({**figures, "slices": slices})


def _in_a_line(value: object) -> str:
    """A figure, or several with their names."""
    return ", ".join(f"{name} {each}" for name, each in value.items()) if isinstance(value, dict) else str(value)


def _fold_rows(report: FoldReport) -> list[list[str]]:
    """Rates beside CPU, both also in terms of one verification."""
    names = {"bare": "bare aiokafka to COPY", "single": "signed singly", "entries": "with entries topic"}
    rows = []
    for kind in report.rounds:
        cpu_us, per_s = report.cpu_us(kind), report.per_s(kind)
        assert cpu_us is not None
        assert per_s is not None
        rows.append([names.get(kind, "signed in batches"), f"{per_s:,.0f}", f"{cpu_us:.1f}"])
        rows[-1].append(f"{cpu_us / report.verify_us:.2f}")
    rows.append(["libsodium, one core", f"{1e6 / report.verify_us:,.0f}", f"{report.verify_us:.1f}", "1.00"])
    published = {"publish, signed singly": "single", "publish, signed in batches": "batch"}
    rows += [
        [name, f"{report.publish_per_s[kind]:,.0f}", "", ""]
        for name, kind in published.items()
        if kind in report.publish_per_s
    ]
    if report.bare_seal_sign_per_s is not None:
        rows.append(["bare HPKE seal + Ed25519 sign", f"{report.bare_seal_sign_per_s:,.0f}", "", ""])
    return rows


@bench.command(epilog=epilog("carenet bench fanout --watchers 500 --json", codes=_CODES))
def fanout(
    watchers: Annotated[int, typer.Option(min=5, max=5000, help="Participants that watch.")] = 500,
    rounds: Annotated[int, typer.Option(min=1, max=100, help="Counted rounds, after a warm-up.")] = 3,
    deliveries: Annotated[int, typer.Option(min=100, max=10_000_000, help="Deliveries of each round.")] = 60_000,
    json: Json = False,
) -> None:
    """What a push costs the gateway, beside a bare websockets.broadcast: all watchers on one patient, and five each."""
    from carenet.bench.fanout import measure_fanout
    from carenet.bench.fanout_report import FanoutPlan
    from carenet.cli.running import run_until_interrupted
    from carenet.cli.screen import Screen

    screen = Screen(json=json)
    plan = FanoutPlan(watchers, rounds, deliveries)
    with _ticking(screen) as tick:
        report = run_until_interrupted(lambda: measure_fanout(plan, tick))
    rows = []
    for name, layout in (("all on one patient", report.one), ("five a patient", report.five)):
        figures = layout.to_map()
        rows.append([name, f"{figures['deliveries_per_s']:,.0f}", f"{figures['cpu_us_per_delivery']:.1f}"])
        rows[-1] += [f"{figures['bare_cpu_us_per_delivery']:.1f}", f"{figures['ratio']:.2f}"]
    screen.table(["", "deliveries/s", "CPU µs", "bare CPU µs", "ratio"], rows, "nothing was measured")
    screen.emit(report.to_map())


@bench.command(epilog=epilog("carenet bench idle --watchers 5000 --json", codes=_CODES))
def idle(
    watchers: Annotated[int, typer.Option(min=1, max=10_000, help="Connections that only wait.")] = 5000,
    json: Json = False,
) -> None:
    """What connected, signed-in and subscribed watchers cost the gateway in memory while nothing happens."""
    from carenet.bench.idle import measure_idle
    from carenet.cli.running import run_until_interrupted
    from carenet.cli.screen import Screen

    screen = Screen(json=json)
    with _ticking(screen) as tick:
        report = run_until_interrupted(lambda: measure_idle(watchers, tick))
    figures = report.to_map()
    row = [f"{figures[name]:.1f}" for name in ("rss_before_mb", "rss_after_mb", "growth_mb", "kb_per_watcher")]
    screen.table(["before MB", "after MB", "growth MB", "kB each"], [row], "nothing was measured")
    screen.emit(figures)
