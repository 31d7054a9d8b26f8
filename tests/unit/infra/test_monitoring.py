"""What Prometheus scrapes and asks for, and what Grafana draws, against the registries of the code."""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from carenet.gateway.metrics import Metrics
from carenet.node.health import Standing, WorkerHealth
from carenet.node.metrics import AgentMetrics, FoldMetrics
from tests.unit.infra.conftest import INFRA, environment, read_yaml, services

DASHBOARD = json.loads((INFRA / "grafana/dashboards/carenet.json").read_text(encoding="utf-8"))
RULES = read_yaml("infra/prometheus/alerts.yml")["groups"][0]["rules"]
SCRAPED = {
    job["job_name"]: job["dns_sd_configs"][0] for job in read_yaml("infra/prometheus/prometheus.yml")["scrape_configs"]
}
ASKED = [target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", [])]
EXPRESSIONS = ASKED + [rule["expr"] for rule in RULES]
_OF_PROMETHEUS = {"up", "ALERTS"}
_SUFFIXES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}
_LABELS_OF_PROMETHEUS = {"job", "instance", "alertstate", "le"}


def _registries() -> list[CollectorRegistry]:
    standing = Standing(1, 1, 1, 1, 1)
    fold = FoldMetrics(lambda: WorkerHealth(frozenset({0}), {}, (), {0: standing}))
    return [fold.registry, AgentMetrics().registry, Metrics().registry]


@cache
def _names() -> dict[str, str]:
    """The name of every series that the code can show, with its type."""
    families = [family for registry in _registries() for family in registry.collect()]
    return {family.name + suffix: family.type for family in families for suffix in _SUFFIXES[family.type]}


def _labels(registry: CollectorRegistry) -> set[str]:
    shown = {name for family in registry.collect() for sample in family.samples for name in sample.labels}
    declared = {name for each in registry._collector_to_names for name in getattr(each, "_labelnames", ())}
    return shown | declared


def _series(expression: str) -> set[str]:
    bare = re.sub(r"\{[^}]*\}|\bby \([^)]*\)|\[\w+\]", " ", expression)
    return set(re.findall(r"\b(?:carenet|process)_\w+|\bup\b|\bALERTS\b", bare))


def _labels_asked(expression: str) -> set[str]:
    grouped = re.findall(r"\bby \(([^)]*)\)", expression)
    matched = re.findall(r"\{([^}]*)\}", expression)
    return {name.strip() for group in grouped for name in group.split(",")} | {
        name for group in matched for name in re.findall(r"(\w+)\s*[=!]", group)
    }


def test_there_is_something_to_hold() -> None:
    assert len(ASKED) > 20
    assert len(RULES) > 5
    assert _names()["carenet_fold_accepted_total"] == "counter"


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_every_series_that_is_asked_for_is_one_that_the_code_shows(expression: str) -> None:
    asked = _series(expression)
    assert asked
    assert asked - _OF_PROMETHEUS <= _names().keys()


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_rates_are_taken_of_what_only_grows_and_of_nothing_else(expression: str) -> None:
    of_rate = set(re.findall(r"\b(?:rate|increase)\((\w+)", expression))
    assert all(_names()[name] in {"counter", "histogram"} for name in of_rate)
    growing = {name for name in _series(expression) - _OF_PROMETHEUS if _names()[name] != "gauge"}
    assert growing == of_rate


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_every_label_that_is_asked_for_is_one_that_the_code_gives(expression: str) -> None:
    given = set().union(*map(_labels, _registries())) | _LABELS_OF_PROMETHEUS
    assert _labels_asked(expression) <= given


def test_quantiles_are_taken_of_buckets_that_keep_their_bounds() -> None:
    quantiles = [each for each in EXPRESSIONS if "histogram_quantile" in each]
    assert quantiles
    for each in quantiles:
        assert re.fullmatch(
            r"histogram_quantile\([\d.]+, sum by \(le[^)]*\) \(rate\(\w+_bucket\[5m\]\)\)\)( > 1)?", each
        )


def test_no_label_can_name_a_person() -> None:
    labels = set().union(*map(_labels, _registries()))
    allowed = {"partition", "reason", "stage", "how", "kind", "agent", "type", "result", "code"}
    assert labels - {"le"} <= allowed


@pytest.mark.parametrize("job", ["worker", "agents", "gateway"])
def test_a_target_is_a_service_on_the_port_that_it_serves(job: str) -> None:
    given = environment(job)
    port = given["CARENET_GATEWAY_PORT"] if job == "gateway" else given["CARENET_METRICS_PORT"]
    assert (SCRAPED[job]["names"], SCRAPED[job]["port"]) == ([job], int(port))
    assert set(services()[job]["networks"]) & set(services()["prometheus"]["networks"])


def test_nothing_is_scraped_that_is_not_there() -> None:
    assert SCRAPED.keys() == {"worker", "agents", "gateway"}
    assert read_yaml("infra/prometheus/prometheus.yml")["rule_files"] == ["alerts.yml"]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_says_what_is_wrong_and_what_to_do(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in {"critical", "warning"}
    assert rule["annotations"].keys() == {"summary", "what_to_do"}
    named = set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]))
    given = set().union(*map(_labels, _registries())) | _LABELS_OF_PROMETHEUS
    assert named <= given
    assert not named or "sum(" not in rule["expr"], "a sum has no labels to name"


def test_lag_halts_standstill_and_refusals_raise_an_alert() -> None:
    asked = {rule["alert"]: _series(rule["expr"]) for rule in RULES}
    assert asked["PartitionHalted"] == {"carenet_fold_halted"}
    assert asked["FoldBehind"] == {"carenet_fold_log_time_seconds", "carenet_fold_undecided_records"}
    assert asked["NoCommitsWhileTopicGrows"] == {"carenet_fold_next_offset", "carenet_fold_undecided_records"}
    assert "carenet_fold_refused_total" in asked["ManyRefused"]


def test_grafana_finds_its_dashboard_and_the_dashboard_its_prometheus() -> None:
    (source,) = read_yaml("infra/grafana/provisioning/datasources/prometheus.yml")["datasources"]
    (provider,) = read_yaml("infra/grafana/provisioning/dashboards/carenet.yml")["providers"]
    used = {target["datasource"]["uid"] for panel in DASHBOARD["panels"] for target in panel.get("targets", [])}
    assert used == {source["uid"]}
    assert source["url"] == "http://prometheus:9090"
    assert f"./infra/grafana/dashboards:{provider['options']['path']}:ro" in services()["grafana"]["volumes"]
    home = environment("grafana")["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home == f"{provider['options']['path']}/carenet.json"


def test_the_first_row_says_whether_it_is_well() -> None:
    first = [panel["title"] for panel in DASHBOARD["panels"] if panel["gridPos"]["y"] == 0]
    assert first == ["Alerts", "Processes down", "Partitions halted", "Fold behind", "Refused", "p99 log to push"]
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in DASHBOARD["panels"]]
    assert len(set(places)) == len(places)
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(places)
