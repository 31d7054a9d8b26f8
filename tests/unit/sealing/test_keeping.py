from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carenet.errors import SealError
from carenet.sealing.keeping import open_own, seal_own

SECRET = bytes(range(32))


@given(st.binary(max_size=100))
def test_what_was_kept_comes_back(plaintext: bytes):
    sealed = seal_own(SECRET, "spool", plaintext)
    assert sealed != seal_own(SECRET, "spool", plaintext)
    assert open_own(SECRET, "spool", sealed) == plaintext


@given(st.data())
def test_any_flipped_bit_is_refused(data: st.DataObject):
    sealed = bytearray(seal_own(SECRET, "spool", b"content"))
    bit = data.draw(st.integers(0, 8 * len(sealed) - 1))
    sealed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(SealError):
        open_own(SECRET, "spool", bytes(sealed))


def test_another_secret_or_purpose_is_refused():
    sealed = seal_own(SECRET, "spool", b"content")
    with pytest.raises(SealError):
        open_own(bytes(32), "spool", sealed)
    with pytest.raises(SealError):
        open_own(SECRET, "other", sealed)


@pytest.mark.parametrize("length", [0, 1, 12, 27])
def test_what_is_too_short_is_refused(length: int):
    with pytest.raises(SealError):
        open_own(SECRET, "spool", bytes(length))
