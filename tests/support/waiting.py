"""Waiting for what real processes do, with an end, and looking whether one still lives."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

# Slow machines set this to 2, 3, …: every wait may then take that many times as long.
STRETCH = float(os.environ.get("CARENET_TEST_STRETCH", "1"))


async def until(condition: Callable[[], bool], timeout_s: float = 10.0) -> None:
    """Return when the condition holds.

    Args:
        condition: asked every 20 ms.
        timeout_s: seconds, stretched by CARENET_TEST_STRETCH.

    Raises:
        TimeoutError: it did not come to hold in time.
    """
    async with asyncio.timeout(timeout_s * STRETCH):
        while not condition():  # noqa: ASYNC110 - other processes send no event
            await asyncio.sleep(0.02)


async def until_answered(ask: Callable[[], Awaitable[bool]], timeout_s: float = 10.0) -> None:
    """Return when a question, put every 50 ms to a database or a broker, is answered with yes.

    Raises:
        TimeoutError: it was not in time; stretched likewise.
    """
    async with asyncio.timeout(timeout_s * STRETCH):
        while not await ask():  # noqa: ASYNC110 - other processes send no event
            await asyncio.sleep(0.05)


def is_alive(pid: int) -> bool:
    """Whether this process runs (one that has ended and waits to be reaped does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False
