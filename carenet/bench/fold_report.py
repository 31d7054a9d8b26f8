"""What `carenet bench fold` is asked for, and what it reports."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from carenet.bench.rounds import Round

BARE, SINGLE, ENTRIES, BATCH = "bare", "single", "entries", "batch"
KINDS = (BARE, SINGLE, ENTRIES, BATCH)


@dataclass(frozen=True, slots=True)
class FoldPlan:
    """What to measure.

    Attributes:
        events: of each kind of signature.
        patients: that they are spread over.
        rounds: counted ones, after the warm-up.
        kinds: which of `KINDS` take part.
        keep: a folder in which servers' data and published events stay, and are used again; None throws them away.
    """

    events: int
    patients: int = 2000
    rounds: int = 5
    kinds: frozenset[str] = frozenset(KINDS)
    keep: Path | None = None

    @property
    def networks(self) -> tuple[str, ...]:
        """The networks that are needed."""
        wanted = (SINGLE, *([BATCH] if BATCH in self.kinds else []))
        return wanted if self.kinds - {BATCH} else (BATCH,)


@dataclass(slots=True)
class FoldReport:
    """What was measured; figures that were left out are None.

    Attributes:
        events: of each round.
        rounds: the counted ones by kind.
        verify_us: one libsodium verification on one core.
        publish_per_s: by network, as it was published.
        bare_seal_sign_per_s: of the bare libraries in as many processes.
    """

    events: int
    rounds: dict[str, list[Round]] = field(default_factory=lambda: defaultdict(list))
    verify_us: float = 0.0
    publish_per_s: dict[str, float] = field(default_factory=dict)
    bare_seal_sign_per_s: float | None = None

    def per_s(self, kind: str) -> float | None:
        """Events a second of a kind, the median."""
        return median(each.per_s for each in self.rounds[kind]) if self.rounds.get(kind) else None

    def cpu_us(self, kind: str) -> float | None:
        """Microseconds of CPU an event, the median."""
        return median(each.cpu_us for each in self.rounds[kind]) if self.rounds.get(kind) else None

    def to_map(self) -> dict[str, float | None]:
        """The JSON object that the command prints."""
        verify_per_s = 1e6 / self.verify_us
        single, batch = self.per_s(SINGLE), self.per_s(BATCH)
        return {
            "events": self.events,
            "events_per_s": _rounded(single, 1),
            "batch_signed_events_per_s": _rounded(batch, 1),
            "verify_per_s": _rounded(verify_per_s, 1),
            "verify_us": _rounded(self.verify_us, 2),
            "pipeline_per_s": _rounded(self.per_s(BARE), 1),
            "ratio": _rounded(single and single / verify_per_s, 3),
            "batch_ratio": _rounded(batch and batch / verify_per_s, 3),
            "cpu_us_per_event": _rounded(self.cpu_us(SINGLE), 2),
            "batch_cpu_us_per_event": _rounded(self.cpu_us(BATCH), 2),
            "with_entries_topic_per_s": _rounded(self.per_s(ENTRIES), 1),
            "publish_per_s": _rounded(self.publish_per_s.get(BATCH), 1),  # as the SDK does with a long queue
            "bare_seal_sign_per_s": _rounded(self.bare_seal_sign_per_s, 1),
        }


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
