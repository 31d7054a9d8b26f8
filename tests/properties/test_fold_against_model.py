"""The real fold against the reference model, on random histories and in random batches.

`CARENET_EXAMPLES=20` makes twenty times as many examples; without it they take seconds.
"""

from __future__ import annotations

import os
from collections import Counter
from functools import cache
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from carenet.rules.access import may_read
from carenet.rules.effects import Accepted
from carenet.rules.prepare import scope_of
from carenet.rules.reasons import Reason
from carenet.rules.rows import EpochsKey, EpochsRow
from tests.support.histories import (
    ACTS,
    HEADER_TWISTS,
    PAYLOAD_TWISTS,
    RECORD_TWISTS,
    SIGNER_TWISTS,
    Author,
    Step,
    found,
)
from tests.support.model.partitions import ACCEPTED
from tests.support.simulator import Network, Replica, fold_again

TIMES = int(os.environ.get("CARENET_EXAMPLES", "1"))
LONG = 40 * TIMES  # histories of 200 steps
SIMULATIONS = int(os.environ.get("CARENET_LONG_SIMULATIONS", "20000"))  # those of `make test-long`
STEPS, IN_A_TEST = 60, 250  # of each, and how many are one test
small = st.integers(0, 7)
TWISTS = HEADER_TWISTS + SIGNER_TWISTS + PAYLOAD_TWISTS + RECORD_TWISTS
twists = st.sampled_from(("",) * 3 * len(TWISTS) + TWISTS)
waits = st.sampled_from((0, 0, 1, 1000, 61_000, 3_700_000))
steps = st.builds(Step, act=st.sampled_from(ACTS), a=small, b=small, c=small, twist=twists, wait_ms=waits)
histories = st.lists(steps, min_size=1, max_size=40)
cuts = st.lists(st.integers(0, 200), max_size=8)


def write(history: list[Step]) -> Author:
    author = found()
    for step in history:
        author.write(step)
    return author


@cache
def long_history(seed: int) -> Author:
    return write_at_random(seed, 200)


def write_at_random(seed: int, steps: int) -> Author:
    draw = Random(seed)
    author = found()
    for _ in range(steps):
        twist = draw.choice(("",) * 4 * len(TWISTS) + TWISTS)
        numbers = (draw.randrange(8) for _ in range(3))
        author.write(Step(draw.choice(ACTS), *numbers, twist, draw.choice((0, 1000, 20_000))))
    return author


def replicas_of(author: Author, cuts: list[int]) -> list[Replica]:
    network = Network(author.world, author.logs, [Replica(scope_of(author.world.genesis, 0))])
    return [fold_again(network, partition, cuts) for partition in range(len(author.logs))]


def outcomes(author: Author, replica: Replica) -> list[str | None]:
    """What became of each record of a partition, None where it was accepted."""
    by_offset: dict[int, str | None] = {each.offset: None for each in replica.entries}
    by_offset |= {each.offset: each.reason.value for each in replica.rejections}
    return [by_offset[record.offset] for record in author.logs[replica.scope.partition]]


def assert_agreement(author: Author, cuts: list[int]) -> None:
    for replica, partition in zip(replicas_of(author, cuts), author.model.partitions, strict=True):
        decided = outcomes(author, replica)
        for place, (reason, verdict) in enumerate(zip(decided, partition.verdicts, strict=True)):
            agrees = reason in verdict if reason else verdict == ACCEPTED
            assert agrees, f"partition {partition.number}, record {place}: {reason}, the model says {set(verdict)}"
        lines = partition.timeline.lines
        assert [each.entry.encode() for each in replica.entries] == [line.entry for line in lines]
        assert [each.body for each in replica.entries] == [line.body for line in lines]
        assert replica.state.tree.root() == partition.timeline.root()
        assert replica.state.log_time_ms == partition.time


