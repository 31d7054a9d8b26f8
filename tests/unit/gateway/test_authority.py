"""The gateway's view moves as the fold moved the database, entry by entry."""

from __future__ import annotations

from dataclasses import replace

import pytest

from carenet.errors import CorruptionError
from carenet.gateway.authority import Authority, recipients_of
from carenet.rules.rows import GrantsKey, GrantsRow
from carenet.store.stored import StoredEntry
from tests.support.actors import actor
from tests.support.gatewaylog import stored, view_of
from tests.support.simulator import Network
from tests.support.ward import PARTITION, Ward
from tests.support.world import epoch_ids

LATER = 10**15


@pytest.fixture
def ward() -> Ward:
    return Ward()


def entries(network: Network, partition: int) -> list[StoredEntry]:
    return [stored(partition, each) for each in network.replicas[partition].entries]


def eventful(ward: Ward) -> None:
    """Everything that changes who may read."""
    world, patient = ward.world, ward.patient
    begun = {name: patient.epoch(name, 1) for name in ("clinical", "medication")}
    ward.accept(
        world.withdraw(
            world.hospital,
            patient,
            world.clinician,
            epochs=begun,
            to=[world.hospital.id],
            brings=epoch_ids(begun.values()),
        )
    )
    brings = epoch_ids([patient.epoch("clinical", 0), patient.epoch("clinical", 1)])
    given = world.give(world.hospital, patient, world.emergency, to=[world.emergency.id], brings=brings)
    ward.accept(given)
    until = world.give(
        world.hospital, patient, world.nurse, to=[world.nurse.id], brings=brings, until_ms=world.clock_ms + 60_000
    )
    ward.accept(until)
    ward.accept(world.rotate(world.nurse, world.nurse, world.nurse.with_key("second")))
    ward.accept(world.suspend(world.hospital, world.clinician))
    ward.net.relay_all()


def test_after_every_entry_the_view_is_the_one_that_the_fold_wrote(ward: Ward) -> None:
    eventful(ward)
    partitions = ward.world.genesis.partitions
    grown = view_of(Network(ward.world))  # from the genesis on
    for partition in range(partitions):
        for entry in entries(ward.net, partition):
            grown.apply(entry)
    whole = view_of(ward.net)
    assert grown.heads == whole.heads
    assert grown._log_times == whole._log_times
    assert grown._participants == whole._participants
    assert grown._timelines.keys() == whole._timelines.keys()
    for subject, timeline in grown._timelines.items():
        other = whole._timelines[subject]
        assert (timeline.partition, timeline.next_seq, timeline.grants) == (
            other.partition,
            other.next_seq,
            other.grants,
        )
        assert replace(timeline.row, next_seq=0, head=b"") == replace(other.row, next_seq=0, head=b"")
        row = ward.net.replicas[timeline.partition].load(GrantsKey(subject))
        assert isinstance(row, GrantsRow)
        assert tuple(timeline.grants) == row.grants
    assert {who: held & whole._timelines.keys() for who, held in grown._subjects_of.items() if held} == {
        who: held for who, held in whole._subjects_of.items() if held
    }


def test_a_withdrawal_holds_from_its_own_entry_on(ward: Ward) -> None:
    eventful(ward)
    clinician, subject = ward.world.clinician.id, ward.patient.id
    view = view_of(Network(ward.world))
    readable = []
    for entry in entries(ward.net, PARTITION):
        view.apply(entry)
        if entry.subject == subject:
            readable.append(view.may_read(clinician, subject, (entry.seq, entry.compartment), 0))
    # Opened, given, withdrawn, and two grants to others.
    assert readable == [False, True, False, False, False]


def test_a_grant_ends_when_its_time_is_over_by_log_or_clock(ward: Ward) -> None:
    eventful(ward)
    view, nurse, subject = view_of(ward.net), ward.world.nurse.id, ward.patient.id
    until_ms = ward.world.clock_ms + 60_000
    assert view.has_access(nurse, subject, until_ms - 1)
    assert not view.has_access(nurse, subject, until_ms)
    assert view.next_end_ms == until_ms
    assert view.pop_expired(until_ms - 1) == []
    assert view.pop_expired(until_ms) == [(subject, nurse)]
    assert view.pop_expired(LATER) == []


def test_a_grant_that_was_withdrawn_does_not_run_out_as_well(ward: Ward) -> None:
    eventful(ward)
    world, patient = ward.world, ward.patient
    begun = {"clinical": patient.epoch("clinical", 2)}
    brings = epoch_ids(begun.values())
    ward.accept(
        world.withdraw(world.hospital, patient, world.nurse, epochs=begun, to=[world.hospital.id], brings=brings)
    )
    assert view_of(ward.net).pop_expired(LATER) == []


