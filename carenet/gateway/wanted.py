"""What all sessions together have subscribed to: a look tells whether anybody may want an entry at all.

Each watch says what it wants when that changes, before it counts on it. Who may read is not asked here.
"""

from __future__ import annotations

from collections.abc import Iterable


class Wanted:
    """See the module header.

    Attributes:
        named: subjects that sessions name, each with how many do.
        everything: participants with sessions that want all that they may read, each with how many.
    """

    def __init__(self) -> None:
        self.named: dict[bytes, int] = {}
        self.everything: dict[bytes, int] = {}

    def __repr__(self) -> str:
        return f"<Wanted: {len(self.named)} subjects, and everything by {len(self.everything)} participants>"

    def add(self, reader: bytes, subjects: frozenset[bytes] | None) -> None:
        """A session of a participant wants some subjects; None for all."""
        if subjects is None:
            _count(self.everything, [reader], 1)
        else:
            _count(self.named, subjects, 1)

    def drop(self, reader: bytes, subjects: frozenset[bytes] | None) -> None:
        """It wants them no longer: what it has added before."""
        if subjects is None:
            _count(self.everything, [reader], -1)
        else:
            _count(self.named, subjects, -1)


def _count(counts: dict[bytes, int], keys: Iterable[bytes], by: int) -> None:
    for key in keys:
        count = counts.get(key, 0) + by
        if count:
            counts[key] = count
        else:
            del counts[key]
