from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carenet.encoding import cbor
from carenet.errors import EncodingError
from carenet.ledger.entry import NO_PREV, Entry, decode_entry
from carenet.ledger.hashes import hash_leaf

ids = st.binary(min_size=32, max_size=32)
numbers = st.integers(0, cbor.MAX_INT)
FIRST = Entry(b"s" * 32, 0, NO_PREV, b"d" * 32, 1_700_000_000_000)
FIELDS = [1, b"s" * 32, 0, NO_PREV, b"d" * 32, 1_700_000_000_000]


@st.composite
def entries(draw: st.DrawFn) -> Entry:
    seq = draw(numbers)
    prev = draw(ids.filter(lambda raw: raw != NO_PREV)) if seq else NO_PREV
    return Entry(draw(ids), seq, prev, draw(ids), draw(numbers))


@given(entries())
def test_an_entry_survives_its_bytes_which_are_plain_deterministic_cbor(entry: Entry) -> None:
    data = entry.encode()
    assert data == cbor.encode([1, entry.subject, entry.seq, entry.prev, entry.digest, entry.log_time_ms])
    assert decode_entry(data) == entry
    assert entry.leaf_hash == hash_leaf(data)


def test_an_entry_has_these_bytes_for_ever() -> None:
    assert FIRST.encode().hex() == (
        "86015820" + "73" * 32 + "005820" + "00" * 32 + "5820" + "64" * 32 + "1b0000018bcfe56800"
    )


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (0, 2),
        (0, True),
        (0, "1"),
        (1, b"short"),
        (1, "s" * 32),
        (1, None),
        (2, -1),
        (2, True),
        (2, b"0"),
        (2, 1),  # not the first, yet without prev
        (3, b"p" * 32),  # the first, yet with prev
        (3, b""),
        (4, bytes(33)),
        (4, 5),
        (5, -1),
        (5, None),
        (5, False),
    ],
)
def test_a_field_that_breaks_a_rule_is_refused(place: int, value: Any) -> None:
    fields: list[Any] = list(FIELDS)
    assert decode_entry(cbor.encode(fields)) == FIRST
    fields[place] = value
    with pytest.raises(EncodingError):
        decode_entry(cbor.encode(fields))


@pytest.mark.parametrize("value", [{}, 1, [], FIELDS[:-1], [*FIELDS, 0]])
def test_what_is_no_array_of_six_is_refused(value: Any) -> None:
    with pytest.raises(EncodingError, match="array of six"):
        decode_entry(cbor.encode(value))


def test_an_entry_truncated_at_any_byte_or_with_one_more_is_refused() -> None:
    data = FIRST.encode()
    for end in range(len(data)):
        with pytest.raises(EncodingError):
            decode_entry(data[:end])
    with pytest.raises(EncodingError):
        decode_entry(data + b"\0")


@given(st.binary(max_size=140))
def test_random_bytes_raise_nothing_but_our_own_error(data: bytes) -> None:
    with pytest.raises(EncodingError):
        decode_entry(data)


@given(entries(), st.data())
def test_one_entry_has_one_encoding(entry: Entry, data: st.DataObject) -> None:
    changed = bytearray(entry.encode())
    at = data.draw(st.integers(0, len(changed) - 1))
    changed[at] = data.draw(st.integers(0, 255))
    try:
        read = decode_entry(bytes(changed))
    except EncodingError:
        return
    assert read.encode() == changed


@pytest.mark.parametrize("head", ["1800", "1817", "190000", "1900ff", "1a00000000", "1a0000ffff", "1b0000000000010000"])
def test_a_seq_that_is_not_in_its_shortest_form_is_refused(head: str) -> None:
    later = Entry(b"s" * 32, 1, b"p" * 32, b"d" * 32, FIRST.log_time_ms).encode()
    with pytest.raises(EncodingError, match="shortest"):
        decode_entry(later[:36] + bytes.fromhex(head) + later[37:])


@pytest.mark.parametrize("time", ["1b00000000ffffffff", "1b0020000000000000", "1bffffffffffffffff"])
def test_a_log_time_that_is_not_in_its_shortest_form_or_beyond_the_range_is_refused(time: str) -> None:
    with pytest.raises(EncodingError):
        decode_entry(FIRST.encode()[:-9] + bytes.fromhex(time))


def test_misuse_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        Entry(b"", 0, NO_PREV, bytes(32), 0)
    with pytest.raises(ValueError, match="seq"):
        Entry(bytes(32), 2**53, b"p" * 32, bytes(32), 0)
    with pytest.raises(ValueError, match="prev"):
        Entry(bytes(32), 1, NO_PREV, bytes(32), 0)
