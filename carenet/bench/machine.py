"""What a figure was measured on: size and kind of the machine, and nothing by which it could be told from its like."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

_KIB = 1 << 10


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine as its kernel describes it.

    Attributes:
        cpu: the model's name, or `unknown`.
        cores: that this process may use.
        memory_bytes: all of it.
    """

    cpu: str
    cores: int
    memory_bytes: int

    def describe(self) -> str:
        """One line for people."""
        return f"{self.cores} cores ({self.cpu}), {self.memory_bytes / (1 << 30):.0f} GiB of memory"


def read_machine() -> Machine:
    """This machine."""
    model = _find_field(Path("/proc/cpuinfo"), "model name") or "unknown"
    total = _find_field(Path("/proc/meminfo"), "MemTotal") or "0 kB"
    return Machine(model, len(os.sched_getaffinity(0)), int(total.split()[0]) * _KIB)


def read_load() -> float:
    """Processes that wanted a core in the last minute, on average: above the cores, others were at work too."""
    return round(os.getloadavg()[0], 2)


def _find_field(path: Path, name: str) -> str | None:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), None)
