"""Processes of an earlier run that still work in a server's folder, and waiting for their end.

A parent that is killed takes its servers with it, but they need a moment; PostgreSQL's backends outlive a postmaster
that was killed until they notice. Starting meanwhile would meet their locks, or worse. Process ids that a file
remembers prove nothing, since ids are used again; a process's program and working folder do.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from carenet.errors import SetupError

_WAIT_S = 15.0
_POLL_S = 0.05


def processes_in(folder: Path, program: str) -> list[int]:
    """Ids of the processes that run this program with this working folder, as far as we may see them."""
    wanted = folder.resolve()
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if (entry / "exe").readlink().name == program and (entry / "cwd").readlink() == wanted:
                found.append(int(entry.name))
        except OSError:
            continue  # it ended, or is another user's
    return found


async def wait_for_orphans(folder: Path, program: str) -> None:
    """Return when no process of an earlier run works in `folder` any more.

    Raises:
        SetupError: one does so still; names it.
    """
    try:
        async with asyncio.timeout(_WAIT_S):
            while processes_in(folder, program):  # noqa: ASYNC110 - a stranger's end sends us no event
                await asyncio.sleep(_POLL_S)
    except TimeoutError as exc:
        pids = ", ".join(str(pid) for pid in processes_in(folder, program))
        raise SetupError(f"{program} already runs in {folder} as process {pids}; end that one first") from exc
