"""What a soak came to: what grows with history, and what does not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

_MB = 1 << 20


@dataclass(frozen=True, slots=True)
class SoakPlan:
    """What to do.

    Attributes:
        events: how many, in all.
        patients: over whom they are spread.
        watchers: SDK subscribers that follow one patient each, all along.
    """

    events: int = 500_000
    patients: int = 200
    watchers: int = 4

    @property
    def slice(self) -> int:
        """Events between two looks: 50,000, or a tenth of a shorter soak."""
        return min(50_000, max(1, self.events // 10))


@dataclass(frozen=True, slots=True)
class Slice:
    """Some events, one after the other, and how the processes stood after them.

    Attributes:
        events: how many.
        fold_s: seconds from the moment when the worker might fold them to the last one's commit.
        cpu_s: CPU of worker and PostgreSQL from the first one's publication to then.
        worker_rss: bytes.
        gateway_rss: bytes.
    """

    events: int
    fold_s: float
    cpu_s: float
    worker_rss: int
    gateway_rss: int

    @property
    def per_s(self) -> float:
        """Events folded a second."""
        return self.events / self.fold_s

    def to_map(self) -> dict[str, float]:
        """For JSON."""
        return {
            "events": self.events,
            "fold_per_s": round(self.per_s),
            "cpu_us_per_event": round(self.cpu_s / self.events * 1e6, 1),
            "worker_rss_mb": round(self.worker_rss / _MB, 1),
            "gateway_rss_mb": round(self.gateway_rss / _MB, 1),
        }


@dataclass(frozen=True, slots=True)
class Start:
    """What one start took.

    Attributes:
        seconds: of time.
        cpu_s: of the process and of PostgreSQL.
    """

    seconds: float
    cpu_s: float


@dataclass(frozen=True, slots=True)
class Starts:
    """What starts took, each as often as it was tried.

    Attributes:
        worker: from the process's start to the commit of an event that waited for it.
        gateway: from the process's start to its first healthy answer.
    """

    worker: Sequence[Start]
    gateway: Sequence[Start]

    def to_map(self) -> dict[str, float]:
        """The middle one of each, for JSON."""
        return {
            "worker_s": round(median(each.seconds for each in self.worker), 3),
            "worker_cpu_s": round(median(each.cpu_s for each in self.worker), 3),
            "gateway_s": round(median(each.seconds for each in self.gateway), 3),
            "gateway_cpu_s": round(median(each.cpu_s for each in self.gateway), 3),
        }


@dataclass(frozen=True, slots=True)
class SoakReport:
    """See the module header.

    Attributes:
        slices: in order.
        early: starts before the first slice.
        late: starts after the last one.
        owed: updates that the watchers should have had.
        lost: of those, how many they had not.
        doubled: how many they had more than once.
        database_bytes: the node's database.
        disk_bytes: the folder with Kafka's and PostgreSQL's data, write-ahead log and all.
    """

    slices: Sequence[Slice]
    early: Starts
    late: Starts
    owed: int
    lost: int
    doubled: int
    database_bytes: int
    disk_bytes: int

    @property
    def worker_rss_ratio(self) -> float:
        """The worker's memory at the end, in terms of that after the first slice."""
        return self.slices[-1].worker_rss / self.slices[0].worker_rss

    @property
    def gateway_rss_ratio(self) -> float:
        """The gateway's memory likewise."""
        return self.slices[-1].gateway_rss / self.slices[0].gateway_rss

    @property
    def fold_rate_ratio(self) -> float:
        """The last slice's rate in terms of the second one's; the first one is the warm-up."""
        return self.slices[-1].per_s / self.slices[1].per_s

    @property
    def cpu_ratio(self) -> float:
        """The last slice's CPU an event in terms of the second one's: what others on the machine do moves it less."""
        last, second = self.slices[-1], self.slices[1]
        return (last.cpu_s / last.events) / (second.cpu_s / second.events)

    @property
    def start_ratios(self) -> dict[str, float]:
        """Each figure of the late starts in terms of that of the early ones."""
        early, late = self.early.to_map(), self.late.to_map()
        return {name: late[name] / value for name, value in early.items()}

    def to_map(self) -> dict[str, object]:
        """The JSON object that the command prints."""
        return {
            "events": sum(each.events for each in self.slices),
            "worker_rss_ratio": round(self.worker_rss_ratio, 3),
            "gateway_rss_ratio": round(self.gateway_rss_ratio, 3),
            "fold_rate_ratio": round(self.fold_rate_ratio, 3),
            "cpu_ratio": round(self.cpu_ratio, 3),
            "early_start": self.early.to_map(),
            "late_start": self.late.to_map(),
            "start_ratios": {name: round(value, 3) for name, value in self.start_ratios.items()},
            "owed": self.owed,
            "lost": self.lost,
            "doubled": self.doubled,
            "database_mb": round(self.database_bytes / _MB, 1),
            "disk_mb": round(self.disk_bytes / _MB, 1),
            "slices": [each.to_map() for each in self.slices],
        }
