from __future__ import annotations

import asyncio

import pytest

from carenet.client.bulk import CareEvent
from carenet.client.carriers import Place
from carenet.client.outcomes import Outcome
from carenet.client.spool import Letter
from carenet.client.updates import Update, Withdrawn
from carenet.errors import RefusedError
from tests.integration.client.conftest import Node
from tests.support.waiting import until
from tests.support.watching import WAIT_S, is_silent, take_care, take_until_level


def observation(number: int) -> dict[str, object]:
    return {"resourceType": "Observation", "id": f"o{number}", "status": "final"}


MEDICATION = {"resourceType": "MedicationRequest", "id": "m1", "status": "active"}


@pytest.mark.parametrize("is_direct", [False, True], ids=["through-the-gateway", "straight-to-kafka"])
async def test_a_reader_gets_what_a_colleague_published(node: Node, is_direct: bool):
    hospital, _, okafor = await node.found()
    patient = await hospital.register_patient()
    for name in ("lee", "okafor"):
        await hospital.grant(patient, node.person(name).id, ["read", "write"])
    writer = await node.enter(node.person("lee"), kafka=node.kafka if is_direct else None)
    watch = okafor.watch(patient)
    outcome = await writer.publish(patient, observation(1))
    assert outcome.accepted
    (update,) = await take_care(watch)
    assert (update.resource, update.digest, update.index) == (observation(1), outcome.digest, outcome.index)
    receipt = await outcome.receipt()
    assert (receipt.index, receipt.entry) == (outcome.index, outcome.entry)


async def test_a_lab_writes_by_standing_choice_what_it_cannot_read(node: Node):
    hospital, lee, _ = await node.found()
    authority = await node.enter(node.authority)
    await authority.admit(node.person("lab"), ["lab"])
    patient = await hospital.register_patient(write=["lab"])
    await hospital.grant(patient, lee.identity.id)
    lab = await node.enter(node.person("lab"))
    assert (await lab.publish(patient, observation(1))).accepted
    (update,) = await take_care(lee.watch(patient))
    assert update.resource == observation(1)
    with pytest.raises(RefusedError, match="no_grant"):
        await anext(lab.watch(patient))


async def test_the_same_cti_and_content_again_is_the_one_event(node: Node):
    hospital, lee, _ = await node.found()
    patient = await hospital.register_patient()
    await hospital.grant(patient, lee.identity.id, ["read", "write"])
    cti = bytes(15) + b"\1"
    first = await lee.publish(patient, observation(1), cti=cti)
    again = await lee.publish(patient, observation(1), cti=cti)
    assert first.accepted
    assert again == first
    other = await lee.publish(patient, observation(2), cti=cti)
    assert not other.accepted
    assert (other.reason, other.winner) == ("conflicting_id", first.digest)


async def test_a_stranger_is_told_why_it_is_refused(node: Node):
    hospital, lee, _ = await node.found()
    patient = await hospital.register_patient()
    outcome = await lee.publish(patient, observation(1))
    assert not outcome.accepted
    assert outcome.reason == "no_grant"
    unknown = await lee.publish(bytes(32), observation(1))
    assert not unknown.accepted
    assert unknown.reason == "unknown_subject"


async def test_a_withdrawn_reader_gets_nothing_more_and_the_others_go_on(node: Node):
    hospital, lee, okafor = await node.found()
    patient = await hospital.register_patient()
    await hospital.grant(patient, lee.identity.id, ["read", "write"])
    await hospital.grant(patient, okafor.identity.id, ["read"])
    watch = okafor.watch(patient)
    await take_until_level(watch)
    await hospital.withdraw(patient, okafor.identity.id)
    outcome = await lee.publish(patient, observation(1))  # sealed to the old epoch first: the SDK seals again
    assert outcome.accepted
    async with asyncio.timeout(WAIT_S):
        event = await watch.next_event()
        assert event == Withdrawn(patient)
    assert await is_silent(watch)
    (update,) = await take_care(lee.watch(patient))
    assert update.resource == observation(1)
    with pytest.raises(RefusedError):
        await anext(okafor.watch(patient))


async def test_a_grant_from_now_on_opens_nothing_that_came_before(node: Node):
    hospital, lee, okafor = await node.found()
    patient = await hospital.register_patient()
    await hospital.grant(patient, lee.identity.id, ["read", "write"])
    assert (await lee.publish(patient, observation(1))).accepted
    await hospital.grant(patient, okafor.identity.id, history=False)
    assert (await lee.publish(patient, observation(2))).accepted
    (update,) = await take_care(okafor.watch(patient))
    assert update.resource == observation(2)
    both = await take_care(lee.watch(patient), 2)  # the earlier reader was wrapped the next epoch
    assert [each.resource for each in both] == [observation(1), observation(2)]


async def test_readers_of_some_compartments_are_sent_their_new_keys_after_a_withdrawal(node: Node):
    hospital, lee, okafor = await node.found()
    patient = await hospital.register_patient()
    await hospital.grant(patient, lee.identity.id, ["read", "write"], ["medication"])
    await hospital.grant(patient, okafor.identity.id, ["read"])
    watch = lee.watch(patient)
    await hospital.withdraw(patient, okafor.identity.id)
    assert (await lee.publish(patient, MEDICATION)).accepted
    (update,) = await take_care(watch)
    assert update.resource == MEDICATION
    access = await hospital.access(patient)
    assert access.missing(0) == {}
    current = {access.epochs[name].current for name in ("clinical", "identity")}
    assert not current & access.held[lee.identity.id]
    assert not {epoch.current for epoch in access.epochs.values()} & access.held[okafor.identity.id]


