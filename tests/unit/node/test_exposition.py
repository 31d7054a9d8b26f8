from __future__ import annotations

import asyncio
import json
import socket
import urllib.error
import urllib.request

from prometheus_client import CollectorRegistry, Counter

from carenet.node.exposition import serving_metrics
from carenet.node.health import HealthCollector, Standing, WorkerHealth

HOST = "127.0.0.1"


def _get(port: int, path: str) -> tuple[int, str]:
    request = urllib.request.Request(f"http://{HOST}:{port}{path}", headers={"Accept": "text/plain; version=0.0.4"})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as exc:
        with exc:
            return exc.code, exc.read().decode()


async def _ask(port: int | None, path: str) -> tuple[int, str]:
    assert port is not None
    return await asyncio.to_thread(_get, port, path)


async def test_metrics_and_health_are_served_and_nothing_else() -> None:
    registry = CollectorRegistry()
    Counter("carenet_seen", "Things seen.", registry=registry).inc(3)
    health = {"status": "ok", "assigned": [0, 1]}
    async with serving_metrics(HOST, 0, registry, lambda: health) as port:
        status, text = await _ask(port, "/metrics")
        assert (status, "carenet_seen_total 3.0" in text) == (200, True)
        assert await _ask(port, "/health") == (200, '{"status":"ok","assigned":[0,1]}\n')
        assert (await _ask(port, "/other"))[0] == 404
        health["status"] = "servers away"
        assert (await _ask(port, "/health"))[0] == 503
    with socket.socket() as probe:
        assert probe.connect_ex((HOST, port)) != 0, "it must not serve on"


async def test_a_loop_that_no_longer_turns_is_unwell() -> None:
    async with serving_metrics(HOST, 0, CollectorRegistry(), lambda: {"status": "ok"}) as port:
        assert port is not None
        status, text = _get(port, "/health")  # from the loop itself, which waits for the answer meanwhile
        assert (status, "has not turned" in text) == (503, True)
        assert _get(port, "/metrics")[0] == 200
        await asyncio.sleep(0)
        assert await _ask(port, "/health") == (200, '{"status":"ok"}\n')


async def test_an_address_that_is_taken_is_not_served_and_ends_nothing() -> None:
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        async with serving_metrics(HOST, port, CollectorRegistry(), lambda: {"status": "ok"}) as bound:
            assert bound is None


def test_gauges_are_those_of_the_partitions_that_are_here_now() -> None:
    healths = [
        WorkerHealth(frozenset({2, 5}), {5: "topic"}, (), {2: Standing(10, 3, 1_500, 4, 6)}),
        WorkerHealth(frozenset(), {}, ("Kafka",), {}),
    ]
    registry = CollectorRegistry()
    registry.register(HealthCollector(lambda: healths[0]))
    value = registry.get_sample_value
    assert (value("carenet_fold_halted", {"partition": "5"}), value("carenet_fold_halted", {"partition": "2"})) == (
        1,
        0,
    )
    assert value("carenet_fold_assigned") == 2
    assert value("carenet_fold_servers_away") == 0
    assert [
        value(f"carenet_fold_{name}", {"partition": "2"})
        for name in ("next_offset", "undecided_records", "log_time_seconds", "unsigned_entries", "unpublished_entries")
    ] == [10, 3, 1.5, 4, 6]
    healths.pop(0)
    assert value("carenet_fold_halted", {"partition": "5"}) is None
    assert value("carenet_fold_servers_away") == 1


def test_health_names_what_is_halted_and_is_unwell_only_while_servers_are_away() -> None:
    halted = WorkerHealth(frozenset({1, 0}), {1: "another record"})
    assert json.loads(json.dumps(halted.describe())) == {
        "status": "ok",
        "assigned": [0, 1],
        "halted": {"1": "another record"},
        "away": [],
    }
    assert WorkerHealth(away=("asking Kafka",)).describe()["status"] != "ok"


def test_no_label_names_anything_but_a_partition() -> None:
    registry = CollectorRegistry()
    registry.register(HealthCollector(lambda: WorkerHealth(frozenset({0}), {}, (), {0: Standing(1, 1, 1, 1, 1)})))
    labels = {name for family in registry.collect() for sample in family.samples for name in sample.labels}
    assert labels == {"partition"}
