"""How many files, and so connections, this process may have open."""

from __future__ import annotations

import resource

SPARE_FILES = 200  # beside connections: libraries, PostgreSQL, Kafka, logs


def raise_open_files(connections: int) -> str | None:
    """Raise the soft limit to the hard one, as any process may.

    Args:
        connections: how many there may be.

    Returns:
        What to do about a hard limit that is too low for them; None where it is not.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    needed = connections + SPARE_FILES
    if hard == resource.RLIM_INFINITY or hard >= needed:
        return None
    return f"{connections} connections need {needed} open files and the hard limit is {hard}: raise it (ulimit -Hn)"
