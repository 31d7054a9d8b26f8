"""`carenet bench report`: every bench's figures beside their baselines and targets, as a page with pictures.

    results = await run_all(plan_of(quick=False), no_results(), tick)
    write_report(Path("docs"), results)          # performance.md, performance/results.json, performance/*.svg

The page says what was measured, when, on what machine and under what load, and whether each target is met; what was not
measured has its row too. The same results give the same page.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from carenet.bench.report_page import compose_page
from carenet.bench.report_pictures import PICTURES
from carenet.bench.results import Result, Results, run_bench, write_results
from carenet.errors import SetupError

PAGE, FOLDER, RESULTS = "performance.md", "performance", "results.json"
HALF = "latency_half"  # at half of the rate that the fold reached

Tick = Callable[[str, int, int], None]
"""Told what is being done, how much of it is done, and how much there is."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Which commands are run, by the name under which their results are kept."""

    commands: dict[str, tuple[str, ...]]

    def only(self, names: Collection[str]) -> Plan:
        """Some of them.

        Raises:
            SetupError: there is no such bench.
        """
        unknown = set(names) - self.commands.keys()
        if unknown:
            raise SetupError(f"no bench {min(unknown)}: one of {', '.join(self.commands)}")
        return Plan({name: each for name, each in self.commands.items() if name in names})


def plan_of(*, quick: bool) -> Plan:
    """The sizes that the targets are about, or small ones that only show that all of it runs."""
    if quick:
        return Plan(
            {
                "fold": ("fold", "--events", "5000", "--patients", "50", "--rounds", "1"),
                "latency": ("latency", "--seconds", "10"),
                HALF: ("latency", "--seconds", "10"),
                "fanout": ("fanout", "--watchers", "50", "--rounds", "1", "--deliveries", "5000"),
                "idle": ("idle", "--watchers", "200"),
                "overload": ("overload", "--seconds", "5"),
            }
        )
    return Plan(
        {
            "fold": ("fold", "--events", "100000"),
            "latency": ("latency", "--rate", "300", "--seconds", "60"),
            HALF: ("latency", "--seconds", "30"),
            "fanout": ("fanout", "--watchers", "500"),
            "idle": ("idle", "--watchers", "5000"),
            "overload": ("overload", "--seconds", "10"),
            "soak": ("soak", "--events", "500000"),
        }
    )


async def run_all(plan: Plan, known: Results, tick: Tick = lambda *_: None) -> Results:
    """Run the benches of a plan, one after the other; results of others are kept as they are known.

    Args:
        plan: which.
        known: earlier results, of this machine.
        tick: told of each.
    """
    results = Results(known.machine, dict(known.by_name))
    for place, (name, command) in enumerate(plan.commands.items()):
        tick(f"carenet bench {' '.join(command)}", place, len(plan.commands))
        results.by_name[name] = await (_run_at_half(command, results) if name == HALF else run_bench(command))
    return results


def _find_other_sizes(results: Results) -> tuple[str, ...]:
    """The benches that were run with other options than those that the targets are about."""
    full = plan_of(quick=False).commands
    return tuple(
        name for name, each in results.by_name.items() if each.command[: len(full.get(name, ()))] != full.get(name)
    )


async def _run_at_half(command: tuple[str, ...], results: Results) -> Result:
    limit = results.figure("fold", "events_per_s")
    if limit is None:
        return Result(command, "", 0.0, error="the fold's limit is not known: measure it first")
    return await run_bench((*command, "--background", str(int(limit / 2))))


def write_report(directory: Path, results: Results) -> Path:
    """Write the page, the pictures and the results; the page's path.

    Raises:
        SetupError: the folder cannot be written.
    """
    try:
        (directory / FOLDER).mkdir(parents=True, exist_ok=True)
        write_results(directory / FOLDER / RESULTS, results)
        drawn = {name: picture for name, draw in PICTURES.items() if (picture := draw(results))}
        for name, picture in drawn.items():
            (directory / FOLDER / f"{name}.svg").write_text(picture, encoding="utf-8")
        page = directory / PAGE
        page.write_text(compose_page(results, FOLDER, drawn, _find_other_sizes(results)), encoding="utf-8")
    except OSError as exc:
        raise SetupError(f"{exc.filename or directory} cannot be written: {exc.strerror}") from exc
    return page
