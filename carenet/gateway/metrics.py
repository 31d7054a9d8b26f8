"""What the gateway counts, for Prometheus. Labels are few and fixed: no ids, nothing of patients."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

CONTENT_TYPE = CONTENT_TYPE_LATEST
_LAG_BUCKETS = (0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 0.512, 1, 2, 5, 15, 60)


class Metrics:
    """One gateway's metrics, in a registry of its own so that two gateways in one process do not mix.

    Attributes:
        sessions: participants' connections that are in.
        pushes: entries handed to sessions, by kind (live, backlog).
        applied: entries applied, by partition.
        lag: seconds from an entry's log time to its push, both by the clocks of broker and gateway.
        requests: requests by type and result (reply or the reason).
        closes: sessions ended by the gateway, by close code.
        greeting: connections that have not said yet who they are.
        undecided: records in the events topic that this gateway has not seen decided.
        wait: seconds that what is published now will wait for its decision, as estimated.
        fold_rate: records a second that the fold decided while it had plenty to do.
        overloaded: 1 while care data is refused as `overloaded`.
        refused: connections, statements and GETs turned away, by reason: docs/formats.md section 11, and `tls_…`.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.sessions = Gauge("carenet_gateway_sessions", "Sessions that are in.", registry=self.registry)
        self.pushes = Counter("carenet_gateway_pushes", "Entries pushed.", ["kind"], registry=self.registry)
        self.applied = Gauge("carenet_gateway_applied", "Entries applied.", ["partition"], registry=self.registry)
        self.lag = Histogram(
            "carenet_gateway_lag_seconds", "Log time to push.", buckets=_LAG_BUCKETS, registry=self.registry
        )
        self.requests = Counter(
            "carenet_gateway_requests", "Requests answered.", ["type", "result"], registry=self.registry
        )
        self.closes = Counter("carenet_gateway_closes", "Sessions ended.", ["code"], registry=self.registry)
        self.refused = Counter("carenet_gateway_refused", "Turned away.", ["reason"], registry=self.registry)
        self.greeting = Gauge("carenet_gateway_greeting", "Connections not signed in yet.", registry=self.registry)
        self.undecided = Gauge("carenet_gateway_undecided", "Records not decided yet.", registry=self.registry)
        self.wait = Gauge("carenet_gateway_wait_seconds", "Estimated wait for a decision.", registry=self.registry)
        self.fold_rate = Gauge("carenet_gateway_fold_rate", "Records decided a second.", registry=self.registry)
        self.overloaded = Gauge("carenet_gateway_overloaded", "Care data is refused.", registry=self.registry)

    def refuse(self, reason: str) -> None:
        """Count something that was turned away; the reason is one of ours."""
        self.refused.labels(reason).inc()

    def render(self) -> bytes:
        """The exposition text."""
        return generate_latest(self.registry)