@settings(max_examples=250 * TIMES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(histories, cuts)
def test_the_fold_decides_as_the_model_does(history: list[Step], cuts: list[int]) -> None:
    assert_agreement(write(history), cuts)


@pytest.mark.parametrize("seed", range(LONG))
def test_the_fold_decides_as_the_model_does_in_a_long_history(seed: int) -> None:
    # Dense where hypothesis is sparse: grants, rotations and relays of one patient have time to meet.
    assert_agreement(long_history(seed), [seed, 7 * seed, 31 * seed])


def assert_rows(author: Author) -> None:
    """Participants, epochs and grants are what the model's timeline tells."""
    for replica, partition in zip(replicas_of(author, []), author.model.partitions, strict=True):
        timeline = partition.timeline
        for person in timeline.people().values():
            row = replica.participant(person.id)
            assert row is not None
            assert (row.sign, row.hpke, list(row.retired), row.suspended) == (
                person.sign,
                person.hpke,
                person.had,
                person.suspended,
            )
            assert (row.organisation, list(row.roles)) == (person.organisation, person.roles)
        for patient in author.patients:
            epochs = replica.rows.get(EpochsKey(patient.id), EpochsRow(()))
            assert isinstance(epochs, EpochsRow)
            told = {each.compartment: list(zip(each.ids, each.begun, strict=True)) for each in epochs.epochs}
            assert told == timeline.epochs(patient.id)
            grants = replica.given.get(patient.id, {}).values()
            assert [(each.grantee, each.from_seq, each.to_seq, each.until_ms) for each in grants] == [
                (each.grantee, each.begins, each.ends, each.until_ms) for each in timeline.grants(patient.id)
            ]


def assert_readers(author: Author, clock_ms: int) -> None:
    """Whoever may read an entry by the model may by the rule, and nobody else."""
    readers = [each.id for each in (*author.actors, *author.newcomers, author.world.stranger)]
    for replica, partition in zip(replicas_of(author, []), author.model.partitions, strict=True):
        now_ms = max(partition.time, clock_ms)
        for patient in author.patients:
            subject = replica.subject(patient.id)
            if subject is None:
                continue
            grants = list(replica.given.get(patient.id, {}).values())
            for line in partition.timeline.of(patient.id):
                entry = (line.seq, line.statement.header.compartment)
                may = {reader for reader in readers if may_read(reader, subject, grants, entry, now_ms)}
                told = {each for each in readers if partition.timeline.may_read(each, patient.id, line.seq, now_ms)}
                assert may == told


@settings(max_examples=100 * TIMES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(histories, st.integers(-120_000, 7_200_000))
def test_rows_and_readers_are_what_the_models_timeline_tells(history: list[Step], later_ms: int) -> None:
    author = write(history)
    assert_rows(author)
    assert_readers(author, author.world.clock_ms + later_ms)


@pytest.mark.parametrize("seed", range(LONG // 4))
def test_rows_and_readers_are_what_the_models_timeline_tells_in_a_long_history(seed: int) -> None:
    author = long_history(seed)
    assert_rows(author)
    for later_ms in (0, 30_000, 3_000_000):
        assert_readers(author, author.world.clock_ms + later_ms)


@settings(max_examples=100 * TIMES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(histories, st.lists(cuts, min_size=2, max_size=3))
def test_all_nodes_hold_equal_bytes_however_their_batches_fall(history: list[Step], batches: list[list[int]]) -> None:
    author = write(history)
    singly = replicas_of(author, list(range(1000)))
    for each in batches:
        for replica, one in zip(replicas_of(author, each), singly, strict=True):
            assert replica.dump() == one.dump()
            assert replica.rejections == one.rejections


@pytest.mark.long
@pytest.mark.parametrize("first", range(0, SIMULATIONS, IN_A_TEST))
def test_the_fold_decides_as_the_model_does_in_thousands_of_histories(first: int) -> None:
    for seed in range(first, min(first + IN_A_TEST, SIMULATIONS)):
        author = write_at_random(seed, STEPS)
        try:
            assert_agreement(author, [seed % 97, 7 * seed % 97, 31 * seed % 97])
            if seed % 10 == 0:
                assert_rows(author)
                assert_readers(author, author.world.clock_ms + seed % 3_000_000)
        except AssertionError as exc:
            exc.add_note(f"seed {seed}, {STEPS} steps")
            raise


def test_the_long_histories_reach_nearly_every_reason_and_many_acceptances() -> None:
    """A generator that gets nothing accepted, or is never refused for most reasons, would prove nothing."""
    seen: Counter[str] = Counter()
    for seed in range(LONG):
        for partition in long_history(seed).model.partitions:
            seen.update(reason for verdict in partition.verdicts for reason in verdict or {"accepted"})
    assert seen["accepted"] > seen.total() // 4
    by_hand = {Reason.OVERSIZED, Reason.BAD_PUBLIC_KEY}  # tests/unit/rules has them
    assert {reason.value for reason in Reason} - seen.keys() <= {reason.value for reason in by_hand}


@pytest.mark.parametrize("partition", range(3))
def test_a_replica_that_starts_late_catches_up_to_the_same_bytes(partition: int) -> None:
    author = write([Step("care", a, 1, a % 4) for a in range(8)])
    replica = replicas_of(author, [])[partition]
    assert all(isinstance(each, Accepted) for each in replica.entries)
    assert replica.dump() == replicas_of(author, list(range(1000)))[partition].dump()
