from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carenet.encoding.ed25519 import SigningKey, is_admissible_key, is_valid_signature

KEY = SigningKey(bytes(range(32)))
GROUP_ORDER = 2**252 + 27742317777372353535851937790883648493
IDENTITY = b"\x01" + bytes(31)
SMALL_ORDER = bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05")  # order 8


def test_the_first_vector_of_rfc_8032_comes_out() -> None:
    key = SigningKey(bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"))
    assert key.public.hex() == "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
    assert key.sign(b"").hex().startswith("e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155")


@given(st.binary(max_size=80), st.integers(0, 511))
def test_a_signature_holds_and_with_any_bit_turned_does_not(message: bytes, bit: int) -> None:
    signature = bytearray(KEY.sign(message))
    assert is_valid_signature(KEY.public, bytes(signature), message)
    assert not is_valid_signature(KEY.public, bytes(signature), message + b"x")
    signature[bit // 8] ^= 1 << bit % 8
    assert not is_valid_signature(KEY.public, bytes(signature), message)


def test_a_signature_whose_s_is_not_reduced_is_refused() -> None:
    signature = KEY.sign(b"message")
    s = int.from_bytes(signature[32:], "little") + GROUP_ORDER
    assert not is_valid_signature(KEY.public, signature[:32] + s.to_bytes(32, "little"), b"message")


@pytest.mark.parametrize("public", [IDENTITY, SMALL_ORDER, bytes(32)])
def test_a_key_of_small_order_verifies_nothing_and_is_not_admitted(public: bytes) -> None:
    forged = IDENTITY + bytes(32)  # R = identity, S = 0 holds for every message under such a key, cofactors ignored
    assert not is_valid_signature(public, forged, b"anything")
    assert not is_admissible_key(public)


@pytest.mark.parametrize("length", [0, 31, 33, 63, 65])
def test_keys_and_signatures_of_other_lengths_are_refused(length: int) -> None:
    signature = KEY.sign(b"")
    assert not is_valid_signature(KEY.public, bytes(length), b"")
    assert not is_valid_signature((KEY.public * 3)[:length], signature, b"")
    assert not is_admissible_key(bytes(length))


def test_a_key_that_is_no_canonical_point_is_not_admitted() -> None:
    prime = 2**255 - 19
    assert is_admissible_key(KEY.public)
    assert not is_admissible_key((prime + 1).to_bytes(32, "little"))
    assert not is_admissible_key(b"\xff" * 32)


def test_a_seed_has_32_bytes() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        SigningKey(bytes(31))


def test_the_representation_shows_no_secret() -> None:
    assert KEY.seed.hex()[:8] not in repr(KEY)
    assert repr(KEY) == f"<SigningKey {KEY.public[:4].hex()}…>"
