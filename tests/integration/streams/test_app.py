from __future__ import annotations

import asyncio
import logging
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from carenet.bus.looking import fetch_end_offsets
from carenet.bus.publishing import Producer, Record
from carenet.errors import KeyFileError, SetupError
from carenet.local.kafka import EmbeddedKafka
from carenet.local.process import ChildProcess
from carenet.settings import Settings
from streams.app import build_app
from tests.integration.streams.conftest import Place
from tests.support.waiting import STRETCH

ROOT = Path(__file__).resolve().parents[3]


def test_importing_the_processors_has_no_effect() -> None:
    code = (
        "import streams.app, streams.relay, streams.activity, streams.timeline, threading as t; print(t.active_count())"
    )
    said = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env={}, capture_output=True, text=True, check=True)
    assert (said.stdout, said.stderr) == ("1\n", "")


def _settings(place: Place, **changes: object) -> Settings:
    values = {"dir": place.directory, "kafka": place.kafka, "postgres": place.postgres, "node": "north"}
    return Settings(**(values | {"roles": ("agents",)} | changes))  # type: ignore[arg-type]


async def test_a_process_loads_its_roles_parts_and_no_others(place: Place) -> None:
    agents = build_app(_settings(place))
    stem = place.genesis.topic.removesuffix(".events")
    assert agents.conf.id == f"{stem}-north-agents"
    assert len(agents.agents) == 2
    assert agents.tables.changelog_topics == {f"{stem}-north-agents-activity-changelog"}
    timeline = build_app(_settings(place, roles=("timeline",)))
    assert timeline.conf.id == f"{stem}-north-timeline"
    assert (len(timeline.agents), len(timeline.tables)) == (0, 0)


async def test_no_library_makes_debug_records_that_nobody_sees(place: Place) -> None:
    root = logging.getLogger("as the root")
    root.setLevel(logging.WARNING)
    root.addHandler(logging.NullHandler())
    worker = build_app(_settings(place)).Worker(loglevel="warn")
    worker.on_setup_root_logger(root, logging.WARNING)
    assert not root.isEnabledFor(logging.DEBUG)


async def test_what_is_missing_is_said_with_the_variable_that_names_it(place: Place) -> None:
    for changes, said in (
        ({"kafka": None}, "CARENET_KAFKA"),
        ({"postgres": None}, "CARENET_POSTGRES"),
        ({"roles": ("timeline", "agents")}, "one role"),
        ({"roles": ("nurse",)}, "agents, timeline; there is no role nurse"),
        ({"dir": place.directory / "elsewhere"}, "network.cbor"),
    ):
        with pytest.raises(SetupError, match=said):
            build_app(_settings(place, **changes))
    (place.directory / "node.key").unlink()
    with pytest.raises(KeyFileError, match=r"node\.key"):
        build_app(_settings(place, roles=("timeline",)))


async def _until(holds: Callable[[], object], timeout_s: float = 20) -> None:
    async with asyncio.timeout(timeout_s * STRETCH):
        while not holds():  # noqa: ASYNC110 - other processes send no event
            await asyncio.sleep(0.05)


def _is_ready(child: ChildProcess) -> bool:
    return b"OK" in child.command.log.read_bytes()


def _listening(pid: int) -> list[str]:
    """The local addresses, as the kernel writes them, on which a process listens."""
    inodes = {each.readlink().as_posix() for each in Path(f"/proc/{pid}/fd").iterdir() if each.is_symlink()}
    table = [line.split() for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]]
    return [fields[1] for fields in table if fields[3] == "0A" and f"socket:[{fields[9]}]" in inodes]


async def test_no_process_opens_a_port(run: Callable[[str], ChildProcess]) -> None:
    agents = run("agents")
    await agents.start()
    await _until(lambda: _is_ready(agents))
    assert _listening(agents.pid) == []


@pytest.fixture
async def own_kafka(server_folder: Path, topic_name: str) -> AsyncIterator[EmbeddedKafka]:
    server = EmbeddedKafka(server_folder / topic_name)
    await server.start()
    yield server
    await server.stop()


async def test_topics_are_made_first_and_the_fold_ends_in_good_order_when_its_broker_is_gone(
    place: Place, own_kafka: EmbeddedKafka
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections and never answers
        host, port = silent.getsockname()
        away = replace(place, kafka=f"{host}:{port}").faust("timeline")
        await away.start()
        await asyncio.sleep(3)
        assert away.is_running, "Kafka that is away is waited for"
        await away.kill()
    timeline = replace(place, kafka=own_kafka.bootstrap).faust("timeline")
    await timeline.start()
    try:
        await _until(lambda: b"worker_started" in timeline.command.log.read_bytes())
        ends = await fetch_end_offsets(own_kafka.bootstrap, place.genesis.topic)
        assert len(ends) == place.genesis.partitions
        await own_kafka.kill()
        await asyncio.sleep(1)
        started = time.monotonic()
        await timeline.stop()
        assert timeline.exit_code == 0
        assert time.monotonic() - started < 8
    finally:
        await timeline.kill()


async def test_another_process_takes_over_within_ten_seconds_of_a_kill(
    place: Place, run: Callable[[str], ChildProcess]
) -> None:
    first = run("timeline")
    await first.start()
    await _until(lambda: b"partition_taken" in first.command.log.read_bytes())
    second = run("timeline")
    await second.start()
    await _until(lambda: b"partition_taken" in second.command.log.read_bytes())
    await first.kill()
    killed = time.monotonic()
    async with Producer(place.kafka) as producer:
        for partition in range(place.genesis.partitions):
            await producer.send_all(place.genesis.topic, partition, [Record(b"k", b"rubbish")] * 5)
        async with asyncio.timeout(10 * STRETCH):
            while set((await place.store.next_offsets()).values()) != {5}:  # noqa: ASYNC110 - another process folds
                await asyncio.sleep(0.05)
    assert time.monotonic() - killed < 10 * STRETCH
    assert {each.reason for each in await place.store.rejections(100)} == {"bad_encoding"}
