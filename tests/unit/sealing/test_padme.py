from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carenet.errors import SealError
from carenet.sealing.padme import MAX_PLAINTEXT_BYTES, pad, padded_length, unpad


def _padme_as_published(length: int) -> int:
    exponent = math.floor(math.log2(length))
    kept = math.floor(math.log2(exponent)) + 1 if exponent else 1
    mask = (1 << max(exponent - kept, 0)) - 1
    return (length + mask) & ~mask


@given(st.integers(min_value=2, max_value=1 << 24))
def test_the_padded_length_is_the_published_one(length: int):
    assert padded_length(length) == _padme_as_published(length)


def test_known_lengths_come_out_as_in_the_paper():
    assert [padded_length(n) for n in (0, 1, 2, 8, 9, 10, 100, 1000, 1025, 65_537)] == [
        0, 1, 2, 8, 10, 10, 104, 1024, 1088, 67_584,
    ]  # fmt: skip


@given(st.integers(min_value=1, max_value=1 << 30))
def test_padding_costs_at_most_twelve_percent(length: int):
    assert length <= padded_length(length) <= length * 1.12 + 1


@given(st.binary(max_size=300))
def test_what_was_padded_comes_back(plaintext: bytes):
    padded = pad(plaintext)
    assert len(padded) == padded_length(len(plaintext) + 4)
    assert unpad(padded) == plaintext


@pytest.mark.parametrize(
    "padded",
    [b"", b"\0\0\0", b"\0\0\0\5abc", b"\0\0\0\3abc\1", b"\0\0\0\3abc" + bytes(9), b"\xff\xff\xff\xff"],
    ids=["empty", "no-length", "cut", "not-zeros", "too-long", "huge"],
)
def test_other_padding_is_refused(padded: bytes):
    with pytest.raises(SealError):
        unpad(padded)


def test_a_plaintext_beyond_the_limit_is_refused():
    with pytest.raises(SealError, match="at most"):
        pad(bytes(MAX_PLAINTEXT_BYTES + 1))
