"""Counting what one watcher is pushed: pure arithmetic, fed by `watchers`."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet

from carenet.demo.expected import Place
from carenet.demo.summary import WatcherCount


class Tally:
    """One watcher's count of a run.

    Args:
        began: the size of each partition's log when the run began; what lies before it belongs to earlier runs.
    """

    def __init__(self, began: Mapping[int, int]) -> None:
        self._began = began
        self._seen: set[Place] = set()
        self.pushed = 0
        self.doubled = 0
        self.unopened = 0
        self.earlier = 0

    def note(self, place: Place, *, is_opened: bool) -> bool:
        """Count one push.

        Args:
            place: partition and index of its entry.
            is_opened: whether it could be read, or had nothing to open.

        Returns:
            Whether it is of this run.
        """
        partition, index = place
        if index < self._began.get(partition, 0):
            self.earlier += 1
            return False
        self.pushed += 1
        self.unopened += not is_opened
        self.doubled += place in self._seen
        self._seen.add(place)
        return True

    def missing(self, expected: AbstractSet[Place]) -> int:
        """How many expected entries have not come yet."""
        return len(expected - self._seen)

    def count(self, expected: AbstractSet[Place]) -> WatcherCount:
        """The result, held against what should have come."""
        return WatcherCount(
            pushed=self.pushed,
            expected=len(expected),
            lost=self.missing(expected),
            doubled=self.doubled,
            unasked=len(self._seen - expected),
            unopened=self.unopened,
        )
