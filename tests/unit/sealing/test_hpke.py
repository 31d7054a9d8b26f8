from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carenet.errors import SealError
from carenet.sealing import hpke

PRIVATE = hpke.generate_private_key()
PUBLIC = hpke.compute_public_key(PRIVATE)


def test_keys_have_the_lengths_that_statements_carry():
    assert (len(PRIVATE), len(PUBLIC)) == (96, 1216)
    assert hpke.generate_private_key() != PRIVATE


@given(st.binary(max_size=200), st.binary(max_size=64))
def test_what_was_sealed_opens_under_the_same_info(plaintext: bytes, info: bytes):
    sealed = hpke.seal(PUBLIC, info, plaintext)
    assert len(sealed) == len(plaintext) + hpke.OVERHEAD_BYTES
    assert hpke.open_sealed(PRIVATE, info, sealed) == plaintext


@given(st.data())
def test_any_flipped_bit_is_refused(data: st.DataObject):
    sealed = bytearray(hpke.seal(PUBLIC, b"info", b"content"))
    bit = data.draw(st.integers(0, 8 * len(sealed) - 1))
    sealed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(SealError):
        hpke.open_sealed(PRIVATE, b"info", bytes(sealed))


def test_another_info_or_key_is_refused():
    sealed = hpke.seal(PUBLIC, b"info", b"content")
    with pytest.raises(SealError):
        hpke.open_sealed(PRIVATE, b"other", sealed)
    with pytest.raises(SealError):
        hpke.open_sealed(hpke.generate_private_key(), b"info", sealed)


@pytest.mark.parametrize("sealed", [b"", bytes(1135), bytes(1136)], ids=["empty", "short", "zeros"])
def test_a_cut_ciphertext_is_refused(sealed: bytes):
    with pytest.raises(SealError):
        hpke.open_sealed(PRIVATE, b"", sealed)


@pytest.mark.parametrize(
    "public",
    [b"", PUBLIC[:-1], PUBLIC + b"\0", b"\xff" * 1216, PUBLIC[:1184] + bytes(32)],
    ids=["empty", "short", "long", "kem-not-reduced", "x25519-small-order"],
)
def test_what_is_no_public_key_is_refused(public: bytes):
    with pytest.raises(SealError):
        hpke.seal(public, b"", b"content")


def test_what_is_no_private_key_is_refused():
    with pytest.raises(SealError, match="96 bytes"):
        hpke.compute_public_key(PRIVATE[:-1])
