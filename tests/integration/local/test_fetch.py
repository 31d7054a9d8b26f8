"""Fetching Kafka's jars for real: about 45 MB each time, hence among the long tests."""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path

import pytest

from carenet.local.packages import (
    Download,
    broken_jars,
    download_bytes,
    fetch_kafka_jars,
    kafka_jars_folder,
    pinned_jars,
)
from carenet.settings import Settings
from tests.support.waiting import until

pytestmark = pytest.mark.long


async def test_a_fetch_that_is_cut_off_is_made_good_by_the_next_two_at_once(tmp_path: Path) -> None:
    arrived: list[Download] = []
    first = asyncio.ensure_future(fetch_kafka_jars(tmp_path, arrived.append))
    await until(lambda: any(download.name.endswith(".jar") for download in arrived), 60)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert broken_jars(tmp_path)
    arrived.clear()
    both = await asyncio.gather(*(fetch_kafka_jars(tmp_path, arrived.append) for _ in range(2)))
    assert both[0] == both[1]
    assert broken_jars(tmp_path) == []
    whole = {d.name: d.total_bytes for d in arrived if d.done_bytes == d.total_bytes and d.name.endswith(".jar")}
    assert sum(whole.values()) == download_bytes()
    assert sorted(os.listdir(tmp_path)) == ["fetch.lock", kafka_jars_folder(tmp_path).name]  # noqa: PTH208 - short


async def test_a_truncated_jar_is_found_and_fetched_again(tmp_path: Path) -> None:
    await fetch_kafka_jars(Settings().cache)
    shutil.copytree(kafka_jars_folder(Settings().cache), kafka_jars_folder(tmp_path))
    victim = kafka_jars_folder(tmp_path) / pinned_jars()[0].name
    victim.write_bytes(victim.read_bytes()[:-1])
    assert broken_jars(tmp_path) == [victim.name]
    await fetch_kafka_jars(tmp_path)
    assert broken_jars(tmp_path) == []
