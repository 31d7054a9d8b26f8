from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from carenet.encoding import cbor
from carenet.encoding.ids import encode_id
from carenet.errors import EncodingError
from carenet.gateway import messages
from carenet.gateway.messages import CBOR, JSON, BadRequestError, Codec, GarbageError

CODECS = pytest.mark.parametrize("codec", [CBOR, JSON], ids=lambda codec: codec.subprotocol)


def payload(codec: Codec, message: dict[str, Any]) -> bytes | str:
    """As a WebSocket gives it."""
    encoded = codec.encode(message)
    return encoded.decode() if codec.is_text else encoded


@CODECS
@given(st.binary(max_size=200))
def test_bytes_come_back_from_a_message_as_they_went(codec: Codec, raw: bytes) -> None:
    message = codec.decode(payload(codec, {"type": "x", "body": raw}))
    assert messages.get_bytes(message, "body") == raw


MESSAGES = st.fixed_dictionaries(
    {"type": st.text(st.characters(codec="utf-8", exclude_characters="\0"))},
    optional={
        "id": st.integers(0, 2**53 - 1),
        "statement": st.binary(),
        "body": st.none() | st.binary(),
        "subjects": st.lists(st.from_regex(r"[A-Za-z0-9_-]{43}", fullmatch=True)),
        "cursor": st.fixed_dictionaries({"at": st.dictionaries(st.sampled_from("0123"), st.integers(0, 9))}),
        "follow": st.booleans(),
    },
)


@given(MESSAGES)
def test_both_codecs_carry_the_same_message(message: dict[str, Any]) -> None:
    assert JSON.decode(payload(JSON, message)) == CBOR.decode(payload(CBOR, message)) == message


@CODECS
def test_what_has_no_place_in_a_message_is_a_mistake_of_ours(codec: Codec) -> None:
    with pytest.raises((TypeError, EncodingError)):
        codec.encode({"type": "x", "field": object()})


@pytest.mark.parametrize("frame", [b"{}", "", "[1]", "null", '{"type": null}', '{"type": "x"', "\ud800"])
def test_a_frame_that_is_no_message_is_garbage(frame: bytes | str) -> None:
    with pytest.raises(GarbageError):
        JSON.decode(frame)


@pytest.mark.parametrize(
    "frame",
    [
        '{"type": "x", "id": 1}',  # a text frame
        b"",
        cbor.encode(["x"]),
        cbor.encode({}),
        cbor.encode({"type": 1}),
        cbor.encode({"type": b"x"}),
        cbor.encode({"type": "x"}) + b"\0",  # trailing
        b"\xa1\x64type\x78\x01x",  # a length that is not the shortest
        b"\xa2\x64type\x61x\x62id\x01",  # keys out of order
        b"\xbf\x64type\x61x\xff",  # indefinite
        b"\xa2\x62id\xf9\x3c\x00\x64type\x61x",  # a float
        b"\xa1\x64type\xc1\x61x",  # a tag
        b"\x9a\x7f\xff\xff\xff",
        b"\x81" * 5000,
        cbor.encode({"type": "x", "subjects": [0] * 200_000}, 10**6),
    ],
)
def test_a_frame_that_is_not_one_deterministic_map_is_garbage(frame: bytes | str) -> None:
    with pytest.raises(GarbageError):
        CBOR.decode(frame)


def test_a_cursor_of_as_many_subjects_as_may_be_is_no_garbage() -> None:
    ids = [encode_id(number.to_bytes(32, "big")) for number in range(messages.MAX_LISTED)]
    cursor = {"at": {"0": 1}, "behind": dict.fromkeys(ids, 5), "passes": {each: [1, 2, 3] for each in ids}}
    message = {"type": "subscribe", "id": 1, "subjects": ids, "cursor": cursor}
    assert CBOR.decode(CBOR.encode(message)) == message


def test_what_several_sessions_get_is_encoded_and_framed_once_for_each_subprotocol() -> None:
    shared = messages.Shared({"type": "x", "body": b"b" * 200})
    for codec, initial in ((CBOR, b"\x82"), (JSON, b"\x81")):
        encoded = codec.encode(shared.message)
        assert shared.frame(codec) is shared.frame(codec)
        assert shared.frame(codec) == initial + b"\x7e" + len(encoded).to_bytes(2, "big") + encoded


@pytest.mark.parametrize("number", [None, "1", -1, 1.0, True, 2**53])
def test_a_request_without_a_proper_id_is_garbage(number: Any) -> None:
    with pytest.raises(GarbageError):
        messages.request_id({"type": "x", "id": number})


@pytest.mark.parametrize("value", [None, 5, "A", "AA==", "A+A/", "AB", "ä", "AAAA"])
def test_bytes_are_canonical_base64url_of_the_wanted_length_in_json(value: Any) -> None:
    message = JSON.decode(orjson.dumps({"type": "x", "digest": value}).decode())
    with pytest.raises(BadRequestError):
        messages.get_bytes(message, "digest", 1)


@pytest.mark.parametrize("value", [None, 5, "AA", b"", b"12", [b"1"]])
def test_bytes_are_a_byte_string_of_the_wanted_length_in_cbor(value: Any) -> None:
    message = CBOR.decode(cbor.encode({"type": "x", "digest": value}))
    with pytest.raises(BadRequestError):
        messages.get_bytes(message, "digest", 1)


def test_a_body_that_is_no_base64url_is_not_taken_for_none() -> None:
    message = JSON.decode('{"type": "publish", "id": 1, "body": "AA=="}')
    assert message["body"] is not None
    with pytest.raises(BadRequestError):
        messages.get_bytes(message, "body")


@pytest.mark.parametrize("value", [[], 1, {1: 2}, {"0": 1, 1: 2}])
def test_a_map_has_text_keys(value: Any) -> None:
    with pytest.raises(BadRequestError):
        messages.get_map({"cursor": value}, "cursor")


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
