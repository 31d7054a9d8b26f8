from __future__ import annotations

import pytest

from carenet.rules.rows import (
    AcceptedKey,
    EpochsKey,
    GrantsKey,
    IdempotencyKey,
    IdempotencyRow,
    ParticipantKey,
    ReactionKey,
    SubjectKey,
    SubjectRow,
)
from carenet.rules.view import View

ID = bytes(32)
ROW = SubjectRow(ID, "patient", 1, ID)
KEYS = [
    ParticipantKey(ID),
    SubjectKey(ID),
    EpochsKey(ID),
    GrantsKey(ID),
    IdempotencyKey(ID, ID),
    AcceptedKey(ID, ID),
    ReactionKey("key.share", ID, ID),
]


def test_what_the_batch_wrote_hides_what_was_loaded() -> None:
    view = View({SubjectKey(ID): None})
    assert view.subject(ID) is None
    view.written[SubjectKey(ID)] = ROW
    assert view.subject(ID) == ROW


def test_a_key_that_was_not_loaded_is_a_programmers_error_and_not_an_absent_row() -> None:
    view = View({})
    with pytest.raises(KeyError):
        view.subject(ID)
    with pytest.raises(KeyError):
        view.grants(ID)


def test_a_loaded_key_without_a_row_is_an_absent_row() -> None:
    view = View(dict.fromkeys(KEYS))
    assert view.participant(ID) is None
    assert view.accepted(ID, ID) is None
    assert view.reaction(ReactionKey("key.share", ID, ID)) is None
    assert view.idempotency(IdempotencyKey(ID, ID)) is None
    assert view.grants(ID).grants == ()
    assert view.epochs(ID).epochs == ()


def test_missing_are_the_keys_that_were_neither_loaded_nor_written() -> None:
    view = View({KEYS[0]: None})
    view.written[KEYS[4]] = IdempotencyRow(ID, None)
    assert view.missing(set(KEYS)) == set(KEYS) - {KEYS[0], KEYS[4]}


def test_keys_of_two_kinds_never_meet() -> None:
    assert len(set(KEYS)) == len(KEYS)
    assert SubjectKey(ID) != ParticipantKey(ID)
