"""Running a command that holds servers: Ctrl-C and SIGTERM cancel it, so that everything it started is stopped.

A second signal cancels it again, which ends what is slow to stop with SIGKILL. An interrupted command exits with 130
after Ctrl-C and 143 after SIGTERM, as a shell expects.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import typer
import uvloop

T = TypeVar("T")

_SIGNALLED = 128


def run_until_interrupted(start: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a command's coroutine to its end.

    Args:
        start: makes the coroutine.

    Raises:
        typer.Exit: a signal ended it; with the exit code.
    """
    received: list[signal.Signals] = []

    async def run() -> T:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None

        def hear(number: signal.Signals) -> None:
            received.append(number)
            task.cancel()

        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, hear, number)
        return await start()

    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(run())
    except BaseException as exc:
        # What a cancellation meets on its way out is no news: the command was told to end, and it ended.
        if not received:
            raise
        raise typer.Exit(_SIGNALLED + received[0]) from exc
