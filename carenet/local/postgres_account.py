"""Which user PostgreSQL runs as, when we are root: it refuses root for good reason.

Not root: ourselves. Root: the user `postgres` if this machine has one, else `nobody`; on a folder that already
holds data, the user that owns them. If that user cannot pass through the folders above the data or the binaries
(a clone in a home folder of mode 700), it gets the one capability that lets it; see `launch`.
"""

from __future__ import annotations

import os
import pwd
from pathlib import Path

from carenet.errors import SetupError
from carenet.local.process import RunAs

_CAP_DAC_READ_SEARCH = 1 << 2
_WORLD_SEARCH = 0o001
_GROUP_SEARCH = 0o010
_OWNER_SEARCH = 0o100


def choose_account(data: Path, binaries: Path) -> RunAs | None:
    """Who runs the server whose data are in `data`; None means ourselves.

    Raises:
        SetupError: we are root, another user cannot reach the folders, and this root may not lend the right to.
    """
    if os.geteuid() != 0:
        return None
    uid, gid = _owner(data) or _unprivileged()
    closed = [folder for path in (data, binaries) for folder in path.parents if not _may_search(folder, uid, gid)]
    if closed and not _capabilities() & _CAP_DAC_READ_SEARCH:
        raise SetupError(
            f"PostgreSQL refuses to run as root, and user {uid} cannot enter {closed[0]}; run carenet as another "
            f"user, name a folder with --dir that others may enter, or chmod o+x {closed[0]}"
        )
    return RunAs(uid, gid, search=bool(closed))


def _owner(data: Path) -> tuple[int, int] | None:
    """The unprivileged owner of data that are already there."""
    try:
        stat = data.stat()
    except OSError:
        return None
    return (stat.st_uid, stat.st_gid) if stat.st_uid else None


def _unprivileged() -> tuple[int, int]:
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return entry.pw_uid, entry.pw_gid
    raise SetupError("PostgreSQL refuses to run as root, and there is neither a user postgres nor nobody")


def _may_search(folder: Path, uid: int, gid: int) -> bool:
    try:
        stat = folder.stat()
    except OSError:
        return False
    if stat.st_uid == uid:
        return bool(stat.st_mode & _OWNER_SEARCH)
    if stat.st_gid == gid:
        return bool(stat.st_mode & _GROUP_SEARCH)
    return bool(stat.st_mode & _WORLD_SEARCH)


def _capabilities() -> int:
    """Our effective capabilities as a mask; 0 if the kernel does not say."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1], 16) for line in lines if line.startswith("CapEff:")), 0)
