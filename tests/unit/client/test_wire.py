from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carenet.client import wire
from carenet.encoding.ids import encode_id
from carenet.errors import BadInputError, EncodingError


@given(st.binary(max_size=100))
def test_bytes_come_back_from_their_text(data: bytes):
    text = wire.to_text(data)
    assert "=" not in text
    assert wire.to_bytes(text) == data


@pytest.mark.parametrize("text", ["A", "AA==", "A+A_", "AB", "A\n", "ä", "AA A"])
def test_text_that_is_not_canonical_base64url_is_refused(text: str):
    with pytest.raises(EncodingError):
        wire.to_bytes(text)


@pytest.mark.parametrize("frame", [b"", b"[]", b"null", b"{", b"{}", b'{"type":1}', b"\xff\xfe", b'{"type":"a"}x'])
def test_a_text_frame_that_is_no_message_is_refused(frame: bytes):
    with pytest.raises(EncodingError):
        wire.JSON.unpack(frame)


@pytest.mark.parametrize("frame", ["{}", b"", b"\x80", b"\xf6", b"\xa0", b"\xa1\x64type\x01", b"\xa1\x64type\x61a\0"])
def test_a_binary_frame_that_is_no_message_is_refused(frame: bytes | str):
    with pytest.raises(EncodingError):
        wire.CBOR.unpack(frame)


@pytest.mark.parametrize("codec", [wire.CBOR, wire.JSON])
def test_a_message_comes_back_from_its_frame(codec: wire.Codec):
    message = {"type": "hello", "id": 1, "subjects": ["a"], "body": None, "nonce": b"\0\1"}
    unpacked = codec.unpack(codec.pack(message))
    assert wire.read_bytes(unpacked, "nonce") == b"\0\1"
    assert unpacked | {"nonce": b"\0\1"} == message


def test_what_has_no_place_in_a_message_is_a_mistake_of_ours():
    for codec in wire.CODECS.values():
        with pytest.raises((TypeError, EncodingError)):
            codec.pack({"type": "x", "field": object()})


@pytest.mark.parametrize(
    ("read", "value"),
    [
        (wire.read_text, 1),
        (wire.read_int, -1),
        (wire.read_int, True),
        (wire.read_int, "1"),
        (wire.read_int, 1.0),
        (wire.read_bytes, None),
        (wire.read_bytes, "="),
        (wire.read_bytes_or_none, 1),
        (wire.read_id, "short"),
        (wire.read_map, []),
        (wire.read_map, {1: 2}),
        (wire.read_list, {}),
        (wire.read_maps, [1]),
        (wire.read_texts, [1]),
    ],
)
def test_a_field_of_another_type_is_refused(read, value):  # noqa: ANN001
    with pytest.raises(EncodingError):
        read({"type": "x", "field": value}, "field")


def test_fields_are_read_with_their_types():
    message = {"n": 3, "t": "x", "b": "AQ", "m": {"a": 1}, "l": ["x"], "i": encode_id(bytes(32)), "z": None}
    assert wire.read_int(message, "n") == 3
    assert wire.read_text(message, "t") == "x"
    assert wire.read_bytes(message, "b") == wire.read_bytes({"b": b"\1"}, "b") == b"\1"
    assert wire.read_bytes_or_none(message, "z") is None
    assert wire.read_bytes_or_none(message, "absent") is None
    assert wire.read_map(message, "m") == {"a": 1}
    assert wire.read_map(message, "absent") == {}
    assert wire.read_texts(message, "l") == ("x",)
    assert wire.read_id(message, "i") == bytes(32)


def test_an_id_is_taken_as_text_or_bytes():
    assert wire.id_of(encode_id(bytes(32))) == bytes(32) == wire.id_of(bytes(32))
    assert wire.id_text(bytes(32)) == encode_id(bytes(32))
    for wrong in ("x", b"x"):
        with pytest.raises(BadInputError):
            wire.id_of(wrong)
