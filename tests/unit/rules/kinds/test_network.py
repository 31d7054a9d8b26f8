from __future__ import annotations

from dataclasses import replace

import pytest

from carenet.rules.reasons import Reason
from tests.support.actors import Actor, actor, hpke_public, signing_key
from tests.support.ward import Ward

NEWCOMER = actor("newcomer")
SMALL_ORDER = bytes(32)


@pytest.fixture
def ward() -> Ward:
    return Ward()


class Unkeyed:
    """A public key that nobody can have made honestly, with a sign method that cannot matter."""

    def __init__(self, public: bytes) -> None:
        self.public = public

    def sign(self, _: bytes) -> bytes:
        return bytes(64)


def crooked(name: str) -> Actor:
    return replace(actor(name), key=Unkeyed(SMALL_ORDER))


# participant.admit


def test_an_admission_writes_what_it_says(ward: Ward) -> None:
    world = ward.world
    message = ward.accept(world.admit(world.hospital, NEWCOMER, ["clinician", "ems"], world.hospital))
    for replica in ward.net.replicas:
        row = replica.participant(NEWCOMER.id)
        assert row is not None
        assert (row.name, row.organisation, row.roles) == ("newcomer", world.hospital.id, ("clinician", "ems"))
        assert (row.sign, row.hpke, row.suspended) == (NEWCOMER.key.public, NEWCOMER.hpke, False)
        assert row.statements == (message.statement.digest,)


def test_the_authority_admits_members_of_an_organisation_too(ward: Ward) -> None:
    world = ward.world
    ward.accept(world.admit(world.authority, NEWCOMER, ["lab"], world.hospital))
    ward.accept(world.suspend(world.authority, world.hospital))
    row = ward.replica.participant(NEWCOMER.id)
    assert row is not None
    assert row.organisation == world.hospital.id


def test_a_known_id_is_not_admitted_twice(ward: Ward) -> None:
    world = ward.world
    ward.refuse(world.admit(world.authority, world.lab, ["clinician"]), Reason.KNOWN_PARTICIPANT)
    ward.refuse(world.admit(world.authority, world.nodes[0], ["lab"]), Reason.KNOWN_PARTICIPANT)
    ward.accept(world.suspend(world.authority, world.lab))
    ward.refuse(world.admit(world.authority, world.lab, ["lab"]), Reason.KNOWN_PARTICIPANT)


def test_an_organisation_admits_members_of_its_own_only(ward: Ward) -> None:
    world = ward.world
    ward.refuse(world.admit(world.hospital, NEWCOMER, ["clinician"]), Reason.NOT_DECIDER)
    ward.refuse(world.admit(world.hospital, NEWCOMER, ["clinician"], ward.clinic), Reason.NOT_DECIDER)


def test_an_organisation_gives_only_roles_that_its_own_admission_lists(ward: Ward) -> None:
    world = ward.world
    ward.refuse(world.admit(world.hospital, NEWCOMER, ["lab"], world.hospital), Reason.ROLE_NOT_GIVEN)
    ward.refuse(world.admit(world.hospital, NEWCOMER, ["clinician", "lab"], world.hospital), Reason.ROLE_NOT_GIVEN)
    ward.refuse(
        world.admit(world.hospital, NEWCOMER, ["clinician"], world.hospital, may_give=["clinician"]),
        Reason.ROLE_NOT_GIVEN,
    )


@pytest.mark.parametrize("role", ["authority", "node"])
def test_nobody_admits_an_authority_or_a_node(ward: Ward, role: str) -> None:
    world = ward.world
    ward.refuse(world.admit(world.authority, NEWCOMER, [role]), Reason.ROLE_NOT_GIVEN)
    ward.refuse(world.admit(world.authority, NEWCOMER, ["lab"], may_give=[role]), Reason.ROLE_NOT_GIVEN)


