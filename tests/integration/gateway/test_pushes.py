"""Who is pushed what: live, backlog, filters, withdrawals and expiry, over real sockets and a real database."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from carenet.encoding.ids import encode_id
from carenet.gateway.server import Gateway
from tests.support.actors import Actor
from tests.support.gatewayclient import Client, House, hello, raw
from tests.support.world import epoch_ids

Enter = Callable[..., Awaitable[Client]]


def is_entry(index: int) -> Callable[[dict[str, Any]], bool]:
    return lambda message: message["type"] == "entry" and message["index"] == index


def is_withdrawn(message: dict[str, Any]) -> bool:
    return message["type"] == "withdrawn"


async def watch(enter: Enter, who: Actor, house: House, **fields: Any) -> Client:
    client = await enter(who)
    subjects = fields.pop("subjects", [encode_id(house.patient.id)])
    answer = await client.ask("subscribe", subjects=subjects, **fields)
    assert answer["type"] == "subscribed", answer
    await client.caught_up()
    return client


async def test_an_entry_reaches_who_may_read_it_with_all_that_it_needs(house: House, enter: Enter) -> None:
    client = await watch(enter, house.world.clinician, house)
    message = house.care()
    (accepted,) = await house.accept(message)
    push = await client.until(is_entry(accepted.index))
    assert not push["backlog"]
    assert raw(push["entry"]) == accepted.entry.encode()
    assert raw(push["statement"]) == message.statement.encoded
    assert raw(push["body"]) == message.body


async def test_a_push_follows_its_commit_within_milliseconds(house: House, enter: Enter) -> None:
    client = await watch(enter, house.world.clinician, house)
    taken = []
    for _ in range(20):
        (accepted,) = await house.accept(house.care())
        committed = time.perf_counter()
        await client.until(is_entry(accepted.index))
        taken.append(time.perf_counter() - committed)
    assert sorted(taken)[10] < 0.025


async def test_the_backlog_comes_first_then_live_and_nothing_twice(house: House, enter: Enter) -> None:
    before = [each.index for each in await house.accept(*(house.care() for _ in range(150)))]
    client = await watch(enter, house.world.clinician, house)
    after = [each.index for each in await house.accept(*(house.care() for _ in range(10)))]
    await client.until(is_entry(after[-1]))
    got = client.entries()
    assert len(set(got)) == len(got)
    assert [index for index in got if index >= before[0]] == before + after


async def test_a_stranger_to_the_patient_is_refused(house: House, enter: Enter) -> None:
    client = await enter(house.world.emergency)
    answer = await client.ask("subscribe", subjects=[encode_id(house.patient.id)])
    assert (answer["type"], answer["reason"]) == ("error", "no_grant")


async def test_all_means_what_the_reader_may_read_now_and_later(house: House, enter: Enter) -> None:
    client = await watch(enter, house.world.clinician, house, subjects="all")
    (hidden,) = await house.accept(house.care(house.other))
    (given,) = await house.accept(house.give(house.world.clinician, house.other))
    (seen,) = await house.accept(house.care(house.other))
    await client.until(is_entry(seen.index))
    behind = next(message for message in client.pushes if message["type"] == "behind")
    assert behind["subjects"] == {encode_id(house.other.id): 0}
    assert {hidden.index, given.index, seen.index} <= set(client.entries())


async def test_a_grant_without_history_shows_nothing_from_before_it(house: House, enter: Enter) -> None:
    client = await watch(enter, house.world.nurse, house, subjects="all")
    await house.accept(house.care())
    epochs = {each: house.patient.epoch(each, 1) for each in ("clinical",)}
    given = house.world.give(
        house.world.hospital,
        house.patient,
        house.world.nurse,
        compartments=["clinical"],
        history=False,
        epochs=epochs,
        to=[house.world.nurse.id],
        brings=epoch_ids(epochs.values()),
    )
    (grant,) = await house.accept(given)
    (after,) = await house.accept(house.care(epoch=1))
    await house.accept(house.care(compartment="medication"))
    (last,) = await house.accept(house.care(epoch=1))
    await client.until(is_entry(last.index))
    assert client.entries() == [grant.index, after.index, last.index]


async def test_a_withdrawal_holds_between_two_entries(house: House, enter: Enter) -> None:
    client = await watch(enter, house.world.clinician, house)
    custodian = await watch(enter, house.world.hospital, house)
    # One batch: all of it is in the database at once, and still the reader sees exactly up to the withdrawal.
    before, withdrawal, after = await house.accept(
        house.care(), house.withdraw(house.world.clinician), house.care(epoch=1)
    )
    await custodian.until(is_entry(after.index))
    await client.until(is_withdrawn)
    assert client.entries()[-1] == before.index
    await house.accept(house.care(epoch=1))
    with pytest.raises(TimeoutError):
        await client.receive(0.3)
    assert client.pushes[-1]["at"] == {"0": withdrawal.index + 1}


async def test_a_withdrawal_stops_the_backlog_too(house: House, enter: Enter) -> None:
    await house.accept(*(house.care(body=bytes(200_000)) for _ in range(100)))
    client = await enter(house.world.clinician)
    await client.ask("subscribe", subjects="all")  # and reads no further: the backlog waits for room
    await house.accept(house.withdraw(house.world.clinician))
    await client.until(is_withdrawn, 10)
    with pytest.raises(TimeoutError):
        await client.receive(0.3)
    assert len(client.entries()) < 100


async def test_a_grant_ends_on_time_by_the_clock(house: House, enter: Enter) -> None:
    until_ms = time.time_ns() // 1_000_000 + 2000
    await house.accept(house.give(house.world.emergency, until_ms=until_ms))
    client = await watch(enter, house.world.emergency, house)
    await client.until(is_withdrawn)
    assert 0 <= time.time_ns() // 1_000_000 - until_ms < 300
    await house.accept(house.care())
    with pytest.raises(TimeoutError):
        await client.receive(0.3)


async def test_filters_leave_out_but_never_what_wraps_keys_for_the_reader(house: House, enter: Enter) -> None:
    client = await watch(enter, house.world.clinician, house, types=["care.condition", "alert.*"])
    assert client.entries() == [6]  # the grant that wraps keys to the clinician
    filtered = await house.accept(house.care(), house.care(type="care.condition"))
    shared = house.world.share(
        house.world.hospital, house.patient, [house.world.clinician.id], epoch_ids([house.patient.epoch("clinical", 0)])
    )
    (share,) = await house.accept(shared)
    await client.until(is_entry(share.index))
    assert client.entries()[1:] == [filtered[1].index, share.index]


async def test_a_filter_by_compartment_leaves_control_statements_in(house: House, enter: Enter) -> None:
    client = await watch(enter, house.world.clinician, house, compartments=["medication"])
    await house.accept(house.care())
    medication, withdrawal = await house.accept(
        house.care(compartment="medication"), house.give(house.world.emergency, purpose="other")
    )
    await client.until(is_entry(withdrawal.index))
    assert client.entries()[-2:] == [medication.index, withdrawal.index]


async def test_a_suspension_closes_the_sessions_and_keeps_them_out(
    house: House, enter: Enter, gateway: Gateway
) -> None:
    client = await watch(enter, house.world.clinician, house)
    await house.accept(house.world.suspend(house.world.hospital, house.world.clinician))
    assert await client.closed() == 4004
    again = await Client.dial(gateway.url)
    await again.send(hello(await again.receive(), house.world.clinician))
    assert await again.closed() == 4004


async def test_members_fall_with_their_organisation(house: House, enter: Enter) -> None:
    client = await watch(enter, house.world.clinician, house)
    await house.accept(house.world.suspend(house.world.authority, house.world.hospital))
    assert await client.closed() == 4004


async def test_a_rotation_sends_the_old_key_away(house: House, enter: Enter) -> None:
    client = await watch(enter, house.world.clinician, house)
    new = house.world.clinician.with_key("clinician's second key")
    await house.accept(house.world.rotate(house.world.clinician, house.world.clinician, new))
    assert await client.closed() == 4000
    renewed = await watch(enter, new, house)
    assert renewed.entries()


async def test_two_readers_get_the_same_frame_and_others_none(house: House, enter: Enter) -> None:
    clinician = await watch(enter, house.world.clinician, house)
    hospital = await watch(enter, house.world.hospital, house, subjects="all")
    nurse = await watch(enter, house.world.nurse, house, subjects="all")
    (accepted,) = await house.accept(house.care())
    assert await clinician.until(is_entry(accepted.index)) == await hospital.until(is_entry(accepted.index))
    with pytest.raises(TimeoutError):
        await nurse.receive(0.2)
    await asyncio.sleep(0)
