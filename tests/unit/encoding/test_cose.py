from __future__ import annotations

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from carenet.encoding import cbor, cose
from carenet.encoding.ids import sha256
from carenet.errors import EncodingError

PROTECTED = cbor.encode({cose.ALG: cose.EDDSA})
MESSAGE = cose.encode_sign1(PROTECTED, b"payload", b"s" * 64)


def test_a_message_survives_its_encoding() -> None:
    message = cose.decode_sign1(MESSAGE)
    assert message == cose.Sign1(PROTECTED, {1: -8}, {}, b"payload", b"s" * 64)
    assert cose.decode_sign1(cose.encode_sign1(PROTECTED, None, b"", {396: 1})).payload is None


def test_an_independent_codec_sees_tag_18_and_four_items() -> None:
    tagged = cbor2.loads(MESSAGE)
    assert tagged.tag == 18
    assert list(tagged.value) == [PROTECTED, {}, b"payload", b"s" * 64]


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_the_signed_bytes_are_those_of_rfc_9052(protected: bytes, payload: bytes) -> None:
    wanted = cbor.encode(["Signature1", protected, b"", payload])
    assert cose.encode_sig_structure(protected, payload) == wanted


@pytest.mark.parametrize(
    "data",
    [
        b"",
        MESSAGE[1:],  # no tag
        b"\xd1" + MESSAGE[1:],  # another tag
        b"\xd8\x12" + MESSAGE[1:],  # the tag not in its shortest form
        b"\xd2" + MESSAGE,  # tagged twice
        MESSAGE + b"\x00",
        b"\xd2" + cbor.encode({}),
        b"\xd2" + cbor.encode([PROTECTED, {}, b""]),
        b"\xd2" + cbor.encode([PROTECTED, {}, b"", b"", b""]),
        b"\xd2" + cbor.encode(["text", {}, b"", b""]),
        b"\xd2" + cbor.encode([PROTECTED, [], b"", b""]),
        b"\xd2" + cbor.encode([PROTECTED, {}, "text", b""]),
        b"\xd2" + cbor.encode([PROTECTED, {}, b"", None]),
        b"\xd2" + cbor.encode([b"", {}, b"", b""]),
        b"\xd2" + cbor.encode([b"\x80", {}, b"", b""]),  # a header that is no map
        b"\xd2" + cbor.encode([b"\xa2\x04\x00\x01\x00", {}, b"", b""]),  # a header out of order
        b"\xd2" + cbor.encode([PROTECTED + b"\x00", {}, b"", b""]),  # a header with trailing bytes
    ],
)
def test_a_malformed_message_is_refused(data: bytes) -> None:
    with pytest.raises(EncodingError):
        cose.decode_sign1(data)


def test_a_message_truncated_at_any_byte_is_refused() -> None:
    for end in range(len(MESSAGE)):
        with pytest.raises(EncodingError):
            cose.decode_sign1(MESSAGE[:end])


@given(st.binary(max_size=80))
def test_random_bytes_raise_nothing_but_our_own_error(data: bytes) -> None:
    for candidate in (data, b"\xd2\x84" + data):
        try:
            message = cose.decode_sign1(candidate)
        except EncodingError:
            continue
        again = cose.encode_sign1(message.protected, message.payload, message.signature, message.unprotected)
        assert again == candidate


def test_the_thumbprint_hashes_the_required_members_of_the_key() -> None:
    public = bytes(range(32))
    assert cose.compute_thumbprint(public) == sha256(cbor.encode({1: 1, -1: 6, -2: public}))
