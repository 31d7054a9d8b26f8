from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carenet.encoding import cbor
from carenet.encoding.ids import encode_id
from carenet.errors import EncodingError
from carenet.node.feed import FeedEntry, FeedRecord, build_feed_records, decode_feed_record

_INDEXES = st.one_of(st.integers(0, 70_000), st.integers(0, 2**50))
_SMALL = st.builds(FeedEntry, _INDEXES, st.binary(), st.binary())
_USUAL = st.builds(
    FeedEntry, _INDEXES, st.binary(min_size=100, max_size=140), st.binary(max_size=99).map(lambda raw: raw.rjust(256))
)
_ENTRIES = st.lists(_SMALL | _USUAL, min_size=1, max_size=5) | st.lists(_USUAL, min_size=1, max_size=5)


@given(st.integers(0, 1023), _ENTRIES)
def test_a_feed_record_survives_its_bytes(partition: int, entries: list[FeedEntry]) -> None:
    record = FeedRecord(partition, entries)
    assert decode_feed_record(record.encode()) == record
    assert record.encode() == cbor.encode(
        [2, partition, [[each.index, each.entry, each.statement] for each in entries]]
    )


@given(st.integers(0, 1023), st.lists(_USUAL, min_size=1, max_size=40), st.data())
def test_one_feed_record_has_one_encoding(partition: int, entries: list[FeedEntry], data: st.DataObject) -> None:
    whole = FeedRecord(partition, entries).encode()
    assert decode_feed_record(whole).entries == entries
    changed = bytearray(whole)
    changed[data.draw(st.integers(0, min(300, len(changed) - 1)))] = data.draw(st.integers(0, 255))
    cut = bytes(changed[: data.draw(st.sampled_from((len(changed), len(changed) - 1)))])
    try:
        read = decode_feed_record(cut)
    except EncodingError:
        return
    assert read.encode() == cut


@pytest.mark.parametrize(
    "items",
    [
        [1, 0, [[0, b"", b""]]],
        [True, 0, [[0, b"", b""]]],
        [2, -1, [[0, b"", b""]]],
        [2, 0, [[-1, b"", b""]]],
        [2, 0, [[True, b"", b""]]],
        [2, 0, [[0, "", b""]]],
        [2, 0, [[0, b"", None]]],
        [2, 0, [[0, b""]]],
        [2, 0, [0]],
        [2, 0, []],
        [2, 0, 0],
        [2, 0],
        {1: 0},
        None,
    ],
)
def test_another_shape_is_refused(items: Any) -> None:
    with pytest.raises(EncodingError, match="feed record"):
        decode_feed_record(cbor.encode(items))


@pytest.mark.parametrize(
    ("usual", "longer"),
    [("8302078183", "830218078183"), ("8302078183", "830207980183"), ("8302078183", "83020798008183")],
)
def test_a_number_that_is_not_in_its_shortest_form_is_refused(usual: str, longer: str) -> None:
    whole = FeedRecord(7, [FeedEntry(9, bytes(100), bytes(256))]).encode().hex()
    assert whole.startswith(usual)
    with pytest.raises(EncodingError):
        decode_feed_record(bytes.fromhex(whole.replace(usual, longer, 1)))


def test_a_length_that_is_not_in_its_shortest_form_is_refused() -> None:
    whole = FeedRecord(7, [FeedEntry(9, bytes(100), bytes(255))]).encode()
    with pytest.raises(EncodingError, match="shortest"):
        decode_feed_record(whole.replace(b"\x58\xff", b"\x59\x00\xff"))


def test_bytes_that_are_no_cbor_are_refused() -> None:
    with pytest.raises(EncodingError):
        decode_feed_record(b"\xff")


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 100_000)), max_size=700))
def test_each_entry_is_in_one_record_of_its_subject_and_in_order(drawn: list[tuple[int, int]]) -> None:
    statements = [bytes(size) for _, size in drawn]
    subjects = [bytes([subject]) * 32 for subject, _ in drawn]
    entries = [FeedEntry(index, b"e", statement) for index, statement in enumerate(statements)]
    found: dict[bytes, list[FeedEntry]] = {encode_id(each).encode(): [] for each in subjects}
    for record in build_feed_records(7, zip(subjects, entries, strict=True)):
        assert len(record.value) <= 2**20
        read = decode_feed_record(record.value)
        assert read.partition == 7
        found[record.key] += read.entries
    for key, read_entries in found.items():
        assert read_entries == [
            each for subject, each in zip(subjects, entries, strict=True) if encode_id(subject).encode() == key
        ]
