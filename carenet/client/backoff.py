"""How long to wait before the next try: longer each time, and never in step with others."""

from __future__ import annotations

import random

_FIRST_S, _MOST_S = 0.05, 5.0


class Backoff:
    """Waiting times that double from 50 ms to 5 s, each drawn between half and whole, so that clients spread out."""

    __slots__ = ("_next_s",)

    def __init__(self) -> None:
        self._next_s = _FIRST_S

    def next_s(self) -> float:
        """Seconds to wait now."""
        wait_s = self._next_s * random.uniform(0.5, 1)  # noqa: S311 - spreads load, keeps no secret
        self._next_s = min(_MOST_S, 2 * self._next_s)
        return wait_s

    def reset(self) -> None:
        """Begin anew, after something worked."""
        self._next_s = _FIRST_S
