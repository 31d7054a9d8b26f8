from __future__ import annotations

from typing import Any

import pytest

from carenet.client.outcomes import Accepted, read_decision
from carenet.client.wire import to_text
from carenet.errors import BadInputError, ProofError, RefusedError
from carenet.ledger.entry import NO_PREV, Entry
from carenet.ledger.receipts import VerifiedReceipt

SUBJECT, DIGEST = b"\1" * 32, b"\2" * 32
ENTRY = Entry(SUBJECT, 0, NO_PREV, DIGEST, 7)


async def no_receipt(_: Accepted) -> VerifiedReceipt:
    raise AssertionError


def answer(outcome: dict[str, Any]) -> dict[str, Any]:
    return {"type": "reply", "id": 1, "outcome": outcome}


def accepted(**changes: Any) -> dict[str, Any]:
    told = {"partition": 1, "index": 9, "seq": 0, "entry": to_text(ENTRY.encode()), "digest": to_text(DIGEST)}
    return answer({"accepted": told | changes})


def test_an_accepted_outcome_names_the_entry_and_its_place():
    outcome = read_decision(accepted(), SUBJECT, DIGEST, no_receipt).outcome
    assert outcome.accepted
    assert (outcome.entry, outcome.partition, outcome.index, outcome.digest) == (ENTRY, 1, 9, DIGEST)
    assert outcome.or_raise() is outcome


def test_a_refused_outcome_names_reason_winner_and_epoch():
    told = {"reason": "stale_epoch", "detail": "x", "winner": to_text(DIGEST), "epoch": {"epoch": "AA"}}
    decision = read_decision(answer({"refused": told}), SUBJECT, DIGEST, no_receipt)
    outcome = decision.outcome
    assert not outcome.accepted
    assert (outcome.reason, outcome.detail, outcome.winner) == ("stale_epoch", "x", DIGEST)
    assert decision.epoch == {"epoch": "AA"}
    with pytest.raises(RefusedError, match="stale_epoch: x"):
        outcome.or_raise()


def test_the_reason_alone_is_enough():
    decision = read_decision(answer({"refused": {"reason": "no_grant"}}), SUBJECT, DIGEST, no_receipt)
    assert (decision.outcome.accepted, decision.epoch) == (False, None)


@pytest.mark.parametrize(("subject", "digest"), [(DIGEST, DIGEST), (SUBJECT, SUBJECT)], ids=["subject", "digest"])
def test_the_entry_of_another_statement_is_refused(subject: bytes, digest: bytes):
    with pytest.raises(ProofError):
        read_decision(accepted(), subject, digest, no_receipt)


@pytest.mark.parametrize(
    "message",
    [
        {"type": "reply"},
        answer({}),
        answer({"refused": {}}),
        answer({"accepted": {}}),
        accepted(entry="AA"),
        accepted(index=-1),
        accepted(partition=None),
    ],
)
def test_a_malformed_outcome_is_refused(message: dict[str, Any]):
    with pytest.raises(BadInputError):
        read_decision(message, SUBJECT, DIGEST, no_receipt)
