"""How far the fold is behind, in seconds, from where the topic ends and how far it has decided. No I/O, no clock.

Two figures, since each is blind where the other sees:
- the *age* of the record that is next to be decided: how long what is decided now has waited. It is measured, so it is
  right whatever the fold does, but it says what was: while twice as much comes as can be folded, it is half of what the
  next record will wait.
- the *outlook*: all that waits, over the rate at which the fold got on while it had plenty to do. It sees a burst when
  it comes, but the rate is an estimate; so it counts only when the age says that something does wait.

The node is behind when either exceeds the bound, and has caught up when both are below half of it: in between, what
was said last holds, or publishers would be told to stop and to go on with every look.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping

MAX_RETRY_AFTER_S = 30
_MAX_MARKS = 1000
_NEW_SHARE = 0.25  # of a new rate in the mean: a commit of thousands comes at once, and so the rate of one look jumps


class Pressure:
    """What a gateway knows of the fold; see the module header.

    Args:
        bound_s: longest wait for a decision at which care data is still taken.
    """

    def __init__(self, bound_s: float) -> None:
        self._bound_s = bound_s
        self._marks: dict[int, deque[tuple[float, int]]] = {}  # (when, end), ends that were not decided yet
        self._last: tuple[float, Mapping[int, int], Mapping[int, int]] | None = None
        self.rate = 0.0  # records a second, while there was plenty to do; 0 while unknown
        self.undecided = 0
        self.wait_s = 0.0
        self.is_on = False

    def __repr__(self) -> str:
        return f"<Pressure: {self.undecided} records, {self.wait_s:.1f} s behind{', on' if self.is_on else ''}>"

    @property
    def retry_after_s(self) -> int:
        """Seconds after which trying again makes sense; 0 while the node keeps up."""
        if not self.is_on:
            return 0
        return min(MAX_RETRY_AFTER_S, max(1, math.ceil(self.wait_s - self._bound_s / 2)))

    def observe(self, now_s: float, ends: Mapping[int, int], decided: Mapping[int, int]) -> None:
        """Take one look.

        Args:
            now_s: seconds that only grow.
            ends: offset after the last record, by partition.
            decided: first offset that has not been decided, by partition.
        """
        self._learn_rate(now_s, decided)
        waiting = {each: max(0, end - decided.get(each, end)) for each, end in ends.items()}
        self.undecided = sum(waiting.values())
        age_s = max((self._age(each, now_s, ends[each], decided.get(each, ends[each])) for each in ends), default=0.0)
        outlook_s = self.undecided / self.rate if self.rate else 0.0
        self.wait_s = max(age_s, outlook_s if age_s > self._bound_s / 4 else 0.0)
        if self.wait_s > self._bound_s:
            self.is_on = True
        elif max(age_s, outlook_s) <= self._bound_s / 2 or not self.undecided:
            self.is_on = False
        self._last = (now_s, dict(ends), dict(decided))

    def forget(self) -> None:
        """Nothing can be known now: say nothing."""
        self._marks.clear()
        self._last = None
        self.undecided, self.wait_s, self.is_on = 0, 0.0, False

    def _age(self, partition: int, now_s: float, end: int, decided: int) -> float:
        marks = self._marks.setdefault(partition, deque())
        if end > decided and (not marks or marks[-1][1] < end):
            marks.append((now_s, end))
        while marks and marks[0][1] <= decided:
            marks.popleft()
        if len(marks) > _MAX_MARKS:  # a fold that stands still for long: the oldest mark is what counts
            thinned = list(marks)[::2]
            marks.clear()
            marks.extend(thinned)
        return now_s - marks[0][0] if marks else 0.0

    def _learn_rate(self, now_s: float, decided: Mapping[int, int]) -> None:
        """From a look at whose beginning there was more than the fold got done until now: else it may have idled."""
        if self._last is None:
            return
        before_s, ends, was = self._last
        done = {each: decided[each] - was[each] for each in was if each in decided}
        had_plenty = any(was[each] < decided[each] <= ends.get(each, 0) for each in done)
        if had_plenty and now_s > before_s:
            rate = sum(done.values()) / (now_s - before_s)
            self.rate = rate if not self.rate else (1 - _NEW_SHARE) * self.rate + _NEW_SHARE * rate
