from __future__ import annotations

import uuid

import pytest

from carenet.local.kafka import format_argv
from carenet.local.kafka_accounts import Accounts
from carenet.local.kafka_properties import Ports, Seat, lone_properties, seat_properties

ACCOUNTS = Accounts("admin-word", "node-word", "participant-word")
CLUSTER = uuid.UUID("fb2d58a0-0000-4000-8000-000000000001")
PORTS = tuple(Ports(9000 + number, 9100 + number) for number in (1, 2, 3))


def _read(properties: str) -> dict[str, str]:
    lines = [line for line in properties.splitlines() if line and not line.startswith("#")]
    read = dict(line.split("=", 1) for line in lines)
    assert len(read) == len(lines), "a property is set twice"
    return read


def test_a_lone_broker_asks_nobody_and_keeps_one_copy() -> None:
    read = _read(lone_properties(Ports(1234, 1235)))
    assert read["listeners"] == "PLAINTEXT://127.0.0.1:1234,CONTROLLER://127.0.0.1:1235"
    assert "authorizer.class.name" not in read
    assert {read[name] for name in read if name.endswith((".replication.factor", "min.isr", "insync.replicas"))} == {
        "1"
    }


@pytest.mark.parametrize(("gather_s", "written"), [(0.0, "0"), (1.5, "1500")])
def test_a_group_waits_for_members_only_where_that_is_asked(gather_s: float, written: str) -> None:
    assert _read(lone_properties(PORTS[0], gather_s))["group.initial.rebalance.delay.ms"] == written


def test_one_of_three_logs_in_and_is_asked_and_keeps_three_copies() -> None:
    reads = [_read(seat_properties(Seat(number, PORTS, CLUSTER, ACCOUNTS))) for number in (1, 2, 3)]
    for number, read in enumerate(reads, 1):
        assert read["node.id"] == str(number)
        assert read["listeners"] == f"CLIENTS://127.0.0.1:{9000 + number},CONTROLLER://127.0.0.1:{9100 + number}"
        assert read["listener.security.protocol.map"] == "CLIENTS:SASL_PLAINTEXT,CONTROLLER:SASL_PLAINTEXT"
        assert read["sasl.enabled.mechanisms"] == "SCRAM-SHA-512"
        assert read["authorizer.class.name"].endswith(".StandardAuthorizer")
        assert "allow.everyone.if.no.acl.found" not in read
        assert read["super.users"] == "User:admin"
        assert {read[name] for name in read if name.endswith(".replication.factor")} == {"3"}
        assert {read[name] for name in read if name.endswith(("min.isr", "insync.replicas"))} == {"2"}
        assert 'username="admin" password="admin-word"' in read["listener.name.controller.plain.sasl.jaas.config"]
        assert "node-word" not in str(read)
        assert "participant-word" not in str(read)
    assert {read["controller.quorum.voters"] for read in reads} == {
        "1@127.0.0.1:9101,2@127.0.0.1:9102,3@127.0.0.1:9103"
    }


def test_both_keep_history_for_ever_and_make_no_topic_by_themselves() -> None:
    for text in (lone_properties(PORTS[0]), seat_properties(Seat(1, PORTS, CLUSTER, ACCOUNTS))):
        read = _read(text)
        assert (read["log.retention.ms"], read["log.retention.bytes"]) == ("-1", "-1")
        assert read["auto.create.topics.enable"] == read["unclean.leader.election.enable"] == "false"


def test_accounts_are_made_when_a_data_folder_is_formatted() -> None:
    assert not any("scram" in each for each in format_argv(CLUSTER))
    argv = format_argv(CLUSTER, ACCOUNTS.by_name())
    assert "--add-scram=SCRAM-SHA-512=[name=node,password=node-word]" in argv
    assert len(argv) == len(format_argv(CLUSTER)) + 3


def test_a_seat_shows_no_password() -> None:
    assert "word" not in repr(Seat(1, PORTS, CLUSTER, ACCOUNTS))
