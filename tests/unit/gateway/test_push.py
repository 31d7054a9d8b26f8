from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from carenet.encoding.ids import encode_id
from carenet.gateway.authority import Authority
from carenet.gateway.messages import CBOR, Shared
from carenet.gateway.metrics import Metrics
from carenet.gateway.push import Pusher
from carenet.gateway.watch import Cursor, Interest, Since, Watch
from tests.support.actors import Actor
from tests.support.gatewaylog import stored, view_of
from tests.support.ward import PARTITION, Ward
from tests.support.world import Message, epoch_ids


@dataclass(eq=False)
class Line:
    """A session that keeps what it is told."""

    participant: bytes
    sign: bytes
    watch: Watch
    told: list[dict[str, Any]] = field(default_factory=list)
    frames: list[bytes] = field(default_factory=list)
    ended: tuple[int, str] | None = None
    has_room: bool = True

    def push(self, shared: Shared) -> None:
        self.frames.append(shared.frame(CBOR))
        self.told.append(shared.message)

    def tell(self, message: dict[str, Any]) -> None:
        self.told.append(message)

    def wake(self) -> None:
        pass

    def end(self, code: int, reason: str) -> None:
        self.ended = code, reason

    @property
    def kinds(self) -> list[str]:
        return [message["type"] for message in self.told]


class Desk:
    """The gateway's parts without a gateway, over a ward's log."""

    def __init__(self) -> None:
        self.ward = Ward()
        self.clock_ms = self.ward.world.clock_ms
        self.authority: Authority = view_of(self.ward.net)
        self.pusher = Pusher(self.authority, Metrics(), lambda: self.clock_ms)

    def enter(self, who: Actor, *subjects: bytes) -> Line:
        """Somebody watches some subjects, or all, and has everything so far."""
        watch = Watch(who.id, self.authority)
        watch.begin(Interest(frozenset(subjects) or None))
        watch.finish(Cursor({0: 10**6, PARTITION: 10**6}), Since(), self.clock_ms)
        line = Line(who.id, who.key.public, watch)
        self.pusher.join(line)
        return line

    def publish(self, message: Message) -> None:
        """Fold a message and push what came of it, relays too."""
        self.ward.accept(message)
        for partition, replica in enumerate(self.ward.net.replicas):
            for each in replica.entries[self.authority.heads[partition] :]:
                self.pusher.take(stored(partition, each))

    def care(self) -> Message:
        return self.ward.world.care(self.ward.world.clinician, self.ward.patient, self.ward.current())

    def give(self, who: Actor, **fields: Any) -> Message:
        brings = epoch_ids([self.ward.patient.epoch("clinical", 0)])
        return self.ward.world.give(
            self.ward.world.hospital, self.ward.patient, who, to=[who.id], brings=brings, **fields
        )


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_an_entry_is_encoded_and_framed_once_for_all_who_get_it(desk: Desk) -> None:
    clinician, custodian = desk.enter(desk.ward.world.clinician), desk.enter(desk.ward.world.hospital)
    nurse = desk.enter(desk.ward.world.nurse)
    desk.publish(desk.care())
    assert clinician.frames[0] is custodian.frames[0]
    assert nurse.told == []


def test_whoever_left_gets_nothing(desk: Desk) -> None:
    clinician = desk.enter(desk.ward.world.clinician)
    desk.pusher.leave(clinician)
    desk.publish(desk.care())
    assert clinician.told == []


def test_what_nobody_wants_is_passed_over(desk: Desk) -> None:
    patient = desk.ward.patient.id
    desk.publish(desk.care())
    care = stored(PARTITION, desk.ward.replica.entries[-1])
    assert desk.pusher.passes_over(care)
    nurse = desk.enter(desk.ward.world.nurse)  # wants all, and may read nothing
    clinician = desk.enter(desk.ward.world.clinician, patient)
    assert not desk.pusher.passes_over(care)
    desk.pusher.leave(clinician)
    assert desk.pusher.passes_over(care)
    custodian = desk.enter(desk.ward.world.hospital)
    assert not desk.pusher.passes_over(care)
    desk.pusher.leave(custodian)
    desk.publish(desk.give(desk.ward.world.nurse))
    assert not desk.pusher.passes_over(care)
    desk.pusher.leave(nurse)
    assert desk.pusher.passes_over(care)


