from __future__ import annotations

from pathlib import Path

import pytest

from carenet.bus.security import KafkaLogin
from carenet.errors import SetupError
from carenet.local.founding import found_network
from carenet.local.kafka import EmbeddedKafka
from carenet.local.runfile import read_run_file
from carenet.local.stack import Stack, StackPlan
from carenet.local.supervisor import Event, EventKind


async def test_a_worker_that_dies_while_the_stack_starts_is_blamed_by_name(
    kafka: EmbeddedKafka, database: str, tmp_path: Path, topic_name: str
) -> None:
    genesis = found_network(tmp_path, "riverside", 2, topic=topic_name)
    (tmp_path / "node.key").write_bytes(b"not a key file")
    said: list[Event] = []
    stack = Stack(StackPlan(tmp_path, genesis, kafka.bootstrap, database), said.append)
    with pytest.raises(SetupError, match=r"worker ended with exit code 1 while starting; its log is .*worker\.log"):
        async with stack:
            raise AssertionError("must not be entered")
    assert not [each for each in said if each.kind is EventKind.READY and each.service == "worker"]
    assert [each.pid for each in stack.status()] == [None] * 3
    assert read_run_file(tmp_path) is None


async def test_our_processes_are_told_how_to_log_in_and_nobody_elses_login(
    kafka: EmbeddedKafka, database: str, tmp_path: Path, topic_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A worker that took this for its own would ask an open Kafka for SCRAM, and be told that there is none.
    monkeypatch.setenv("CARENET_KAFKA_USERNAME", "somebody")
    monkeypatch.setenv("CARENET_KAFKA_PASSWORD", "hush")
    genesis = found_network(tmp_path, "riverside", 2, topic=topic_name)
    async with Stack(StackPlan(tmp_path, genesis, kafka.bootstrap, database)) as stack:
        assert {each.state for each in stack.status()} == {EventKind.READY}
    login = KafkaLogin(kafka.bootstrap, "somebody", "hush")
    with pytest.raises(SetupError, match="takes no user names with SCRAM-SHA-512"):
        async with Stack(StackPlan(tmp_path, genesis, login, database)):
            raise AssertionError("must not be entered")


async def test_more_workers_than_partitions_are_refused(tmp_path: Path) -> None:
    genesis = found_network(tmp_path, "riverside", 2)
    with pytest.raises(SetupError, match="2 partitions are work for 2 fold workers at most"):
        async with Stack(StackPlan(tmp_path, genesis, workers=3)):
            raise AssertionError("must not be entered")
