"""How a fold worker stands at this moment: for `/health`, and as gauges that are computed when they are asked for.

The gauges come from the lanes that there are, not from what was set last: a partition that moved to another worker is
no longer said to be here, and nothing is counted while records are folded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

_MS = 1000


@dataclass(frozen=True, slots=True)
class Standing:
    """How far one partition is.

    Attributes:
        next_offset: the first offset that is not decided.
        undecided: records behind the topic's end, as far as the last fetch told.
        log_time_ms: the last accepted record's time.
        unsigned: entries that no checkpoint of this node covers.
        unpublished: entries that are not in the entries topic.
    """

    next_offset: int
    undecided: int
    log_time_ms: int
    unsigned: int
    unpublished: int


@dataclass(frozen=True, slots=True)
class WorkerHealth:
    """How a worker is.

    Attributes:
        assigned: the partitions that Kafka gives to it.
        halted: why it does not serve some of them.
        away: what the servers that do not answer were asked for, and how they failed; no secrets.
        partitions: those that it serves.
    """

    assigned: frozenset[int] = frozenset()
    halted: Mapping[int, str] = field(default_factory=dict)
    away: tuple[str, ...] = ()
    partitions: Mapping[int, Standing] = field(default_factory=dict)

    def describe(self) -> dict[str, object]:
        """What `/health` shows; a halted partition is named, and does not make the worker unwell."""
        return {
            "status": "ok" if not self.away else "servers away",
            "assigned": sorted(self.assigned),
            "halted": {str(partition): reason for partition, reason in sorted(self.halted.items())},
            "away": list(self.away),
        }


class HealthCollector(Collector):
    """The gauges of a worker; asked by prometheus_client in the thread that serves them.

    Args:
        read: how the worker is.
    """

    def __init__(self, read: Callable[[], WorkerHealth]) -> None:
        self._read = read

    def __repr__(self) -> str:
        return f"<HealthCollector of {self._read()}>"

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """One family for each figure, by partition where it has one."""
        health = self._read()
        yield GaugeMetricFamily("carenet_fold_assigned", "Partitions that Kafka gives here.", len(health.assigned))
        yield GaugeMetricFamily("carenet_fold_servers_away", "Whether Kafka or PostgreSQL is away.", bool(health.away))
        halted = {each: float(each in health.halted) for each in health.assigned}
        yield _by_partition("carenet_fold_halted", "Whether a partition is not served.", halted)
        for name, documentation, read in _OF_A_STANDING:
            figures = {partition: read(standing) for partition, standing in health.partitions.items()}
            yield _by_partition(name, documentation, figures)


_OF_A_STANDING: tuple[tuple[str, str, Callable[[Standing], float]], ...] = (
    ("carenet_fold_next_offset", "The first offset that is not decided.", lambda at: at.next_offset),
    ("carenet_fold_undecided_records", "Records behind the topic's end.", lambda at: at.undecided),
    (
        "carenet_fold_log_time_seconds",
        "Log time of the last accepted record, Unix time.",
        lambda at: at.log_time_ms / _MS,
    ),
    ("carenet_fold_unsigned_entries", "Entries that no checkpoint covers.", lambda at: at.unsigned),
    ("carenet_fold_unpublished_entries", "Entries that are not in the entries topic.", lambda at: at.unpublished),
)


def _by_partition(name: str, documentation: str, values: Mapping[int, float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, documentation, labels=["partition"])
    for partition, value in sorted(values.items()):
        family.add_metric([str(partition)], value)
    return family