def test_a_control_statement_is_never_passed_over(desk: Desk) -> None:
    assert not any(desk.pusher.passes_over(stored(0, each)) for each in desk.ward.net.replicas[0].entries)


def test_a_subscription_that_could_not_be_set_up_is_no_longer_wanted(desk: Desk) -> None:
    desk.publish(desk.care())
    care = stored(PARTITION, desk.ward.replica.entries[-1])
    clinician = desk.ward.world.clinician
    watch = Watch(clinician.id, desk.authority)
    desk.pusher.join(Line(clinician.id, clinician.key.public, watch))
    watch.begin(Interest(frozenset([desk.ward.patient.id])))
    assert not desk.pusher.passes_over(care)
    watch.cancel()
    assert desk.pusher.passes_over(care)


def test_a_grant_that_ran_out_ends_before_anything_is_passed_over(desk: Desk) -> None:
    desk.publish(desk.give(desk.ward.world.nurse, until_ms=desk.clock_ms + 1000))
    nurse = desk.enter(desk.ward.world.nurse, desk.ward.patient.id)
    desk.clock_ms += 1000
    desk.ward.accept(desk.care())
    head = desk.authority.heads[PARTITION]
    desk.pusher.pass_over([stored(PARTITION, desk.ward.replica.entries[head])])
    assert nurse.kinds == ["withdrawn"]
    assert nurse.told[0]["at"] == {str(PARTITION): head}


def test_a_grant_that_ran_out_ends_before_the_next_entry_is_pushed(desk: Desk) -> None:
    desk.publish(desk.give(desk.ward.world.nurse, until_ms=desk.clock_ms + 1000))
    nurse = desk.enter(desk.ward.world.nurse)
    desk.publish(desk.care())
    desk.clock_ms += 1000
    desk.publish(desk.care())
    assert nurse.kinds == ["entry", "withdrawn"]
    desk.pusher.expire(desk.clock_ms)
    assert nurse.kinds == ["entry", "withdrawn"]  # once


def test_a_grant_that_runs_out_beside_another_one_ends_nothing(desk: Desk) -> None:
    desk.publish(desk.give(desk.ward.world.nurse, until_ms=desk.clock_ms + 1000))
    desk.publish(desk.give(desk.ward.world.nurse, purpose="other"))
    nurse = desk.enter(desk.ward.world.nurse)
    desk.clock_ms += 1000
    desk.publish(desk.care())
    assert nurse.kinds == ["entry"]


def test_a_session_without_room_falls_behind_instead_of_taking_more(desk: Desk) -> None:
    clinician = desk.enter(desk.ward.world.clinician)
    clinician.has_room = False
    desk.publish(desk.care())
    desk.publish(desk.care())
    assert clinician.kinds == ["behind"]
    assert clinician.told[0]["subjects"] == {encode_id(desk.ward.patient.id): 2}


def test_history_that_is_granted_puts_the_subject_behind_and_is_not_pushed_live(desk: Desk) -> None:
    nurse = desk.enter(desk.ward.world.nurse)
    desk.publish(desk.give(desk.ward.world.nurse))
    assert nurse.kinds == ["behind"]


def test_the_suspended_and_their_members_are_cut_off(desk: Desk) -> None:
    lines = [desk.enter(who) for who in (desk.ward.world.hospital, desk.ward.world.nurse, desk.ward.world.emergency)]
    desk.publish(desk.ward.world.suspend(desk.ward.world.authority, desk.ward.world.hospital))
    assert [line.ended and line.ended[0] for line in lines] == [4004, 4004, None]


def test_a_rotation_ends_the_sessions_of_the_old_key_alone(desk: Desk) -> None:
    world = desk.ward.world
    new = world.nurse.with_key("second")
    old, early = desk.enter(world.nurse), desk.enter(new)
    desk.publish(world.rotate(world.nurse, world.nurse, new))
    assert (old.ended and old.ended[0], early.ended) == (4000, None)
