from __future__ import annotations

import asyncio
import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from carenet.client.crew import BATCH_FROM, SLICE, Crew
from carenet.client.drafts import Care, draft_resource
from carenet.client.spool import Letter
from carenet.client.subjects import Epoch
from carenet.errors import SealError
from carenet.sealing.bodies import open_body
from carenet.sealing.epochs import EpochKeys
from carenet.sealing.identity import create_identity
from carenet.sealing.padme import MAX_PLAINTEXT_BYTES
from carenet.statements.statement import parse_statement
from tests.support.watching import WAIT_S

ALICE = create_identity("alice", b"\1" * 32, 1)
KEYS = EpochKeys.generate()
EPOCH = Epoch("clinical", KEYS.id, KEYS.public, 0)
NOW_S = 1_790_000_000
MANY = 3 * SLICE + 5


def drafts(count: int) -> list[Care]:
    contents = (b'{"resourceType":"Observation","n":%d}' % number for number in range(count))
    return [draft_resource(bytes(32), content, number.to_bytes(16, "big")) for number, content in enumerate(contents)]


def check(made: list[Care], letters: list[Letter]) -> None:
    """Each letter says what its draft means, in their order."""
    for draft, letter in zip(made, letters, strict=True):
        statement = parse_statement(letter.statement)
        assert statement.is_signed_by(ALICE.sign_key.public)
        assert letter.body is not None
        assert open_body(statement, letter.body, KEYS.private) == draft.plaintext


async def started(crew: Crew) -> None:
    """Have the members started, and wait for them."""
    await crew.build(drafts(1), [EPOCH], ALICE, NOW_S)
    async with asyncio.timeout(WAIT_S):
        await asyncio.gather(*crew._starting)
    assert crew._members


async def test_a_short_queue_is_signed_singly_and_a_long_one_in_batches():
    async with Crew(members=0) as crew:
        for count in (1, BATCH_FROM - 1, BATCH_FROM, MANY):
            made = drafts(count)
            letters = await crew.build(made, [EPOCH] * count, ALICE, NOW_S)
            check(made, letters)
            places = [parse_statement(letter.statement).place for letter in letters]
            assert [place is not None for place in places] == [count >= BATCH_FROM] * count
            assert max(place.size for place in places if place is not None) <= SLICE if count >= BATCH_FROM else True


async def test_no_process_is_started_for_a_few():
    async with Crew(members=2) as crew:
        await crew.build(drafts(MANY), [EPOCH] * MANY, ALICE, NOW_S)
        assert not crew._starting


async def test_processes_build_what_this_one_would_and_end_with_the_crew():
    async with Crew(members=2, worth_it=0) as crew:
        await started(crew)
        members = list(crew._members)
        made = drafts(MANY)
        async with asyncio.timeout(WAIT_S):
            check(made, await crew.build(made, [EPOCH] * MANY, ALICE, NOW_S))
            assert crew._idle.qsize() == len(members) == 2
            renewed = ALICE.rotated()  # they hold the former keys
            letters = await crew.build(made, [EPOCH] * MANY, renewed, NOW_S)
        assert all(parse_statement(each.statement).is_signed_by(renewed.sign_key.public) for each in letters)
    assert None not in [member.returncode for member in members]  # however long a loaded machine lets them take


def arguments_of(pid: int) -> list[bytes]:
    return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")


async def test_the_keys_are_in_no_argument_of_a_process():
    async with Crew(members=1, worth_it=0) as crew:
        await started(crew)
        (member,) = crew._members
        arguments = arguments_of(member.pid)
    assert arguments[1:] == [b"-P", b"-m", b"carenet.client.crew_member", b""]


async def test_the_work_of_processes_that_die_is_done_here():
    async with Crew(members=2, worth_it=0) as crew:
        await started(crew)
        for member in crew._members:
            os.kill(member.pid, signal.SIGKILL)
        made = drafts(MANY)
        async with asyncio.timeout(WAIT_S):
            check(made, await crew.build(made, [EPOCH] * MANY, ALICE, NOW_S))
            check(made, await crew.build(made, [EPOCH] * MANY, ALICE, NOW_S))
        assert not crew._members


async def test_what_cannot_be_built_is_told_by_its_own_error():
    too_long = Care(bytes(32), "care.observation", "clinical", bytes(MAX_PLAINTEXT_BYTES + 1), bytes(16))
    async with Crew(members=1, worth_it=0) as crew:
        await started(crew)
        async with asyncio.timeout(WAIT_S):
            with pytest.raises(SealError):
                await crew.build([too_long], [EPOCH], ALICE, NOW_S)


async def test_a_cancelled_build_leaves_no_process_with_half_an_answer():
    async with Crew(members=1, worth_it=0) as crew:
        await started(crew)
        (member,) = crew._members
        task = asyncio.create_task(crew.build(drafts(MANY), [EPOCH] * MANY, ALICE, NOW_S))
        for _ in range(10):
            await asyncio.sleep(0)
        assert crew._idle.empty()  # it is at work
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not crew._members
        assert member.returncode is not None


def test_an_interrupt_is_not_a_members_to_handle():
    member = subprocess.Popen(
        [sys.executable, "-m", "carenet.client.crew_member"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert member.stdin is not None
    assert member.stdout is not None
    member.stdin.write(pickle.dumps(ALICE))
    member.stdin.flush()
    assert member.stdout.read(9) == b"\0\0\0\5ready"
    member.send_signal(signal.SIGINT)
    said, _ = member.communicate(pickle.dumps((drafts(1), [EPOCH], NOW_S, "single")), WAIT_S)
    assert len(said) > 1000
    assert member.returncode == 0
