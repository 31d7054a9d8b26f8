"""The processes of a bench's stack: which they are, and how much memory they have."""

from __future__ import annotations

from pathlib import Path

from carenet.errors import SetupError
from carenet.local.stack import Stack


def find_pid(stack: Stack, service: str) -> int:
    """A service's process.

    Raises:
        SetupError: it does not run.
    """
    for status in stack.status():
        if status.service == service and status.pid is not None:
            return status.pid
    raise SetupError(f"the {service} does not run any more: the machine may lack memory or disk")


def read_rss(pid: int) -> int:
    """Resident memory of a process, bytes.

    Raises:
        SetupError: it has ended.
    """
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except OSError as exc:
        raise SetupError(f"process {pid} has ended") from exc
    for line in status.splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise SetupError(f"process {pid} has just ended")
