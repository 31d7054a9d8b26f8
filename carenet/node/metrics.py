"""What a fold worker counts, for Prometheus: by partition, stage and reason, never by anything that names someone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from carenet.rules.effects import Effects

_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)


class FoldMetrics:
    """The counters of one worker, in a registry of its own.

    Attributes:
        registry: to be served by whoever runs the worker.
    """

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self._accepted = Counter(
            "carenet_fold_accepted", "Statements that became entries.", ["partition"], registry=registry
        )
        self._refused = Counter("carenet_fold_refused", "Records that were refused.", ["reason"], registry=registry)
        self._seconds = Histogram(
            "carenet_fold_stage_seconds",
            "How long a batch was in a stage.",
            ["stage"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._next_offset = Gauge(
            "carenet_fold_next_offset", "The first offset that is not decided.", ["partition"], registry=registry
        )
        self._failures = Counter("carenet_fold_failures", "Lanes that ended early.", ["kind"], registry=registry)
        self._halted = Gauge(
            "carenet_fold_halted", "Whether a partition is not served.", ["partition"], registry=registry
        )

    @contextmanager
    def measure(self, stage: str) -> Iterator[None]:
        """Measure how long a batch is in a stage."""
        began_s = perf_counter()
        yield
        self._seconds.labels(stage).observe(perf_counter() - began_s)

    def count(self, effects: Effects) -> None:
        """Count what was committed."""
        partition = str(effects.state.partition)
        self._accepted.labels(partition).inc(len(effects.accepted))
        self._next_offset.labels(partition).set(effects.state.next_offset)
        for each in effects.rejected:
            self._refused.labels(str(each.reason)).inc()

    def count_failure(self, kind: str) -> None:
        """Count a lane that ended early, by the error's class."""
        self._failures.labels(kind).inc()

    def set_halted(self, partition: int, is_halted: bool) -> None:
        """Say whether a partition is served."""
        self._halted.labels(str(partition)).set(is_halted)
