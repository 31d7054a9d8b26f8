"""Two processes that seal, sign and send a bench's events (`publishing`), begun together and waited for."""

from __future__ import annotations

from pathlib import Path

from carenet.bench import publishing
from carenet.bench.crew import Task, crew, rate_of

PUBLISHERS = 2


async def publish_events(folder: Path, common: Task, first: int, end: int) -> float:
    """Publish the events from `first` on and before `end`; how many a second.

    Args:
        folder: for the processes; emptied first.
        common: `kafka`, `directory`, `key`, `patients` and `signing`, as `publishing.prepare` says.
        first: number of the first event.
        end: one past the last one's.

    Raises:
        SetupError: a process failed.
    """
    tasks = [{**common, "first": first + number, "step": PUBLISHERS, "events": end} for number in range(PUBLISHERS)]
    async with crew(folder, publishing.__name__, tasks) as children:
        children.go()
        return rate_of(await children.finished())
