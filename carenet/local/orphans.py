"""Whether a server that an earlier run started for a folder still lives, and waiting for its end.

A parent that is killed takes its servers with it, but they need a moment; starting again within that moment would
meet their locks. A process id alone proves nothing, since ids are used again: the process must also work inside
the folder.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from carenet.errors import SetupError

_WAIT_S = 15.0
_POLL_S = 0.1


def lives_in(pid_file: Path, folder: Path) -> int | None:
    """The id in the file's first line, if that process runs and its working folder is `folder`; else None."""
    try:
        pid = int(pid_file.read_text(encoding="ascii").split()[0])
        return pid if Path(f"/proc/{pid}/cwd").resolve(strict=True) == folder.resolve() else None
    except (OSError, ValueError, IndexError):
        return None


async def wait_for_orphan(name: str, pid_file: Path, folder: Path) -> None:
    """Return when no process of an earlier run works in `folder` any more.

    Raises:
        SetupError: one does so still; names it.
    """
    try:
        async with asyncio.timeout(_WAIT_S):
            while lives_in(pid_file, folder) is not None:  # noqa: ASYNC110 - a stranger's end sends us no event
                await asyncio.sleep(_POLL_S)
    except TimeoutError as exc:
        pid = lives_in(pid_file, folder)
        raise SetupError(f"{name} already runs in {folder} as process {pid}; end that one first") from exc
