from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carenet.encoding import cbor
from carenet.errors import EncodingError
from carenet.node.feed import FeedRecord, decode_feed_record


@given(st.integers(0, 1023), st.integers(0, 2**50), st.binary(), st.binary())
def test_a_feed_record_survives_its_bytes(partition: int, index: int, entry: bytes, statement: bytes) -> None:
    record = FeedRecord(partition, index, entry, statement)
    assert decode_feed_record(record.encode()) == record
    assert record.encode() == cbor.encode([1, partition, index, entry, statement])


@pytest.mark.parametrize(
    "items",
    [
        [2, 0, 0, b"", b""],
        [True, 0, 0, b"", b""],
        [1, -1, 0, b"", b""],
        [1, 0, -1, b"", b""],
        [1, 0, True, b"", b""],
        [1, 0, 0, "", b""],
        [1, 0, 0, b"", None],
        [1, 0, 0, b""],
        {1: 0},
        None,
    ],
)
def test_another_shape_is_refused(items: Any) -> None:
    with pytest.raises(EncodingError, match="feed record"):
        decode_feed_record(cbor.encode(items))


def test_bytes_that_are_no_cbor_are_refused() -> None:
    with pytest.raises(EncodingError):
        decode_feed_record(b"\xff")
