"""What a fold worker and the agents count, for Prometheus: never by anything that names someone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from carenet.node.health import HealthCollector, WorkerHealth
from carenet.rules.effects import Effects

_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)
_RECORDS = (1, 4, 16, 64, 256, 1024, 4096)


class FoldMetrics:
    """The counters of one worker, in a registry of its own.

    Args:
        read_health: how the worker is, for the gauges that are computed when they are asked for.

    Attributes:
        registry: to be served by whoever runs the worker (`exposition`).
    """

    def __init__(self, read_health: Callable[[], WorkerHealth]) -> None:
        self.registry = registry = CollectorRegistry()
        registry.register(HealthCollector(read_health))
        ProcessCollector(registry=registry)
        self._accepted = Counter(
            "carenet_fold_accepted", "Statements that became entries.", ["partition"], registry=registry
        )
        self._signed = Counter(
            "carenet_fold_signatures", "Accepted statements by how they were signed.", ["how"], registry=registry
        )
        self._refused = Counter("carenet_fold_refused", "Records that were refused.", ["reason"], registry=registry)
        self._seconds = Histogram(
            "carenet_fold_stage_seconds",
            "How long a batch was in a stage.",
            ["stage"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._batch = Histogram(
            "carenet_fold_batch_records", "Records of a committed batch.", buckets=_RECORDS, registry=registry
        )
        self._failures = Counter("carenet_fold_failures", "Lanes that ended early.", ["kind"], registry=registry)

    @contextmanager
    def measure(self, stage: str) -> Iterator[None]:
        """Measure how long a batch is in a stage."""
        began_s = perf_counter()
        yield
        self._seconds.labels(stage).observe(perf_counter() - began_s)

    def count(self, effects: Effects) -> None:
        """Count what was committed."""
        self._accepted.labels(str(effects.state.partition)).inc(len(effects.accepted))
        batched = sum(each.statement.place is not None for each in effects.accepted)
        self._signed.labels("batch").inc(batched)
        self._signed.labels("single").inc(len(effects.accepted) - batched)
        self._batch.observe(len(effects.accepted) + len(effects.rejected))
        for each in effects.rejected:
            self._refused.labels(str(each.reason)).inc()

    def count_failure(self, kind: str) -> None:
        """Count a lane that ended early, by the error's class."""
        self._failures.labels(kind).inc()


class AgentMetrics:
    """What the stream processors of one process count, in a registry of its own.

    Attributes:
        registry: to be served by whoever runs them (`exposition`).
    """

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self._records = Counter(
            "carenet_agents_records", "Records of the entries topic that an agent took.", ["agent"], registry=registry
        )
        self._unwritten = Gauge(
            "carenet_agents_unwritten_patients", "Patients whose figures PostgreSQL does not have.", registry=registry
        )

    def count(self, agent: str) -> None:
        """Count a record that an agent took."""
        self._records.labels(agent).inc()

    def watch_unwritten(self, read: Callable[[], int]) -> None:
        """Say how the number of patients whose figures wait is found; asked by the thread that serves it."""
        self._unwritten.set_function(read)
