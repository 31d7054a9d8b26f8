"""What `carenet doctor` asks a running stack, or servers that exist: each check one line and what to do."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from carenet.bus.looking import fetch_end_offsets
from carenet.bus.security import KafkaAt
from carenet.bus.topics import check_topics, topics_of
from carenet.client.tls import make_context, trust_of
from carenet.errors import CarenetError
from carenet.local.checkup import Check, Verdict
from carenet.local.founding import read_genesis
from carenet.local.kafka_accounts import NODE, read_login
from carenet.local.probes import http_ok
from carenet.local.runfile import RunFile, read_run_file
from carenet.settings import Settings
from carenet.statements.genesis import Genesis
from carenet.store.store import Store

_WAIT_S = 2.0  # a worker that has something to do moves within this
_POLL_S = 0.1
_TIMEOUT_S = 5.0
_DRIFT_S = 30.0  # statements are fresh for [-1 h, +5 min]; half a minute is already somebody's mistake


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the servers are.

    Attributes:
        kafka: where Kafka is, and how to log in there; or None.
        postgres: DSN, or None.
        gateway: WebSocket URL, or None.
        children: process ids by name.
    """

    kafka: KafkaAt | None = None
    postgres: str | None = field(default=None, repr=False)
    gateway: str | None = None
    children: dict[str, int] = field(default_factory=dict)


async def check_stack(directory: Path, kafka: KafkaAt | None = None, postgres: str | None = None) -> list[Check]:
    """Ask what runs in a folder, and servers that were named.

    Args:
        directory: the state folder.
        kafka: a Kafka that exists, and how to log in there; or None.
        postgres: DSN of a PostgreSQL that exists, or None.
    """
    try:
        run = read_run_file(directory)
        kafka = kafka or (None if run is None else _kafka_of(directory, run))
    except CarenetError as exc:
        return [Check("run.json", Verdict.FAIL, str(exc), "restart the stack")]
    if run is None and kafka is None and postgres is None:
        return [Check("stack", Verdict.OK, "nothing runs here; carenet up starts it")]
    at = Addresses(kafka, postgres)
    checks = []
    if run is not None:
        at = Addresses(kafka, postgres or run.postgres, run.gateway, dict(run.children))
        checks.append(_check_children(at))
    try:
        genesis = read_genesis(directory)
    except CarenetError as exc:
        return [*checks, Check("topics", Verdict.WARN, str(exc), "without its genesis the stack cannot be judged")]
    questions = [_check_topics, _check_database, _check_worker, _check_gateway]
    return checks + [check for question in questions if (check := await _ask(question, at, genesis)) is not None]


_Question = Callable[[Addresses, Genesis], Awaitable[Check | None]]


async def _ask(question: _Question, at: Addresses, genesis: Genesis) -> Check | None:
    name = question.__name__.removeprefix("_check_")
    try:
        return await question(at, genesis)
    except CarenetError as exc:
        return Check(name, Verdict.FAIL, str(exc), "see the message, and the logs in the state folder")


def _check_children(at: Addresses) -> Check:
    gone = [name for name, pid in at.children.items() if not _is_alive(pid)]
    if gone:
        advice = "carenet up restarts them; if it stays so, see their logs in the state folder"
        return Check("processes", Verdict.WARN, f"not running: {', '.join(gone)}", advice)
    return Check("processes", Verdict.OK, ", ".join(f"{name} {pid}" for name, pid in at.children.items()))


async def _check_topics(at: Addresses, genesis: Genesis) -> Check | None:
    if at.kafka is None:
        return None
    await check_topics(at.kafka, topics_of(genesis, genesis.nodes[0].name), _TIMEOUT_S)
    return Check("topics", Verdict.OK, f"{genesis.topic} and the node's own at {at.kafka} are set as they must be")


async def _check_database(at: Addresses, genesis: Genesis) -> Check | None:
    if at.postgres is None:
        return None
    async with Store(at.postgres, 1) as store:
        found = await store.fetch_genesis()
        if found.network_id != genesis.network_id:
            advice = "give each network a database of its own"
            return Check("database", Verdict.FAIL, "it belongs to another network", advice)
        heads = await store.heads()
    newest_ms = max((head.log_time_ms for head in heads.values()), default=0)
    ahead_s = newest_ms / 1000 - time.time()
    if ahead_s > _DRIFT_S:
        advice = "set the clocks of this machine and of Kafka's"
        return Check("database", Verdict.WARN, f"the log's time is {ahead_s:.0f} s ahead of this clock", advice)
    entries = sum(head.size for head in heads.values())
    return Check("database", Verdict.OK, f"{entries} entries in {len(heads)} partitions")


async def _check_worker(at: Addresses, genesis: Genesis) -> Check | None:
    """Look at the lag twice: one that has work and does not move stands still."""
    if at.kafka is None or at.postgres is None:
        return None
    async with Store(at.postgres, 1) as store:
        ends = sum((await fetch_end_offsets(at.kafka, genesis.topic, _TIMEOUT_S)).values())
        first = position = sum((await store.next_offsets()).values())
        deadline = time.monotonic() + _WAIT_S
        while position < ends and time.monotonic() < deadline:
            await asyncio.sleep(_POLL_S)
            position = sum((await store.next_offsets()).values())
    if position >= ends:
        return Check("worker", Verdict.OK, f"has folded all {ends} records")
    found = f"{ends - position} of {ends} records are not folded yet"
    if position == first:
        return Check("worker", Verdict.FAIL, f"{found}, and it stands still", "see worker.log; carenet up restarts it")
    return Check("worker", Verdict.WARN, f"{found}; it is at work", "wait, or run more workers")


async def _check_gateway(at: Addresses, _: Genesis) -> Check | None:
    if at.gateway is None:
        return None
    parts = urlsplit(at.gateway)
    tls = make_context(trust_of(Settings())) if parts.scheme == "wss" else None
    wrong = await http_ok(parts.hostname or "", parts.port or (80 if tls is None else 443), "/health", tls)()
    if wrong is not None:
        return Check("gateway", Verdict.FAIL, f"{at.gateway}: {wrong}", "see gateway.log; carenet up restarts it")
    return Check("gateway", Verdict.OK, f"{at.gateway} is healthy")


def _kafka_of(directory: Path, run: RunFile) -> KafkaAt:
    return read_login(directory, run.kafka, NODE) if run.kafka_accounts else run.kafka


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