def test_a_member_admits_nobody(ward: Ward) -> None:
    world = ward.world
    ward.refuse(world.admit(world.clinician, NEWCOMER, ["clinician"], world.hospital), Reason.ROLE_FORBIDS)
    ward.refuse(
        world.admit(world.authority, NEWCOMER, ["lab"], world.hospital, may_give=["lab"]), Reason.ROLE_NOT_GIVEN
    )


def test_a_member_is_no_organisation_and_neither_is_a_stranger(ward: Ward) -> None:
    world = ward.world
    for organisation in (world.clinician, world.stranger):
        ward.refuse(world.admit(world.authority, NEWCOMER, ["lab"], organisation), Reason.UNKNOWN_PARTICIPANT)


def test_nobody_is_admitted_to_a_suspended_organisation(ward: Ward) -> None:
    world = ward.world
    ward.accept(world.suspend(world.authority, world.hospital))
    ward.refuse(world.admit(world.authority, NEWCOMER, ["lab"], world.hospital), Reason.SUSPENDED)
    ward.refuse(world.admit(world.hospital, NEWCOMER, ["clinician"], world.hospital), Reason.SUSPENDED)


def test_the_admitted_key_must_agree_to_these_very_terms(ward: Ward) -> None:
    world = ward.world
    ward.refuse(world.admit(world.authority, NEWCOMER, ["lab"], proof=bytes(64)), Reason.BAD_PROOF)
    agreed = world.admit(world.authority, NEWCOMER, ["lab"]).statement.control["proof"]
    ward.refuse(world.admit(world.authority, NEWCOMER, ["clinician"], proof=agreed), Reason.BAD_PROOF)
    ward.refuse(world.admit(world.authority, NEWCOMER, ["lab"], ward.clinic, proof=agreed), Reason.BAD_PROOF)
    ward.refuse(
        world.admit(world.authority, NEWCOMER, ["lab"], hpke=hpke_public("spy"), proof=agreed), Reason.BAD_PROOF
    )
    for_another_admitter = world.admit(world.hospital, NEWCOMER, ["clinician"], ward.clinic, proof=agreed)
    ward.refuse(for_another_admitter, Reason.NOT_DECIDER)
    ward.accept(world.admit(world.authority, NEWCOMER, ["lab"], proof=agreed))


def test_a_key_outside_the_prime_order_subgroup_is_not_admitted(ward: Ward) -> None:
    world = ward.world
    ward.refuse(world.admit(world.authority, crooked("crooked"), ["lab"]), Reason.BAD_PUBLIC_KEY)
    ward.refuse(world.rotate(world.lab, world.lab, crooked("crooked")), Reason.BAD_PUBLIC_KEY)


def test_a_network_statement_has_no_compartment(ward: Ward) -> None:
    world = ward.world
    ward.refuse(world.suspend(world.authority, world.lab, compartment="clinical"), Reason.UNKNOWN_COMPARTMENT)


# participant.rotate


def test_a_participant_rotates_its_own_keys_and_keeps_its_id(ward: Ward) -> None:
    world = ward.world
    new = world.lab.with_key("lab's second key")
    message = ward.accept(world.rotate(world.lab, world.lab, new))
    row = ward.replica.participant(world.lab.id)
    assert row is not None
    assert (row.sign, row.hpke, row.retired) == (new.key.public, new.hpke, (world.lab.kid,))
    assert row.statements[-1] == message.statement.digest
    newest = new.with_key("lab's third key")
    ward.accept(world.rotate(new, new, newest))
    row = ward.replica.participant(world.lab.id)
    assert row is not None
    assert row.retired == (world.lab.kid, new.kid)


def test_a_rotation_without_an_hpke_key_keeps_the_one_before(ward: Ward) -> None:
    world = ward.world
    new = replace(world.nurse.with_key("nurse's second key"), hpke=None)
    ward.accept(world.rotate(world.nurse, world.nurse, new))
    row = ward.replica.participant(world.nurse.id)
    assert row is not None
    assert row.hpke == world.nurse.hpke


