"""How long to wait before the next try: longer each time, never in step with others, short again after a success."""

from __future__ import annotations

import random

_FIRST_S, _LAST_S = 0.1, 3.0  # take-over must be done within 10 s, so no wait may be much longer than this


class Backoff:
    """Delays between tries."""

    def __init__(self, first_s: float = _FIRST_S, last_s: float = _LAST_S) -> None:
        self._first_s, self._last_s = first_s, last_s
        self._tries = 0

    def __repr__(self) -> str:
        return f"<Backoff after {self._tries} tries>"

    def next_s(self) -> float:
        """Seconds to wait now: doubling up to the last, half of it by chance."""
        ceiling = min(self._last_s, self._first_s * (1 << min(self._tries, 16)))
        self._tries += 1
        return ceiling * random.uniform(0.5, 1.0)  # noqa: S311 - nothing is kept secret by it

    def reset(self) -> None:
        """Start over: it worked."""
        self._tries = 0
