"""One stack for one state folder: a lock that ends with the process that holds it, however it ends."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from carenet.errors import SetupError

_NAME = "carenet.lock"


@contextlib.contextmanager
def lock_directory(directory: Path) -> Iterator[None]:
    """Hold the folder's lock while the block runs; makes the folder if it is not there.

    Raises:
        SetupError: another process holds it (named by its id), or the folder cannot be written.
    """
    path = directory / _NAME
    try:
        directory.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as exc:
        raise SetupError(f"the folder {directory} cannot be used: {exc.strerror}") from exc
    with os.fdopen(descriptor, "r+", encoding="ascii") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            holder = file.read().strip() or "unknown"
            raise SetupError(
                f"{directory} is in use by carenet process {holder}: stop that one, or name another folder with --dir"
            ) from exc
        file.truncate()
        file.write(str(os.getpid()))
        file.flush()
        yield
        # The file stays: removing it would let two others lock two different files of that name.
        file.seek(0)
        file.truncate()


def is_locked(directory: Path) -> bool:
    """Whether some process (this one included) holds the folder's lock."""
    try:
        with (directory / _NAME).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