def test_an_organisation_and_the_authority_rotate_a_lost_key(ward: Ward) -> None:
    world = ward.world
    ward.accept(world.rotate(world.hospital, world.nurse, world.nurse.with_key("replaced by the hospital")))
    ward.accept(world.rotate(world.authority, world.nurse, world.nurse.with_key("replaced by the authority")))


def test_nobody_rotates_anothers_keys(ward: Ward) -> None:
    world = ward.world
    new = world.clinician.with_key("taken over")
    for other in (world.nurse, world.lab, ward.clinic):
        ward.refuse(world.rotate(other, world.clinician, new), Reason.NOT_DECIDER)


def test_a_rotation_names_a_participant(ward: Ward) -> None:
    world = ward.world
    new = actor("new")
    ward.refuse(world.rotate(world.authority, world.stranger, new), Reason.UNKNOWN_PARTICIPANT)
    ward.refuse(world.suspend(world.authority, world.stranger), Reason.UNKNOWN_PARTICIPANT)


def test_the_new_key_must_agree(ward: Ward) -> None:
    world = ward.world
    new = world.lab.with_key("new")
    ward.refuse(world.rotate(world.lab, world.lab, new, proof=bytes(64)), Reason.BAD_PROOF)
    for_another = world.rotate(world.authority, world.lab, new).statement.control["proof"]
    ward.refuse(world.rotate(world.lab, world.lab, new, proof=for_another), Reason.BAD_PROOF)


def test_nobody_rotates_back_to_a_key_it_had(ward: Ward) -> None:
    world = ward.world
    new = world.lab.with_key("new")
    ward.refuse(world.rotate(world.lab, world.lab, world.lab), Reason.STALE_KEY)
    ward.accept(world.rotate(world.lab, world.lab, new))
    ward.refuse(world.rotate(new, new, world.lab), Reason.STALE_KEY)


def test_a_suspended_participants_keys_are_not_rotated(ward: Ward) -> None:
    world = ward.world
    ward.accept(world.suspend(world.authority, world.hospital))
    ward.refuse(world.rotate(world.authority, world.nurse, world.nurse.with_key("new")), Reason.SUSPENDED)


def test_a_nodes_keys_are_not_rotated_this_way(ward: Ward) -> None:
    world = ward.world
    node = world.nodes[0]
    ward.refuse(world.rotate(world.authority, node, node.with_key("new")), Reason.ROLE_FORBIDS)


def test_an_authority_rotates_its_own_key(ward: Ward) -> None:
    world = ward.world
    new = replace(world.authority, key=signing_key("authority's second key"))
    ward.accept(world.rotate(world.authority, world.authority, new))
    ward.refuse(world.suspend(world.authority, world.lab), Reason.STALE_KEY)
    ward.accept(world.suspend(new, world.lab))


# participant.suspend


def test_the_authority_suspends_anyone_and_an_organisation_its_members(ward: Ward) -> None:
    world = ward.world
    ward.accept(world.suspend(world.hospital, world.nurse))
    ward.accept(world.suspend(world.authority, world.lab))
    for suspended in (world.nurse, world.lab):
        row = ward.replica.participant(suspended.id)
        assert row is not None
        assert row.suspended


def test_an_organisation_suspends_nobody_elses_member(ward: Ward) -> None:
    world = ward.world
    for target in (world.lab, ward.clinic, world.hospital):
        ward.refuse(world.suspend(world.hospital, target), Reason.NOT_DECIDER)
    ward.refuse(world.suspend(ward.clinic, world.nurse), Reason.NOT_DECIDER)


def test_nobody_is_suspended_twice(ward: Ward) -> None:
    world = ward.world
    ward.accept(world.suspend(world.authority, world.lab))
    ward.refuse(world.suspend(world.authority, world.lab), Reason.ALREADY_ENDED)


def test_authorities_and_nodes_are_not_suspended_this_way(ward: Ward) -> None:
    world = ward.world
    for target in (world.authority, world.nodes[0]):
        ward.refuse(world.suspend(world.authority, target), Reason.ROLE_FORBIDS)
