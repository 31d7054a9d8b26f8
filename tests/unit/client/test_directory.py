from __future__ import annotations

import pytest

from carenet.client.directory import check_participant
from carenet.client.trust import Trust
from carenet.errors import ProofError
from tests.support.actors import actor
from tests.support.proven import ProvenLog, described_participant
from tests.support.world import World

WORLD = World(nodes=1, quorum=1)
TRUST = Trust(WORLD.genesis)
LAB = WORLD.lab
NEW = LAB.with_key("lab-2")


def admission():
    return WORLD.admit(WORLD.authority, LAB, ["lab"]).statement


def rotation():
    return WORLD.rotate(LAB, LAB, NEW).statement


def test_a_participant_is_its_admission_and_rotations():
    answer = described_participant(ProvenLog(WORLD), [admission(), rotation()])
    lab = check_participant(answer, LAB.id, TRUST)
    assert (lab.id, lab.name, lab.roles, lab.suspended) == (LAB.id, "lab", ("lab",), False)
    assert (lab.sign, lab.hpke) == (NEW.key.public, NEW.hpke)
    assert lab.keys == {LAB.kid: LAB.key.public, NEW.kid: NEW.key.public}


def test_what_the_gateway_says_beside_the_proof_counts_for_nothing():
    answer = described_participant(ProvenLog(WORLD), [admission()], sign="AAAA", hpke="AAAA", name="someone")
    lab = check_participant(answer, LAB.id, TRUST)
    assert (lab.name, lab.sign, lab.hpke) == ("lab", LAB.key.public, LAB.hpke)


def test_a_founder_is_proven_by_the_genesis():
    authority = check_participant(described_participant(ProvenLog(WORLD), []), WORLD.authority.id, TRUST)
    assert (authority.sign, authority.roles, authority.hpke) == (WORLD.authority.key.public, ("authority",), None)


@pytest.mark.parametrize(
    "statements",
    [
        list,
        lambda: [rotation()],
        lambda: [WORLD.admit(WORLD.authority, WORLD.pharmacy, ["pharmacy"]).statement],
        lambda: [admission(), WORLD.rotate(WORLD.pharmacy, WORLD.pharmacy, actor("new")).statement],
        lambda: [admission(), WORLD.admit(WORLD.authority, WORLD.pharmacy, ["pharmacy"]).statement],
        lambda: [WORLD.open(WORLD.hospital, WORLD.patient(1), [WORLD.hospital]).statement],
    ],
    ids=["nothing", "rotation-alone", "anothers-admission", "anothers-rotation", "second-admission", "patients"],
)
def test_statements_that_do_not_lead_to_this_participant_are_refused(statements):  # noqa: ANN001
    with pytest.raises(ProofError):
        check_participant(described_participant(ProvenLog(WORLD), statements()), LAB.id, TRUST)


def test_statements_out_of_the_logs_order_are_refused():
    answer = described_participant(ProvenLog(WORLD), [admission(), rotation()])
    answer["statements"].reverse()
    with pytest.raises(ProofError, match="order"):
        check_participant(answer, LAB.id, TRUST)


def test_a_key_without_a_receipt_is_refused():
    shown = described_participant(ProvenLog(WORLD), [admission()])
    other = described_participant(ProvenLog(WORLD), [rotation()])
    shown["statements"][0]["receipt"] = other["statements"][0]["receipt"]
    with pytest.raises(ProofError):
        check_participant(shown, LAB.id, TRUST)
