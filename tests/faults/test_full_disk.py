"""A disk that fills up under PostgreSQL, or under Kafka, in the middle of a run, and has room again later.

The disk is a tmpfs of its own. A file that takes all that is left fills it at a moment of the test's choice; the same
moment of a small disk that fills by itself would be another one in every run.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from carenet.store.store import Store
from tests.support.longrun import LongRun, long_run
from tests.support.waiting import until_answered

pytestmark = [pytest.mark.long, pytest.mark.xdist_group("stack")]

DISK_BYTES = 768 << 20
FULL_S = 8.0


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A tmpfs on a folder; skips the test where mounting is not allowed."""
    folder.mkdir(parents=True)
    mount = shutil.which("mount")
    if mount is None or os.geteuid() != 0:
        pytest.skip("a disk of its own needs mount, and root")
    command = [mount, "-t", "tmpfs", "-o", f"size={DISK_BYTES},mode=755", "tmpfs", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"mounting a tmpfs is not allowed here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextlib.asynccontextmanager
async def filled(disk: Path) -> AsyncIterator[None]:
    """No byte is left on the disk meanwhile."""
    ballast = disk / "ballast"
    try:
        with ballast.open("wb") as file:
            while free := shutil.disk_usage(disk).free:
                with contextlib.suppress(OSError):  # others write too: what was free is not any more
                    os.posix_fallocate(file.fileno(), file.tell(), free)
                file.seek(0, os.SEEK_END)
        yield
    finally:
        ballast.unlink(missing_ok=True)


@pytest.mark.parametrize("victim", ["postgres", "kafka"])
async def test_a_disk_that_was_full_for_a_while_loses_and_doubles_nothing(tmp_path: Path, victim: str) -> None:
    with small_disk(tmp_path / victim) as disk:
        async with long_run(tmp_path) as run:
            await run.go(lambda: _fill(run, disk))
            run.assert_answered()
            await run.assert_undisturbed()


async def _fill(run: LongRun, disk: Path) -> None:
    """Fill the disk until nothing moves any more, and for some seconds; then make room."""
    async with filled(disk):
        await until_answered(lambda: _stands_still(run), 60)
        await asyncio.sleep(FULL_S)


async def _stands_still(run: LongRun) -> bool:
    """Whether nothing was sent, or nothing folded, for a second."""
    before = await _progress(run)
    await asyncio.sleep(1)
    after = await _progress(run)
    return before[0] == after[0] or before[1] == after[1]


async def _progress(run: LongRun) -> tuple[int, int | None]:
    try:
        async with Store(run.clinic.stack.postgres, 1) as store:
            return run.burst.sent, sum((await store.next_offsets()).values())
    except Exception:  # noqa: BLE001 - PostgreSQL is away: nothing is folded
        return run.burst.sent, None
