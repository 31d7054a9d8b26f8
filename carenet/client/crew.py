"""Building care data for a long queue: in this process at first, then in processes of our own where there are cores.

HPKE's library holds the GIL while it seals, so threads would not help. The processes are ours (`crew_member`) and not
`multiprocessing`'s, whose children run the caller's main module anew: a script that publishes would publish again. Keys
go to them through a pipe, never as arguments. They end when the pipe is closed or we are gone, and leave an interrupt
to us. Whatever goes wrong with one, its work is done here.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import pickle  # what comes back was written by a process of ours, through a pipe that nobody else holds
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

from carenet.client.building import BATCH_SIZE, Signing, build_care_batch
from carenet.client.bulk import run_all
from carenet.client.drafts import Care
from carenet.client.spool import Letter
from carenet.client.subjects import Epoch
from carenet.sealing.identity import Identity

BATCH_FROM = 16  # drafts in a chunk: from here the queue is long, and one signature stands for many
SLICE = BATCH_SIZE  # drafts built in one go: 7 ms of the event loop
LENGTH_BYTES = 4
READY = b"ready"
_WORTH_IT = 2000  # events, a quarter of a second: starting a process takes as long
_MOST_MEMBERS = 4
_ENDS_WITHIN_S = 2.0
_BUFFERED_BYTES = 1 << 20  # of a slice's letters, which have some 3 KB each

_log = logging.getLogger(__name__)

Job = tuple[Sequence[Care], Sequence[Epoch], int, Signing]


class Crew:
    """Builds drafts, by several processes once that is worth it; an async context manager.

    Args:
        members: processes at most; None takes one less than the cores that we may use, and at most 4.
        worth_it: events after which they are started.
    """

    def __init__(self, members: int | None = None, worth_it: int = _WORTH_IT) -> None:
        spare = min(len(os.sched_getaffinity(0)) - 1, _MOST_MEMBERS)
        self._wanted = spare if members is None else members
        self._worth_it = worth_it
        self._built = 0
        self._identity: Identity | None = None  # whose keys the members hold
        self._members: set[Process] = set()
        self._idle: asyncio.Queue[Process | None] = asyncio.Queue()  # None: none is left
        self._starting: list[asyncio.Task[None]] = []

    def __repr__(self) -> str:
        return f"<Crew of {len(self._members)}: {self._built} built>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._starting:
            task.cancel()
        await asyncio.gather(*self._starting, return_exceptions=True)
        await asyncio.gather(*map(_end, self._members))

    async def build(
        self, drafts: Sequence[Care], epochs: Sequence[Epoch], identity: Identity, now_s: int
    ) -> list[Letter]:
        """Seal and sign: in batches where there are many, singly where there are few.

        Arguments are those of `building.build_care_batch`.

        Raises:
            SealError, StatementError: as `building.build_care_batch`.
        """
        signing: Signing = "batch" if len(drafts) >= BATCH_FROM else "single"
        self._built += len(drafts)
        if self._wanted and not self._starting and self._built > self._worth_it:
            self._identity = identity
            self._starting = [asyncio.create_task(self._start(identity)) for _ in range(self._wanted)]
        cuts = [slice(start, start + SLICE) for start in range(0, len(drafts), SLICE)]
        jobs: list[Job] = [(drafts[cut], epochs[cut], now_s, signing) for cut in cuts]
        built = await run_all(self._do(job, identity) for job in jobs)
        return [letter for letters in built for letter in letters]

    async def _do(self, job: Job, identity: Identity) -> list[Letter]:
        while self._members and identity is self._identity:
            member = await self._idle.get()
            if member is None:
                self._idle.put_nowait(None)  # for the next one who waits
                break
            letters = await self._ask(member, job)
            if letters is not None:
                return letters
        await asyncio.sleep(0)  # between slices, others have their turn
        drafts, epochs, now_s, signing = job
        return build_care_batch(drafts, epochs, identity, now_s, signing)

    async def _ask(self, member: Process, job: Job) -> list[Letter] | None:
        """What a member built; None if it failed, and then it is dismissed."""
        try:
            await _write(member, job)
            letters: list[Letter] = pickle.loads(await _read(member))  # noqa: S301 - see the import
        except (OSError, EOFError):
            _log.warning("a process that seals has ended; %d are left", len(self._members) - 1)
            await self._dismiss(member)
            return None
        except BaseException:  # cancelled in the middle: its next answer would be another question's
            await self._dismiss(member)
            raise
        self._idle.put_nowait(member)
        return letters

    async def _dismiss(self, member: Process) -> None:
        self._members.discard(member)
        if not self._members:
            self._idle.put_nowait(None)
        await _end(member)

    async def _start(self, identity: Identity) -> None:
        """Start one member; others build meanwhile."""
        try:
            member = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-m", "carenet.client.crew_member"),
                stdin=PIPE,
                stdout=PIPE,
                stderr=DEVNULL,
                limit=_BUFFERED_BYTES,
            )
        except OSError as exc:
            _log.warning("no process to seal in: %s", type(exc).__name__)
            return
        try:
            await _write(member, replace(identity))  # a copy, without what it remembers
            await _read(member)
        except (OSError, EOFError):
            _log.warning("a process that seals did not start")
            await _end(member)
        except BaseException:
            await _end(member)
            raise
        else:
            self._members.add(member)
            self._idle.put_nowait(member)


async def _write(member: Process, value: Any) -> None:
    assert member.stdin is not None
    member.stdin.write(pickle.dumps(value, pickle.HIGHEST_PROTOCOL))
    await member.stdin.drain()


async def _read(member: Process) -> bytes:
    assert member.stdout is not None
    length = await member.stdout.readexactly(LENGTH_BYTES)
    return await member.stdout.readexactly(int.from_bytes(length, "big"))


async def _end(member: Process) -> None:
    """Let a process end at the end of its pipe; kill it if it does not."""
    assert member.stdin is not None
    member.stdin.close()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_ENDS_WITHIN_S):
            await member.wait()
    if member.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            member.kill()
        await member.wait()
