"""Results of benches, as they were printed, with when and under what load: run, kept in a file, and read again.

Each bench is run as the command that anyone can type, so what is reported is what the command prints. A bench that
fails is kept as failed, with the line that it said: a report names what was not measured.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from carenet.bench.machine import Machine, read_load, read_machine
from carenet.errors import SetupError

Figures = Mapping[str, Any]

_PROGRAM = "from carenet.cli.main import main; main()"
_STOP_S = 20.0
_FRAME = " │╭╮╰╯─"  # that wrong usage is drawn in


@dataclass(frozen=True, slots=True)
class Result:
    """One bench's.

    Attributes:
        command: what was typed behind `carenet bench`.
        date: when it began, UTC, to the minute.
        load: of the machine just before.
        figures: what it printed; empty if it failed.
        error: what it said when it failed.
    """

    command: tuple[str, ...]
    date: str
    load: float
    figures: Figures = field(default_factory=dict)
    error: str = ""


@dataclass(frozen=True, slots=True)
class Results:
    """Several benches' results on one machine, by name."""

    machine: Machine
    by_name: dict[str, Result]

    def figure(self, name: str, *keys: str) -> float | None:
        """A figure of a bench by its path of keys; None where there is none."""
        value: Any = self.by_name[name].figures if name in self.by_name else None
        for key in keys:
            value = value.get(key) if isinstance(value, Mapping) else None
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def write_results(path: Path, results: Results) -> None:
    """Keep them."""
    kept = {
        "machine": asdict(results.machine),
        "results": {name: asdict(each) for name, each in results.by_name.items()},
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")


def read_results(path: Path) -> Results:
    """The results that were kept.

    Raises:
        SetupError: the file is not there, or not one of these.
    """
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        by_name = {
            name: Result(**{**each, "command": tuple(each["command"])}) for name, each in kept["results"].items()
        }
        return Results(Machine(**kept["machine"]), by_name)
    except OSError as exc:
        raise SetupError(f"{path} cannot be read: {exc.strerror}; carenet bench report makes it") from exc
    except (ValueError, TypeError, KeyError, AttributeError) as exc:
        raise SetupError(f"{path} holds no results of carenet bench report") from exc


def no_results() -> Results:
    """None yet, on this machine."""
    return Results(read_machine(), {})


async def run_bench(command: tuple[str, ...]) -> Result:
    """Run `carenet bench …` in a process of its own, and read the JSON that it prints.

    Args:
        command: what stands behind `carenet bench`, without `--json`.
    """
    began, load = datetime.now(UTC).strftime("%Y-%m-%d %H:%M"), read_load()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _PROGRAM, "bench", *command, "--json"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,  # Ctrl-C reaches us alone, and we tell it
    )
    try:
        printed, said = await process.communicate()
    except asyncio.CancelledError:
        await _interrupt(process)
        raise
    last = printed.decode(errors="replace").splitlines()[-1:]
    if process.returncode == 0 and last:
        return Result(command, began, load, json.loads(last[0]))
    lines = [line.strip(_FRAME) for line in said.decode(errors="replace").splitlines()]
    error = next((line for line in reversed(lines) if line), f"exit code {process.returncode}")
    return Result(command, began, load, error=error[:200])


async def _interrupt(process: asyncio.subprocess.Process) -> None:
    """End it as Ctrl-C would, so that it ends what it started."""
    process.send_signal(signal.SIGINT)
    try:
        async with asyncio.timeout(_STOP_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
