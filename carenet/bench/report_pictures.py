"""The pictures of the performance report, from the figures of the benches."""

from __future__ import annotations

from collections.abc import Callable

from carenet.bench.picture import Bar, draw_bars
from carenet.bench.results import Results


def _bars(results: Results, bench: str, rows: tuple[tuple[str, str, bool], ...]) -> list[Bar]:
    found = ((label, results.figure(bench, *path.split(".")), is_ours) for label, path, is_ours in rows)
    return [Bar(label, value, is_ours) for label, value, is_ours in found if value is not None]


def _draw_rates(results: Results) -> str | None:
    bars = _bars(
        results,
        "fold",
        (
            ("bare aiokafka to COPY", "pipeline_per_s", False),
            ("one core's Ed25519 verifications", "verify_per_s", False),
            ("signed singly", "events_per_s", True),
            ("with the entries topic", "with_entries_topic_per_s", True),
            ("signed in batches", "batch_signed_events_per_s", True),
        ),
    )
    return draw_bars("Fold from cold, two workers", "events a second", bars) if bars else None


def _draw_cpu(results: Results) -> str | None:
    verify_us = results.figure("fold", "verify_us")
    found = ("signed singly", "cpu_us_per_event", 2.3), ("signed in batches", "batch_cpu_us_per_event", 1.5)
    values = [(label, results.figure("fold", key), bound) for label, key, bound in found]
    bars = [Bar(label, value, target=bound * (verify_us or 0)) for label, value, bound in values if value is not None]
    if verify_us is None or not bars:
        return None
    bars.insert(0, Bar("one Ed25519 verification", verify_us, is_ours=False))
    return draw_bars("CPU of workers, PostgreSQL and Kafka for each event", "µs", bars)


def _draw_latency(results: Results) -> str | None:
    rows = (
        ("bare Kafka, p50", "bare_ms.p50", False),
        ("publish to opened update, p50", "latency_ms.p50", True),
        ("bare Kafka, p99", "bare_ms.p99", False),
        ("publish to opened update, p99", "latency_ms.p99", True),
    )
    bars = _bars(results, "latency", rows)
    return draw_bars("Latency at 300 events a second", "ms", bars) if bars else None


def _draw_fanout(results: Results) -> str | None:
    rows = (
        ("bare websockets.broadcast", "bare_cpu_us_per_delivery", False),
        ("gateway, all on one patient", "cpu_us_per_delivery", True),
        ("gateway, five a patient", "five_a_patient.cpu_us_per_delivery", True),
    )
    bars = _bars(results, "fanout", rows)
    return draw_bars("Server's CPU for each delivery", "µs", bars) if bars else None


PICTURES: dict[str, Callable[[Results], str | None]] = {
    "fold": _draw_rates,
    "fold-cpu": _draw_cpu,
    "latency": _draw_latency,
    "fanout": _draw_fanout,
}
ALT = {
    "fold": "Events a second by the fold and by its baselines",
    "fold-cpu": "CPU of one event in the fold beside one verification",
    "latency": "Latency from publish to opened update beside bare Kafka",
    "fanout": "CPU of one delivery beside a bare broadcast",
}
