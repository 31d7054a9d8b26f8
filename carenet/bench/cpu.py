"""CPU time of process trees, from /proc: user and system, of what runs and of what ended and was waited for.

A server's work is spread over children that come and go (PostgreSQL's backends), so a tree is read as a whole: each
living process by itself, and with it what its ended children used.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
# Fields of /proc/PID/stat behind the name in brackets, which may hold anything (proc(5) counts from 1, this from 3).
_PARENT, _FIRST_TIME, _LAST_TIME = 1, 11, 14


def read_cpu_s(roots: Iterable[int]) -> float:
    """Seconds of CPU that these processes and all their descendants have used so far.

    Args:
        roots: process ids; one that is gone counts nothing.
    """
    stats = {pid: fields for pid in _pids() if (fields := _read_stat(pid))}
    children: dict[int, list[int]] = {}
    for pid, fields in stats.items():
        children.setdefault(fields[_PARENT], []).append(pid)
    ticks, waiting, seen = 0, list(roots), set[int]()
    while waiting:
        pid = waiting.pop()
        if pid in stats and pid not in seen:
            seen.add(pid)
            ticks += sum(stats[pid][_FIRST_TIME : _LAST_TIME + 1])
            waiting += children.get(pid, [])
    return ticks / _TICKS_PER_S


def _pids() -> list[int]:
    return [int(each.name) for each in Path("/proc").iterdir() if each.name.isdecimal()]


def _read_stat(pid: int) -> list[int] | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:  # it ended meanwhile
        return None
    state, *numbers = text.rpartition(")")[2].split()
    return [ord(state), *map(int, numbers)]
