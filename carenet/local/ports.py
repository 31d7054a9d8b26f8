"""Free TCP ports on 127.0.0.1, and the memory of which ones a state folder used last.

Ports are taken from below the kernel's ephemeral range: a port inside it can be taken by any outgoing connection
while its server restarts, even by a client that retries that very port and connects to itself.
A port that is free now may be gone a moment later: whoever starts a server tries again with other ports.
"""

from __future__ import annotations

import contextlib
import json
import random
import socket
from pathlib import Path

_LOWEST = 20_000
_EPHEMERAL_LOWEST = 32_768  # Linux's default, if the kernel does not say
_TRIES = 100


def is_free(port: int) -> bool:
    """Whether nothing listens on this port of 127.0.0.1 (connections that linger from a dead server do not count)."""
    with socket.socket() as probe:
        # Both servers set this option themselves; it still fails while another socket listens.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
            probe.listen(1)
        except OSError:
            return False
    return True


def _ephemeral_lowest() -> int:
    try:
        return int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii").split()[0])
    except (OSError, ValueError, IndexError):
        return _EPHEMERAL_LOWEST


def free_port() -> int:
    """A port of 127.0.0.1 on which nothing listens now."""
    upper = _ephemeral_lowest()
    if upper > _LOWEST:
        for _ in range(_TRIES):
            port = random.randrange(_LOWEST, upper)  # noqa: S311 - a spread, not a secret
            if is_free(port):
                return port
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def choose_ports(memory: Path, wanted: dict[str, int], *, forget: bool = False) -> dict[str, int]:
    """One free port for each name: the one asked for, else the one used last in this folder, else any.

    Args:
        memory: JSON file that keeps the choice for the next start.
        wanted: name → port; 0 leaves the choice to us. A port that is asked for is not checked: binding it tells.
        forget: choose anew whatever was used last (after a start that failed).
    """
    last: dict[str, int] = {}
    with contextlib.suppress(OSError, ValueError):
        loaded = json.loads(memory.read_text(encoding="utf-8"))
        last = {str(k): v for k, v in loaded.items() if isinstance(v, int)} if isinstance(loaded, dict) else {}
    chosen: dict[str, int] = {}
    for name, port in wanted.items():
        old = last.get(name, 0)
        keep = not forget and 0 < old < 1 << 16 and old not in chosen.values() and is_free(old)
        choice = port or (old if keep else free_port())
        while choice in chosen.values():
            choice = free_port()
        chosen[name] = choice
    memory.write_text(json.dumps(chosen), encoding="utf-8")
    return chosen