def test_custodians_read_everything_and_strangers_nothing(ward: Ward) -> None:
    view, subject = view_of(ward.net), ward.patient.id
    assert view.may_read(ward.world.hospital.id, subject, (0, "identity"), 0)
    assert view.may_read(actor("clinic").id, subject, (0, "identity"), 0)
    assert not view.may_read(ward.world.stranger.id, subject, (0, None), 0)
    assert not view.may_read(ward.world.hospital.id, bytes(32), (0, None), 0)
    assert view.in_custody(ward.world.hospital.id) == [subject]
    assert view.readable(ward.world.clinician.id, 0) == [subject]


def test_whom_the_subjects_partition_knows_as_suspended_reads_nothing(ward: Ward) -> None:
    eventful(ward)
    ward.net.publish(ward.world.suspend(ward.world.authority, ward.world.emergency))
    relayed_later = view_of(ward.net)
    emergency, subject = ward.world.emergency.id, ward.patient.id
    assert relayed_later.is_suspended(emergency)
    assert relayed_later.has_access(emergency, subject, 0)  # partition 0 ends the session; this one does not know yet
    ward.net.relay_all()
    assert not view_of(ward.net).has_access(emergency, subject, 0)


def test_the_audience_of_the_newest_entry_is_kept_and_yet_always_who_may_read_it(ward: Ward) -> None:
    eventful(ward)
    world, subject = ward.world, ward.patient.id
    everybody = [row.id for row in view_of(ward.net).participants()]
    ward.net.publish(world.suspend(world.authority, world.emergency))
    ward.net.relay_all()
    grown = view_of(Network(world))
    seen = set()
    for partition in range(world.genesis.partitions):
        for entry in entries(ward.net, partition):
            grown.apply(entry)
            timeline = grown.timeline(subject)
            if timeline is None:
                assert grown.audience(subject, None, 0) == frozenset()
                continue
            for clock_ms in (world.clock_ms, world.clock_ms + 60_000):
                for compartment in ("clinical", "medication", None):
                    place = (timeline.next_seq - 1, compartment)
                    wanted = {each for each in everybody if grown.may_read(each, subject, place, clock_ms)}
                    assert grown.audience(subject, compartment, clock_ms) == wanted
                    seen.add(frozenset(wanted))
            timeline.audiences.clear()  # the clock is set back here, which it is not in life
            grown.audience(subject, "clinical", world.clock_ms)
    assert len(seen) > 4


def test_an_entry_that_is_not_the_next_is_corruption(ward: Ward) -> None:
    view = view_of(Network(ward.world))
    first, second, *_ = entries(ward.net, 0)
    with pytest.raises(CorruptionError):
        view.apply(second)
    view.apply(first)
    with pytest.raises(CorruptionError):
        view.apply(first)


def test_a_gap_in_a_subjects_chain_is_corruption(ward: Ward) -> None:
    view = view_of(Network(ward.world))
    log = entries(ward.net, PARTITION)
    patient = [entry for entry in log if entry.subject == ward.patient.id]
    for entry in log[: patient[1].index]:
        view.apply(entry)
    with pytest.raises(CorruptionError):
        view.apply(replace(patient[1], seq=2))


def test_passing_over_care_data_moves_the_view_as_applying_it_does(ward: Ward) -> None:
    for _ in range(3):
        ward.world.clock_ms += 1
        ward.accept(ward.world.care(ward.world.clinician, ward.patient, ward.current()))
    applied, passed = view_of(Network(ward.world)), view_of(Network(ward.world))
    log = entries(ward.net, PARTITION)
    for entry in log[:-3]:
        applied.apply(entry)
        passed.apply(entry)
    for entry in log[-3:]:
        applied.apply(entry)
    passed.pass_over(log[-3:])
    assert (passed.heads, passed._log_times) == (applied.heads, applied._log_times)
    assert passed.timeline(ward.patient.id) == applied.timeline(ward.patient.id)


def test_passing_over_what_is_not_the_next_is_corruption(ward: Ward) -> None:
    for _ in range(2):
        ward.accept(ward.world.care(ward.world.clinician, ward.patient, ward.current()))
    view = view_of(Network(ward.world))
    *log, first, second = entries(ward.net, PARTITION)
    for entry in log:
        view.apply(entry)
    with pytest.raises(CorruptionError, match="index"):
        view.pass_over([second])
    with pytest.raises(CorruptionError, match="seq"):
        view.pass_over([replace(first, seq=first.seq + 1)])
    view.pass_over([first, second])
    assert view.heads[PARTITION] == second.index + 1


def test_recipients_are_whom_a_body_has_wraps_for(ward: Ward) -> None:
    opening, grant = [each for each in entries(ward.net, PARTITION) if each.subject == ward.patient.id]
    assert recipients_of(opening) == {ward.world.hospital.id, actor("clinic").id}
    assert recipients_of(grant) == {ward.world.clinician.id}


def test_the_view_says_how_far_it_is() -> None:
    assert repr(Authority(2)) == "<Authority of 0 timelines at [0, 0]>"
