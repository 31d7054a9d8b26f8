from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import uuid
from pathlib import Path

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from carenet.errors import SetupError
from carenet.local.kafka import EmbeddedKafka
from carenet.local.ports import free_port
from carenet.local.postgres import EmbeddedPostgres
from carenet.local.probes import answers
from carenet.local.supervisor import EventKind, Supervised, Supervisor
from tests.support.waiting import is_alive, until


async def _query(dsn: str, statement: str) -> object:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


async def _publish(bootstrap: str, value: bytes) -> None:
    async with asyncio.timeout(20), AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all") as producer:
        await producer.send_and_wait("kept", value)


async def _read(bootstrap: str, count: int) -> list[bytes]:
    async with (
        asyncio.timeout(20),
        AIOKafkaConsumer("kept", bootstrap_servers=bootstrap, auto_offset_reset="earliest") as consumer,
    ):
        return [(await consumer.getone()).value for _ in range(count)]


async def test_kafka_is_formatted_with_a_cluster_id_that_begins_with_a_dash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uuid, "uuid4", lambda: uuid.UUID(bytes=b"\xf8" + bytes(15)))  # base64url: -AAA…
    async with EmbeddedKafka(tmp_path) as kafka:
        assert await kafka.is_ready()
    assert "cluster.id=-AAA" in (kafka.directory / "data" / "meta.properties").read_text()


async def test_kafka_keeps_port_and_records_over_kill_and_restart(tmp_path: Path) -> None:
    # A comma would split Kafka's list of data folders.
    kafka = EmbeddedKafka(tmp_path / "a folder, with a comma")
    async with kafka:
        first = kafka.bootstrap
        admin = AIOKafkaAdminClient(bootstrap_servers=first)
        await admin.start()
        await admin.create_topics([NewTopic("kept", 1, 1)])
        await admin.close()
        await _publish(first, b"before the kill")
        pid = kafka.pid
        assert pid is not None
        await kafka.kill()
        assert kafka.pid is None
        assert not is_alive(pid)
        await kafka.start()  # the broker's old session does not keep it out; a loaded machine may take its time
        assert kafka.bootstrap == first
        await _publish(first, b"after the kill")
        await kafka.restart()
        assert await _read(first, 2) == [b"before the kill", b"after the kill"]
        pid = kafka.pid
    assert kafka.pid is None
    assert pid is not None
    assert not is_alive(pid)


async def test_postgres_keeps_port_password_and_rows_over_kill_and_restart(tmp_path: Path) -> None:
    # As root this folder is one that only root may enter: the server's user must reach its data all the same.
    deep = tmp_path / "closed, with a comma"
    deep.mkdir(mode=0o700)
    async with EmbeddedPostgres(deep) as postgres:
        dsn = postgres.dsn()
        await _query(dsn, "CREATE TABLE kept AS SELECT 1 AS x")
        for again in (postgres.kill, postgres.stop):
            pid = postgres.pid
            assert pid is not None
            await again()
            assert not is_alive(pid)
            await postgres.start()
            assert postgres.dsn() == dsn
            assert await _query(dsn, "SELECT x FROM kept") == 1
        assert (deep / "postgres" / "password").stat().st_mode & 0o777 == 0o600
    assert (deep / "postgres" / "data").stat().st_uid != 0 or os.geteuid() != 0


async def test_postgres_runs_in_a_folder_whose_path_is_too_long_for_a_socket(tmp_path: Path) -> None:
    async with EmbeddedPostgres(tmp_path / ("x" * 90)) as postgres:
        assert postgres.socket_folder is None
        assert await _query(postgres.dsn(), "SELECT 1") == 1


async def test_postgres_answers_on_its_socket_too_where_the_path_allows(postgres: EmbeddedPostgres) -> None:
    assert postgres.socket_folder is not None
    port = int(postgres.dsn().split(":")[3].split("/")[0])
    connection = await asyncpg.connect(postgres.dsn(), host=str(postgres.socket_folder), port=port)
    try:
        assert await connection.fetchval("SELECT inet_server_addr() IS NULL")
    finally:
        await connection.close()


async def test_postgres_keeps_what_it_was_told_to_keep(postgres: EmbeddedPostgres) -> None:
    for setting, value in {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}.items():
        assert await _query(postgres.dsn(), f"SHOW {setting}") == value
    assert await _query(postgres.dsn(), "SHOW listen_addresses") == "127.0.0.1"


async def test_a_wrong_password_and_a_superuser_are_turned_away(postgres: EmbeddedPostgres) -> None:
    dsn = postgres.dsn()
    secret = dsn.split(":")[2].split("@")[0]
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(dsn.replace(secret, "guess"))
    with pytest.raises(asyncpg.InvalidAuthorizationSpecificationError):
        await asyncpg.connect(dsn.replace("//carenet:", "//postgres:"))


async def test_neither_a_failing_statement_nor_its_message_is_written_to_the_log(postgres: EmbeddedPostgres) -> None:
    with pytest.raises(asyncpg.PostgresError):
        await _query(postgres.dsn(), "SELECT 'Chalmers, Peter'::int")
    with pytest.raises(asyncpg.PostgresError):
        await _query(postgres.dsn(), "DO $$ BEGIN RAISE WARNING 'Chalmers'; RAISE EXCEPTION 'Chalmers'; END $$")
    log = postgres.log_path.read_text()
    assert "ready to accept connections" in log
    assert "Chalmers" not in log
    assert "SELECT" not in log