async def test_filters_and_several_patients(node: Node):
    hospital, lee, _ = await node.found()
    patients = [await hospital.register_patient() for _ in range(3)]
    for patient in patients:
        await hospital.grant(patient, lee.identity.id, ["read", "write"])
        for resource in (observation(1), MEDICATION):
            assert (await lee.publish(patient, resource)).accepted
    everywhere = await take_care(lee.watch(types=["care.medicationrequest"]), 3)
    assert {update.patient for update in everywhere} == set(patients)
    assert all(update.resource == MEDICATION for update in everywhere)
    two = await take_care(lee.watch(patients[:2], compartments=["clinical"]), 2)
    assert [update.resource for update in two] == [observation(1)] * 2


async def test_a_watch_resumes_from_its_cursor_after_the_gateway_came_back(node: Node):
    hospital, lee, okafor = await node.found()
    patient = await hospital.register_patient()
    for care in (lee, okafor):
        await hospital.grant(patient, care.identity.id, ["read", "write"])
    watch = okafor.watch(patient)
    assert (await lee.publish(patient, observation(0))).accepted
    seqs = [update.seq for update in await take_care(watch)]
    async with asyncio.TaskGroup() as group:
        group.create_task(node.restart_gateway(pause_s=0.3))
        sent = [group.create_task(lee.publish(patient, observation(number))) for number in range(1, 6)]
    assert all(task.result().accepted for task in sent)
    seqs += [update.seq for update in await take_care(watch, 5)]
    assert seqs == list(range(seqs[0], seqs[0] + 6))
    later = okafor.watch(patient, cursor=watch.cursor.encode())
    assert not [event for event in await take_until_level(later) if isinstance(event, Update)]


async def test_many_are_published_in_a_window(node: Node):
    hospital, lee, _ = await node.found()
    patient = await hospital.register_patient()
    await hospital.grant(patient, lee.identity.id, ["read", "write"])
    seen: list[Outcome] = []
    events = (CareEvent(patient, observation(number)) for number in range(300))
    tally = await lee.publish_many(events, lambda _, outcome: seen.append(outcome))
    assert (tally.accepted, dict(tally.refused), len(seen)) == (300, {}, 300)
    updates = await take_care(lee.watch(patient), 300)
    assert len({update.digest for update in updates}) == 300


async def test_a_rotated_participant_signs_reads_and_is_wrapped_to_with_its_new_keys(node: Node):
    hospital, lee, okafor = await node.found()
    first = await hospital.register_patient()
    for care in (lee, okafor):
        await hospital.grant(first, care.identity.id, ["read", "write"])
    renewed = lee.identity.rotated()
    await lee.rotate(renewed)
    assert (await lee.publish(first, observation(1))).accepted
    (update,) = await take_care(okafor.watch(first))
    assert update.statement.header.kid == renewed.kid
    again = await node.enter(renewed)
    (own,) = await take_care(again.watch(first))
    assert own.resource == observation(1)
    with pytest.raises(RefusedError, match="not_authenticated"):
        await node.enter(node.person("lee"))


async def test_who_is_cut_off_by_its_own_rotation_before_it_asks_still_learns_of_it(node: Node):
    _, lee, _ = await node.found()
    carrier, session = lee._parts.delivery._carrier, lee._parts.session
    send, connection = carrier.send, session._connection

    async def send_and_be_cut_off(letter: Letter) -> Place:
        place = await send(letter)
        await until(lambda: session._connection is not connection)
        return place

    carrier.send = send_and_be_cut_off  # type: ignore[method-assign]
    await lee.rotate(lee.identity.rotated())
    assert await lee.participant(lee.identity.id)


async def test_a_rotation_that_the_network_never_saw_does_not_lock_out(node: Node):
    _, lee, _ = await node.found()
    care = await node.enter(lee.identity.rotated())
    assert care.identity.kid == lee.identity.kid


async def test_a_retraction_and_a_correction_name_what_they_mend(node: Node):
    hospital, lee, _ = await node.found()
    patient = await hospital.register_patient()
    await hospital.grant(patient, lee.identity.id, ["read", "write"])
    wrong = (await lee.publish(patient, observation(1))).or_raise()
    better = (await lee.publish(patient, observation(2), replaces=wrong.digest)).or_raise()
    await lee.retract(patient, better.digest, "clinical")
    updates = await take_care(lee.watch(patient), 2)
    assert updates[1].statement.header.replaces == wrong.digest


async def test_a_suspended_participant_is_cut_off(node: Node):
    hospital, lee, _ = await node.found()
    patient = await hospital.register_patient()
    await hospital.grant(patient, lee.identity.id, ["read", "write"])
    watch = lee.watch(patient)
    await take_until_level(watch)
    await hospital.suspend(lee.identity.id)
    with pytest.raises(RefusedError, match="suspended"):
        async with asyncio.timeout(WAIT_S):
            await anext(watch)


async def test_lists_tell_who_and_what_there_is(node: Node):
    hospital, lee, _ = await node.found()
    patient = await hospital.register_patient()
    await hospital.grant(patient, lee.identity.id, purpose="treatment")
    names = {each.name: each.roles for each in await hospital.participants()}
    assert names["lee"] == ("clinician",)
    assert [each.id for each in await lee.patients()] == [patient]
    (grant,) = await hospital.grants(patient)
    assert (grant.actions, grant.history, grant.purpose) == (("read",), True, "treatment")
    described = await lee.patient(patient)
    assert described.custodians == (hospital.identity.id,)
    assert set(described.epochs) == {"clinical", "identity", "medication"}
    assert (await lee.participant(hospital.identity.id)).hpke == hospital.identity.hpke_public
