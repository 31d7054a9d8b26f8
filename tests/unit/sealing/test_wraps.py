from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carenet.errors import EncodingError, SealError
from carenet.sealing import hpke
from carenet.sealing.epochs import EpochKeys
from carenet.sealing.wraps import decode_wraps, encode_wraps, match_epochs, unwrap, wrap

NETWORK, SUBJECT, READER = (bytes([n]) * 32 for n in (1, 2, 3))
PRIVATE = hpke.generate_private_key()
PUBLIC = hpke.compute_public_key(PRIVATE)
EPOCHS = [EpochKeys.generate() for _ in range(3)]
KEYS = [epoch.private for epoch in EPOCHS]


def _wrapped() -> bytes:
    return wrap(NETWORK, SUBJECT, READER, PUBLIC, KEYS)


def test_wrapped_keys_come_back_in_their_order():
    assert unwrap(NETWORK, SUBJECT, READER, PRIVATE, _wrapped()) == KEYS


@pytest.mark.parametrize(
    ("network", "subject", "reader"),
    [(SUBJECT, SUBJECT, READER), (NETWORK, READER, READER), (NETWORK, SUBJECT, SUBJECT)],
    ids=["network", "subject", "recipient"],
)
def test_a_wrap_for_another_network_subject_or_recipient_is_refused(network: bytes, subject: bytes, reader: bytes):
    with pytest.raises(SealError):
        unwrap(network, subject, reader, PRIVATE, _wrapped())


def test_a_wrap_for_another_key_of_the_recipient_is_refused():
    with pytest.raises(SealError):
        unwrap(NETWORK, SUBJECT, READER, hpke.generate_private_key(), _wrapped())


@given(st.data())
def test_any_flipped_bit_of_a_wrap_is_refused(data: st.DataObject):
    wrapped = bytearray(_wrapped())
    bit = data.draw(st.integers(0, 8 * len(wrapped) - 1))
    wrapped[bit // 8] ^= 1 << bit % 8
    with pytest.raises(SealError):
        unwrap(NETWORK, SUBJECT, READER, PRIVATE, bytes(wrapped))


@pytest.mark.parametrize("keys", [[], [b"short"], [KEYS[0] + b"x"]], ids=["none", "short", "long"])
def test_a_wrap_of_something_else_than_keys_is_refused(keys: list[bytes]):
    with pytest.raises(SealError, match="96"):
        unwrap(NETWORK, SUBJECT, READER, PRIVATE, wrap(NETWORK, SUBJECT, READER, PUBLIC, keys))


def test_keys_are_matched_with_the_epochs_in_the_log():
    ids = [epoch.id for epoch in EPOCHS]
    assert match_epochs(KEYS, ids) == dict(zip(ids, KEYS, strict=True))
    with pytest.raises(SealError, match="not that of the epoch"):
        match_epochs(KEYS, ids[::-1])
    with pytest.raises(SealError, match="3 keys"):
        match_epochs(KEYS, ids[:2])


@given(st.lists(st.binary(max_size=50), max_size=5))
def test_a_body_of_wraps_comes_back(wraps: list[bytes]):
    assert decode_wraps(encode_wraps(wraps)) == wraps


@pytest.mark.parametrize("body", [b"", b"\x01", b"\x81\x01", b"\x80\x80"], ids=["empty", "int", "ints", "trailing"])
def test_a_body_that_is_no_array_of_wraps_is_refused(body: bytes):
    with pytest.raises(EncodingError):
        decode_wraps(body)
