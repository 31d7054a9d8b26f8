from __future__ import annotations

import pytest

from carenet.encoding.ids import encode_id
from carenet.errors import RefusedError
from carenet.gateway.backlog import Pass
from carenet.gateway.messages import BadRequestError
from carenet.gateway.subscribing import read_cursor, read_interest
from carenet.gateway.watch import Cursor, Interest

SUBJECT = encode_id(bytes(32))


def test_a_subscription_names_subjects_or_all() -> None:
    assert read_interest({"subjects": "all"}) == Interest(None)
    named = read_interest({"subjects": [SUBJECT], "types": ["care.*"], "compartments": ["clinical"]})
    assert named == Interest(frozenset({bytes(32)}), frozenset({"care.*"}), frozenset({"clinical"}))


def test_inbound_is_not_known_yet() -> None:
    with pytest.raises(RefusedError) as caught:
        read_interest({"subjects": "inbound"})
    assert caught.value.reason == "unsupported"


def test_a_cursor_is_read_with_its_passes() -> None:
    cursor = {"at": {"1": 7}, "behind": {SUBJECT: 3}, "passes": {SUBJECT: [9, 5, 100]}}
    assert read_cursor({"cursor": cursor}, 2) == Cursor({1: 7}, {bytes(32): Pass(3, 9, 5, 100)})


def test_a_cursor_whose_passes_were_dropped_loses_nothing() -> None:
    assert read_cursor({"cursor": {"behind": {SUBJECT: 3}}}, 2) == Cursor({}, {bytes(32): Pass(3, 3)})


def test_no_cursor_is_not_an_empty_one() -> None:
    assert read_cursor({}, 2) is None
    assert read_cursor({"cursor": {}}, 2) == Cursor()


@pytest.mark.parametrize(
    "cursor",
    [
        5,
        {"at": {"2": 0}},
        {"at": {"-1": 0}},
        {"at": {"9" * 5000: 0}},
        {"at": {"00": 0}},
        {"at": {"٠": 0}},
        {"at": {"0": 1.5}},
        {"at": {"0": True}},
        {"behind": {SUBJECT: -1}},
        {"behind": {SUBJECT: 0}, "passes": {SUBJECT: [1, 2]}},
        {"behind": {SUBJECT: 0}, "passes": {SUBJECT: [1, 2, "3"]}},
        {"behind": {SUBJECT + "A": 0}},
    ],
)
def test_an_ill_formed_cursor_is_refused(cursor: object) -> None:
    with pytest.raises(BadRequestError):
        read_cursor({"cursor": cursor}, 2)
