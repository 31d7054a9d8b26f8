from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carenet.gateway import messages
from carenet.gateway.messages import BadRequestError, GarbageError


@given(st.binary(max_size=200))
def test_bytes_come_back_from_a_message_as_they_went(raw: bytes) -> None:
    frame = messages.encode({"type": "x", "field": raw})
    assert messages.get_bytes(messages.decode(frame.decode()), "field") == raw


def test_what_has_no_place_in_a_message_is_a_mistake_of_ours() -> None:
    with pytest.raises(TypeError):
        messages.encode({"type": "x", "field": object()})


@pytest.mark.parametrize("frame", [b"{}", "", "[1]", "null", '{"type": null}', '{"type": "x"', "\ud800"])
def test_a_frame_that_is_no_message_is_garbage(frame: bytes | str) -> None:
    with pytest.raises(GarbageError):
        messages.decode(frame)


@pytest.mark.parametrize("number", [None, "1", -1, 1.0, True, 2**53])
def test_a_request_without_a_proper_id_is_garbage(number: Any) -> None:
    with pytest.raises(GarbageError):
        messages.request_id({"type": "x", "id": number})


@pytest.mark.parametrize("value", [None, 5, "A", "AA==", "A+A/", "AB", "ä", "AAAA"])
def test_bytes_are_canonical_base64url_of_the_wanted_length(value: Any) -> None:
    with pytest.raises(BadRequestError):
        messages.get_bytes({"field": value}, "field", 1)


@pytest.mark.parametrize("value", ["care", [1], ["A"], ["care.*.x"], ["*"], ["x"] * 10_001])
def test_names_are_a_list_of_names(value: Any) -> None:
    with pytest.raises(BadRequestError):
        messages.get_names({"types": value}, "types", ".*")


def test_names_may_be_absent_and_may_stand_for_a_family() -> None:
    assert messages.get_names({}, "types") is None
    assert messages.get_names({"types": ["care.*", "alert.raise"]}, "types", ".*") == {"care.*", "alert.raise"}


def test_an_id_is_canonical() -> None:
    assert messages.get_id({"subject": "A" * 43}, "subject") == bytes(32)
    with pytest.raises(BadRequestError):
        messages.get_id({"subject": "A" * 42 + "B"}, "subject")
    with pytest.raises(BadRequestError):
        messages.get_id({}, "subject")
