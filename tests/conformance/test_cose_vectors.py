"""COSE_Sign1 examples of the COSE working group (cose-wg/Examples)."""

from __future__ import annotations

import json
from typing import Any

import cbor2
import pytest

from carenet.encoding import cose
from carenet.encoding.ed25519 import SigningKey, is_valid_signature
from carenet.errors import EncodingError
from tests.support.data import SHARED, needs_shared

pytestmark = needs_shared

FOLDER = SHARED / "vectors" / "cose"
ES256_NAMES = sorted(path.stem for path in FOLDER.glob("sign-*.json"))
PUBLIC = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")


def load(name: str) -> dict[str, Any]:
    return json.loads((FOLDER / f"{name}.json").read_text())


def read_message(name: str) -> bytes:
    return bytes.fromhex(load(name)["output"]["cbor"])


def is_acceptable(data: bytes) -> bool:
    """Whether the message passes our framing, names our algorithm and holds under the example's key."""
    try:
        message = cose.decode_sign1(data)
    except EncodingError:
        return False
    if message.header.get(cose.ALG) != cose.EDDSA or message.payload is None:
        return False
    signed = cose.encode_sig_structure(message.protected, message.payload)
    return is_valid_signature(PUBLIC, message.signature, signed)


def test_the_eddsa_example_is_read_verified_and_written_alike() -> None:
    example = load("eddsa-sig-01")
    key = example["input"]["sign0"]["key"]
    data = read_message("eddsa-sig-01")
    message = cose.decode_sign1(data)
    assert key["x_hex"] == PUBLIC.hex()
    assert message.header == {cose.ALG: cose.EDDSA, cose.CONTENT_TYPE: 0}
    assert message.unprotected == {cose.KID: b"11"}
    assert message.payload == example["input"]["plaintext"].encode()
    signed = cose.encode_sig_structure(message.protected, message.payload)
    assert signed.hex().upper() == example["intermediates"]["ToBeSign_hex"]
    assert SigningKey(bytes.fromhex(key["d_hex"])).sign(signed) == message.signature
    assert cose.encode_sign1(message.protected, message.payload, message.signature, message.unprotected) == data
    assert is_acceptable(data)


def test_the_eddsa_example_with_any_bit_of_what_is_signed_turned_is_refused() -> None:
    data = read_message("eddsa-sig-01")
    unprotected = cbor2.dumps({cose.KID: b"11"})
    start = data.index(unprotected)
    for bit in range(8 * len(data)):
        raw = bytearray(data)
        raw[bit // 8] ^= 1 << bit % 8
        if not start <= bit // 8 < start + len(unprotected):  # which no signature covers
            assert not is_acceptable(bytes(raw)), f"bit {bit}"


def test_all_examples_are_there() -> None:
    assert len(ES256_NAMES) == 9


@pytest.mark.parametrize("name", ES256_NAMES)
def test_no_example_in_another_algorithm_is_accepted_whether_it_should_pass_or_fail(name: str) -> None:
    assert not is_acceptable(read_message(name))


@pytest.mark.parametrize("name", ["sign-fail-01", "sign-pass-03"])
def test_another_tag_or_none_is_refused_by_the_framing(name: str) -> None:
    with pytest.raises(EncodingError, match="tag 18"):
        cose.decode_sign1(read_message(name))


@pytest.mark.parametrize("name", sorted(set(ES256_NAMES) - {"sign-fail-01", "sign-pass-03"}))
def test_the_framing_reads_what_an_independent_codec_reads(name: str) -> None:
    message = cose.decode_sign1(read_message(name))
    protected, unprotected, payload, signature = cbor2.loads(read_message(name)).value
    assert (message.protected, message.payload, message.signature) == (protected, payload, signature)
    assert message.unprotected == dict(unprotected)
    assert message.header == cbor2.loads(protected)


@pytest.mark.parametrize("name", ["sign-fail-01", "sign-pass-03"])
def test_the_sig_structure_is_the_examples_where_only_the_tag_was_changed(name: str) -> None:
    message = cbor2.loads(read_message(name))
    protected, _, payload, _ = message if isinstance(message, list) else message.value
    signed = cose.encode_sig_structure(protected, payload)
    assert signed.hex().upper() == load(name)["intermediates"]["ToBeSign_hex"]
