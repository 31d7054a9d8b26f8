"""What `carenet bench fanout` is asked for, and what it reports."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median


@dataclass(frozen=True, slots=True)
class FanoutPlan:
    """What is run.

    Attributes:
        watchers: at least five.
        rounds: counted ones, of each kind.
        deliveries: of each round, about.
    """

    watchers: int
    rounds: int = 3
    deliveries: int = 60_000


@dataclass(frozen=True, slots=True)
class Spell:
    """One round of one server.

    Attributes:
        deliveries: frames that reached a watcher.
        seconds: from the first event to the last delivery.
        cpu_s: of the server.
    """

    deliveries: int
    seconds: float
    cpu_s: float

    @property
    def per_s(self) -> float:
        """Deliveries a second."""
        return self.deliveries / self.seconds

    @property
    def cpu_us(self) -> float:
        """CPU of one delivery, µs."""
        return self.cpu_s / self.deliveries * 1e6


@dataclass(slots=True)
class Layout:
    """The counted rounds of one layout."""

    gateway: list[Spell] = field(default_factory=list)
    bare: list[Spell] = field(default_factory=list)

    def to_map(self) -> dict[str, float]:
        """The figures, medians."""
        cpu_us, bare_cpu_us = (median(each.cpu_us for each in spells) for spells in (self.gateway, self.bare))
        return {
            "deliveries_per_s": round(median(each.per_s for each in self.gateway)),
            "cpu_us_per_delivery": round(cpu_us, 2),
            "bare_cpu_us_per_delivery": round(bare_cpu_us, 2),
            "ratio": round(cpu_us / bare_cpu_us, 3),
            "bare_deliveries_per_s": round(median(each.per_s for each in self.bare)),
        }


@dataclass(frozen=True, slots=True)
class FanoutReport:
    """What was measured.

    Attributes:
        plan: what was run.
        one: all watchers on one patient.
        five: five watchers a patient.
        frame_bytes: the payload of a push, and of a bare frame.
    """

    plan: FanoutPlan
    one: Layout
    five: Layout
    frame_bytes: int

    def to_map(self) -> dict[str, object]:
        """The JSON object that the command prints; the figures at its top are those of one patient."""
        return {
            **self.one.to_map(),
            "five_a_patient": self.five.to_map(),
            "watchers": self.plan.watchers,
            "frame_bytes": self.frame_bytes,
            "rounds": self.plan.rounds,
        }
