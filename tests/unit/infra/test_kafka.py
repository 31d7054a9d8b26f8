"""The brokers in containers against those that `carenet up --brokers 3` runs, and against what topics must be."""

from __future__ import annotations

import re
import subprocess
import uuid
from pathlib import Path

import pytest

from carenet.bus.topics import topics_of
from carenet.local.kafka_accounts import ADMIN, NODE, PARTICIPANT, Accounts
from carenet.local.kafka_properties import Ports, Seat, seat_properties
from tests.support.chronicle import genesis_of
from tests.unit.infra.conftest import INFRA, environment, new_environment, services

BROKERS = [name for name in services() if name.startswith("kafka-")]
PASSWORD = "@ADMIN_PASSWORD@"
# Where it is, and what suits one small machine, differ; nothing else may.
_PLACES = {"node.id", "controller.quorum.voters", "listeners", "advertised.listeners", "log.dirs"}
_SMALL_MACHINE = {
    "broker.session.timeout.ms",
    "broker.heartbeat.interval.ms",
    "controlled.shutdown.enable",
    "offsets.topic.num.partitions",
    "transaction.state.log.num.partitions",
    "share.coordinator.state.topic.num.partitions",
    "num.network.threads",
    "num.io.threads",
    "background.threads",
    "num.recovery.threads.per.data.dir",
    "log.cleaner.dedupe.buffer.size",
    "log.cleaner.threads",
}


def _parse(text: str) -> dict[str, str]:
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


HELD = _parse((INFRA / "kafka/server.properties").read_text(encoding="utf-8"))


def _local() -> dict[str, str]:
    ports = tuple(Ports(broker, broker + 1) for broker in (1, 3, 5))
    return _parse(seat_properties(Seat(1, ports, uuid.UUID(int=0), Accounts(PASSWORD, "", ""))))


def test_every_setting_is_that_of_carenets_own_brokers() -> None:
    local = _local()
    assert {name: HELD.get(name) for name in local if name not in _PLACES | _SMALL_MACHINE} == {
        name: value for name, value in local.items() if name not in _PLACES | _SMALL_MACHINE
    }
    assert HELD.keys() <= local.keys()


def test_the_brokers_make_topics_as_check_topics_demands() -> None:
    demanded = topics_of(genesis_of("carenet.events", 1), "node").events.settings
    broker_names = {
        "retention.ms": "log.retention.ms",
        "retention.bytes": "log.retention.bytes",
        "message.timestamp.type": "log.message.timestamp.type",
        "unclean.leader.election.enable": "unclean.leader.election.enable",
    }
    assert broker_names.keys() <= demanded.keys()
    assert {name: HELD[theirs] for name, theirs in broker_names.items()} == {
        name: demanded[name] for name in broker_names
    }
    assert HELD["auto.create.topics.enable"] == "false"


def test_voters_are_the_three_services_and_each_knows_its_number() -> None:
    listened = dict(each.split("://:") for each in HELD["listeners"].split(","))
    voters = [f"{environment(name)['NODE_ID']}@{name}:{listened['CONTROLLER']}" for name in BROKERS]
    assert HELD["controller.quorum.voters"] == ",".join(voters)
    assert HELD["advertised.listeners"] == f"CLIENTS://kafka-@NODE_ID@:{listened['CLIENTS']}"
    assert [f"kafka-{environment(name)['NODE_ID']}" for name in BROKERS] == BROKERS
    for name in BROKERS:
        assert f"{name}:{HELD['log.dirs']}" in services()[name]["volumes"]
        assert f"/127.0.0.1/{listened['CLIENTS']}" in services()[name]["healthcheck"]["test"][-1]


def _start(folder: Path, **changes: str) -> subprocess.CompletedProcess[str]:
    """Run start.sh with programs that only say how they were called."""
    (folder / "bin").mkdir(exist_ok=True)
    for name in ("kafka-storage.sh", "kafka-server-start.sh"):
        program = folder / "bin" / name
        program.write_text(f'#!/bin/sh\nfor each in {name} "$@"; do echo "$each"; done\nenv | grep PASSWORD\ntrue\n')
        program.chmod(0o755)
    script = (INFRA / "kafka/start.sh").read_text(encoding="utf-8")
    assert script.count("/tmp/server.properties") == 1
    (folder / "start.sh").write_text(script.replace("/tmp/server.properties", str(folder / "server.properties")))
    given = environment("kafka-2") | {"KAFKA_HOME": str(folder), "TEMPLATE": str(INFRA / "kafka/server.properties")}
    given = {name: value for name, value in (given | {"PATH": "/usr/bin:/bin"} | changes).items() if value}
    command = ["sh", str(folder / "start.sh")]
    return subprocess.run(command, env=given, capture_output=True, text=True, check=False)


def test_starting_fills_in_the_settings_makes_the_accounts_and_becomes_the_broker(tmp_path: Path) -> None:
    done = _start(tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    made = new_environment()
    formatting, _, serving = done.stdout.partition("kafka-server-start.sh\n")
    accounts = {ADMIN: "ADMIN", NODE: "NODE", PARTICIPANT: "PARTICIPANT"}
    for name, variable in accounts.items():
        assert f"SCRAM-SHA-512=[name={name},password={made[f'KAFKA_{variable}_PASSWORD']}]" in formatting
    assert f"--cluster-id={made['KAFKA_CLUSTER_ID']}" in formatting
    assert serving == f"{tmp_path}/server.properties\n", "the broker's environment holds no password"
    written = tmp_path / "server.properties"
    assert written.stat().st_mode & 0o077 == 0
    filled = _parse(written.read_text(encoding="utf-8"))
    assert filled["node.id"] == "2"
    assert not re.search("@[A-Z_]+@", written.read_text(encoding="utf-8").replace("1@", "").replace("3@", ""))
    assert f'password="{made["KAFKA_ADMIN_PASSWORD"]}"' in filled["listener.name.controller.plain.sasl.jaas.config"]


@pytest.mark.parametrize(
    "variable", ["NODE_ID", "CLUSTER_ID", "ADMIN_PASSWORD", "NODE_PASSWORD", "PARTICIPANT_PASSWORD"]
)
def test_starting_without_a_variable_fails_and_names_it(variable: str, tmp_path: Path) -> None:
    done = _start(tmp_path, **{variable: ""})
    assert done.returncode != 0
    assert variable in done.stderr
    assert done.stdout == ""


def test_a_password_that_would_break_the_settings_is_refused(tmp_path: Path) -> None:
    done = _start(tmp_path, ADMIN_PASSWORD='a"b|c')
    assert (done.returncode, done.stdout) == (64, "")
    assert 'a"b' not in done.stderr
