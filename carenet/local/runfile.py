"""`DIR/run.json`: where the servers of a running stack are, for the commands that talk to it.

It holds PostgreSQL's password, hence mode 0600. What a stack left that was killed is told apart by the folder's
lock, not by process ids, since those are used again.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from carenet.errors import SetupError
from carenet.local.dirlock import is_locked

VERSION = 1
_NAME = "run.json"


@dataclass(frozen=True, slots=True)
class RunFile:
    """What runs.

    Args:
        pid: process id of the one that runs the stack.
        kafka: `host:port`.
        postgres: DSN, with the password.
        gateway: WebSocket URL; None while there is none.
        children: name → process id.
        metrics: name → address of what a process counts, for Prometheus; its `/health` is beside it.
        kafka_accounts: whether one logs in to Kafka, with an account of this folder (`kafka_accounts`).
    """

    pid: int
    kafka: str
    postgres: str = field(repr=False)
    gateway: str | None = None
    children: Mapping[str, int] = field(default_factory=dict)
    metrics: Mapping[str, str] = field(default_factory=dict)
    kafka_accounts: bool = False


def write_run_file(directory: Path, run: RunFile) -> None:
    """Put it in place whole: a reader sees the old one or the new one.

    Raises:
        SetupError: the folder cannot be written.
    """
    path = directory / _NAME
    temporary = path.with_name(f".{_NAME}.{os.getpid()}")
    try:
        temporary.unlink(missing_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        held = {"version": VERSION, **asdict(run), "children": dict(run.children), "metrics": dict(run.metrics)}
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(held, file)
        temporary.replace(path)
    except OSError as exc:
        raise SetupError(f"{path} cannot be written: {exc.strerror}") from exc


def read_run_file(directory: Path) -> RunFile | None:
    """What runs in this folder; None when nothing does.

    Raises:
        SetupError: the file is there and its stack runs, but it cannot be read or is of another version.
    """
    path = directory / _NAME
    if not is_locked(directory):
        return None
    try:
        loaded = json.loads(path.read_text(encoding="utf-8"))
        if loaded.pop("version") != VERSION:
            raise SetupError(f"{path} was written by another version of carenet: restart the stack")
        return RunFile(**loaded)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as exc:
        raise SetupError(f"{path} cannot be read ({type(exc).__name__}): restart the stack") from exc


def remove_run_file(directory: Path) -> None:
    """Take it away when the stack has stopped."""
    with contextlib.suppress(OSError):
        (directory / _NAME).unlink()
