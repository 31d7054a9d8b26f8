"""What a demo comes to: the numbers of one run, as the JSON that machines read and as a judgement.

All counts are of this run. `published` is what Kafka took from participants, `folded` and `refused` are what the node
made of it (relays, which nodes send, are in neither), so that published = folded + refused when nothing is lost.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class WatcherCount:
    """What one watcher got.

    Attributes:
        pushed: pushes of entries of this run, repeats included.
        expected: entries of this run that it was entitled to, counted without the gateway.
        lost: of those, never pushed.
        doubled: pushes of an entry that had been pushed before.
        unasked: entries pushed that it was not entitled to.
        unopened: care events pushed that its keys did not open.
    """

    pushed: int
    expected: int
    lost: int
    doubled: int
    unasked: int = 0
    unopened: int = 0

    @property
    def is_clean(self) -> bool:
        """Whether it got exactly what it should have, and could read it."""
        return not (self.lost or self.doubled or self.unasked or self.unopened)


@dataclass(frozen=True, slots=True)
class Verified:
    """What the verification from scratch looked at: the whole network, not this run alone.

    Attributes:
        chains: timelines whose hash chain was derived again.
        entries: entries decided again, in every partition.
        signatures: statements whose signature was verified.
        broken: what did not hold.
    """

    chains: int
    entries: int
    signatures: int
    broken: int


@dataclass(frozen=True, slots=True)
class Summary:
    """One run.

    Attributes:
        published: statements that participants sent and Kafka took.
        folded: statements that became entries, control statements too, each counted once.
        refused: statements that did not, by reason code.
        watchers: by name.
        verified: from scratch, at the end.
        p50_ms: median time from the publish call to the opened update at a watcher, milliseconds; None if none came.
        p99_ms: the 99th percentile.
        seconds: how long the run took, servers and verification included.
        surprises: what should not have happened, in words: a refusal that nobody provoked, or none where one was due.
    """

    published: int
    folded: int
    refused: Mapping[str, int]
    watchers: Mapping[str, WatcherCount]
    verified: Verified
    p50_ms: float | None
    p99_ms: float | None
    seconds: float
    surprises: tuple[str, ...] = field(default=())

    @property
    def undecided(self) -> int:
        """Statements that Kafka took and the node neither folded nor refused."""
        return self.published - self.folded - sum(self.refused.values())

    @property
    def is_clean(self) -> bool:
        """Whether nothing was lost, doubled, shown to the wrong eyes or broken, and nothing surprised us."""
        counts = self.watchers.values()
        whole = self.undecided == 0 and self.verified.broken == 0
        return whole and not self.surprises and all(count.is_clean for count in counts)

    def as_json(self) -> dict[str, Any]:
        """The object that `carenet demo --json` prints."""
        return {
            "published": self.published,
            "folded": self.folded,
            "refused": dict(self.refused),
            "watchers": {
                name: {
                    "pushed": count.pushed,
                    "expected": count.expected,
                    "lost": count.lost,
                    "doubled": count.doubled,
                }
                for name, count in self.watchers.items()
            },
            "verified": {
                "chains": self.verified.chains,
                "entries": self.verified.entries,
                "signatures": self.verified.signatures,
                "broken": self.verified.broken,
            },
            "latency_ms": {"p50": self.p50_ms, "p99": self.p99_ms},
            "seconds": round(self.seconds, 2),
        }


def percentile(samples: Sequence[float], share: float) -> float | None:
    """The smallest sample that at least this share of all samples does not exceed (nearest rank); None of none.

    Args:
        samples: any order.
        share: 0 < share <= 1.
    """
    if not 0 < share <= 1:
        raise ValueError("a percentile's share is above 0 and at most 1")
    if not samples:
        return None
    return sorted(samples)[math.ceil(share * len(samples)) - 1]
