from __future__ import annotations

from typing import Any

import pytest

from carenet.client.directory import Participant
from carenet.client.drafts import build_control
from carenet.client.registry import Standing, apply_for_admission, apply_for_rotation, draft_opening
from carenet.client.wrapping import Wrapper
from carenet.encoding.cose import compute_thumbprint
from carenet.encoding.ed25519 import is_valid_signature
from carenet.encoding.ids import sha256
from carenet.errors import RefusedError
from carenet.rules.effects import Accepted
from carenet.sealing.identity import Identity, create_identity
from carenet.sealing.wraps import decode_wraps
from carenet.statements.payloads import Open
from tests.support.simulator import Network
from tests.support.world import Message, World

WORLD = World(nodes=1, quorum=1)
HOSPITAL, LAB = (create_identity(name, WORLD.network, 1) for name in ("hospital", "lab"))


class Known:
    """A directory of people whose keys the test made."""

    def __init__(self, *people: Identity, suspended: bool = False) -> None:
        self._people = {each.id: each for each in people}
        self._suspended = suspended

    async def fetch_recipient(self, participant: bytes) -> Participant:
        who = self._people[participant]
        public = who.sign_key.public
        return Participant(who.id, who.name, None, (), {}, public, who.hpke_public, suspended=self._suspended)


def wrapper(*, suspended: bool = False) -> Wrapper:
    directory: Any = Known(HOSPITAL, LAB, suspended=suspended)
    return Wrapper(WORLD.network, directory)


async def test_an_opening_is_what_the_fold_accepts():
    network = Network(World(nodes=1, quorum=1))
    world = network.world
    admission = apply_for_admission(HOSPITAL, world.authority.id, ["registrar", "custodian"], may_give=["clinician"])
    admitted = world.control(world.authority, "participant.admit", world.network, admission)
    assert isinstance(network.publish(admitted), Accepted)
    network.relay_all()
    opening = await draft_opening(Standing((HOSPITAL.id,), ("lab",)), HOSPITAL, wrapper())
    statement, letter = build_control(opening.draft, HOSPITAL, world.clock_ms // 1000)
    assert isinstance(network.publish(Message(statement, letter.body)), Accepted)


async def test_every_custodian_is_wrapped_every_first_key():
    opening = await draft_opening(Standing((HOSPITAL.id, LAB.id)), HOSPITAL, wrapper())
    payload, body = opening.draft.payload, opening.draft.body
    assert isinstance(payload, Open)
    assert body is not None
    assert payload.body == sha256(body)
    for who, wrapped in zip((HOSPITAL, LAB), decode_wraps(body), strict=True):
        keys = who.open_wrap(opening.draft.subject, wrapped, payload.brings)
        assert keys == {each.id: each.private for each in opening.epochs.values()}


async def test_the_opening_key_names_the_subject_and_signs_all_of_it():
    opening = await draft_opening(Standing((HOSPITAL.id,)), HOSPITAL, wrapper())
    payload = opening.draft.payload
    assert isinstance(payload, Open)
    assert compute_thumbprint(payload.opening) == opening.draft.subject
    assert is_valid_signature(payload.opening, payload.proof, payload.binding(WORLD.network, HOSPITAL.id))
    assert not is_valid_signature(payload.opening, payload.proof, payload.binding(WORLD.network, LAB.id))


async def test_a_suspended_custodian_is_no_custodian():
    with pytest.raises(RefusedError, match="unknown_participant"):
        await draft_opening(Standing((HOSPITAL.id,)), HOSPITAL, wrapper(suspended=True))


def test_an_applicant_agrees_to_these_terms_only():
    admission = apply_for_admission(LAB, WORLD.authority.id, ["lab"])
    key = LAB.sign_key.public
    assert is_valid_signature(key, admission.proof, admission.binding(WORLD.network, WORLD.authority.id))
    assert not is_valid_signature(key, admission.proof, admission.binding(WORLD.network, HOSPITAL.id))


def test_a_rotation_is_signed_by_the_new_key():
    renewed = LAB.rotated()
    rotation = apply_for_rotation(renewed, LAB.id)
    assert (rotation.participant, rotation.hpke) == (LAB.id, renewed.hpke_public)
    signed = rotation.binding(WORLD.network, LAB.id)
    assert is_valid_signature(renewed.sign_key.public, rotation.proof, signed)
    assert not is_valid_signature(LAB.sign_key.public, rotation.proof, signed)