async def test_a_port_that_another_took_is_left_to_it(tmp_path: Path) -> None:
    async with EmbeddedPostgres(tmp_path) as postgres:
        first = postgres.dsn()
    port = int(first.split(":")[3].split("/")[0])
    other = await asyncio.start_server(lambda _r, w: w.close(), "127.0.0.1", port)
    async with other, EmbeddedPostgres(tmp_path) as postgres:
        assert postgres.dsn() != first
        assert await _query(postgres.dsn(), "SELECT 1") == 1


async def test_an_asked_for_port_that_is_taken_is_refused(tmp_path: Path) -> None:
    port = free_port()
    other = await asyncio.start_server(lambda _r, w: w.close(), "127.0.0.1", port)
    async with other:
        with pytest.raises(SetupError, match=r"postgres\.log"):
            await EmbeddedPostgres(tmp_path, port).start()


async def test_a_second_server_in_one_folder_is_refused_with_the_process_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("carenet.local.orphans._WAIT_S", 0.2)
    async with EmbeddedPostgres(tmp_path) as postgres:
        with pytest.raises(SetupError, match=f"process {postgres.pid}"):
            await EmbeddedPostgres(tmp_path).start()
        assert await _query(postgres.dsn(), "SELECT 1") == 1


async def test_postgres_comes_back_although_a_backend_was_busy_when_it_was_killed(tmp_path: Path) -> None:
    async with EmbeddedPostgres(tmp_path) as postgres:
        busy = asyncio.ensure_future(_query(postgres.dsn(), "SELECT count(*) FROM generate_series(1, 1000000000)"))
        await asyncio.sleep(0.3)
        await postgres.kill()
        with pytest.raises((OSError, asyncpg.PostgresError)):
            await busy
        await postgres.start()
        assert await _query(postgres.dsn(), "SELECT 1") == 1


async def test_a_process_id_that_is_another_programs_by_now_misleads_nobody(tmp_path: Path) -> None:
    async with EmbeddedPostgres(tmp_path) as postgres:
        await postgres.kill()
        pid_file = tmp_path / "postgres" / "data" / "postmaster.pid"
        account = str(pid_file.stat().st_uid)
        alien = await asyncio.create_subprocess_exec("sleep", "60", user=int(account))
        try:
            lines = pid_file.read_text().splitlines()
            pid_file.write_text("\n".join([str(alien.pid), *lines[1:]]) + "\n")
            await postgres.start()
            assert await _query(postgres.dsn(), "SELECT 1") == 1
        finally:
            alien.kill()
            await alien.wait()


async def test_a_supervised_postgres_that_is_killed_comes_back(tmp_path: Path) -> None:
    postgres = EmbeddedPostgres(tmp_path)
    said: list[EventKind] = []
    supervised = Supervised(postgres, lambda: answers(postgres.is_ready))
    async with Supervisor([supervised], lambda event: said.append(event.kind)):
        assert postgres.pid is not None
        os.kill(postgres.pid, signal.SIGKILL)
        await until(lambda: said.count(EventKind.READY) == 2)
        assert await _query(postgres.dsn(), "SELECT 1") == 1
    assert EventKind.DIED in said
    assert postgres.pid is None


async def test_an_initdb_that_was_cut_off_is_begun_again(tmp_path: Path) -> None:
    half = tmp_path / "postgres" / "data.new"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18")
    async with EmbeddedPostgres(tmp_path) as postgres:
        assert await _query(postgres.dsn(), "SELECT 1") == 1


async def test_a_start_that_is_cancelled_leaves_nothing_running(tmp_path: Path) -> None:
    kafka = EmbeddedKafka(tmp_path)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1.2):
            await kafka.start()
    assert kafka.pid is None
    async with kafka:
        assert await kafka.is_ready()


_PARENT = """
import asyncio, json, sys
from pathlib import Path
from carenet.local.kafka import EmbeddedKafka
from carenet.local.postgres import EmbeddedPostgres
from tests.support.waiting import is_alive, until
async def main():
    folder = Path(sys.argv[1])
    async with EmbeddedPostgres(folder) as postgres, EmbeddedKafka(folder) as kafka:
        print(json.dumps([postgres.pid, kafka.pid]), flush=True)
        await asyncio.sleep(120)
asyncio.run(main())
"""


async def test_no_server_outlives_a_parent_that_was_killed(tmp_path: Path) -> None:
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _PARENT, str(tmp_path), stdout=asyncio.subprocess.PIPE
    )
    assert parent.stdout is not None
    pids = json.loads(await parent.stdout.readline())
    assert all(is_alive(pid) for pid in pids)
    parent.kill()
    await parent.wait()
    await until(lambda: not any(is_alive(pid) for pid in pids), 20)
    async with EmbeddedPostgres(tmp_path) as postgres:
        assert await _query(postgres.dsn(), "SELECT 1") == 1
