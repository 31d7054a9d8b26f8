from __future__ import annotations

import tracemalloc

import cbor2
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from carenet.encoding import cbor
from carenet.errors import EncodingError

integers = st.integers(-cbor.MAX_INT, cbor.MAX_INT)
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)
scalars = st.none() | st.booleans() | integers | st.binary(max_size=40) | texts
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(integers | texts, inner, max_size=4),
    max_leaves=20,
)


def rebuild(value: object) -> object:
    """Our rules on top of cbor2's plain values: keys in the bytewise order of their encodings."""
    if isinstance(value, list):
        return [rebuild(item) for item in value]
    if isinstance(value, dict):
        return {key: rebuild(value[key]) for key in sorted(value, key=cbor2.dumps)}
    return value


def nest(depth: int) -> object:
    value: object = 0
    for _ in range(depth - 1):
        value = [value]
    return value


def assert_own_encoding_or_refused(data: bytes) -> None:
    try:
        value = cbor.decode(data)
    except EncodingError:
        return
    assert cbor.encode(value) == data


@given(values)
def test_decoding_what_was_encoded_gives_the_value_back(value: object) -> None:
    assert cbor.decode(cbor.encode(value)) == value


@given(values)
def test_the_encoding_is_that_of_an_independent_codec_with_sorted_keys(value: object) -> None:
    assert cbor.encode(value) == cbor2.dumps(rebuild(value))
    assert cbor2.loads(cbor.encode(value)) == value


@given(st.binary(max_size=60))
@example(b"")
@example(b"\x9b" + b"\xff" * 8)
@example(b"\x5b" + b"\xff" * 8)
@example(b"\x81" * 100_000)
def test_random_bytes_are_either_our_own_encoding_or_refused(data: bytes) -> None:
    assert_own_encoding_or_refused(data)


@given(values, st.data())
def test_a_flipped_bit_is_either_another_encoding_of_ours_or_refused(value: object, data: st.DataObject) -> None:
    raw = bytearray(cbor.encode(value))
    bit = data.draw(st.integers(0, 8 * len(raw) - 1))
    raw[bit // 8] ^= 1 << bit % 8
    assert_own_encoding_or_refused(bytes(raw))


@given(values)
def test_an_item_truncated_at_any_byte_is_refused(value: object) -> None:
    raw = cbor.encode(value)
    for end in range(len(raw)):
        with pytest.raises(EncodingError):
            cbor.decode(raw[:end])


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        ("0000", "trailing"),
        ("1800", "shortest"),
        ("1817", "shortest"),
        ("190017", "shortest"),
        ("1900ff", "shortest"),
        ("1a0000ffff", "shortest"),
        ("1b00000000ffffffff", "shortest"),
        ("3817", "shortest"),
        ("581700", "shortest"),
        ("780161", "shortest"),
        ("980100", "shortest"),
        ("b8010000", "shortest"),
        ("a202000100", "repeated or out of order"),
        ("a201000100", "repeated or out of order"),
        ("a22000186400", "repeated or out of order"),  # RFC 7049's order, which is not ours
        ("a2616100616100", "repeated or out of order"),
        ("a1410000", "neither integer nor text"),
        ("a1f500", "neither integer nor text"),
        ("a18000", "neither integer nor text"),
        ("a1f600", "neither integer nor text"),
        ("f93c00", "float"),
        ("fa3f800000", "float"),
        ("fb3ff0000000000000", "float"),
        ("f7", "simple"),
        ("e0", "simple"),
        ("f8ff", "simple"),
        ("f814", "simple"),
        ("ff", "simple"),
        ("c000", "tag"),
        ("d28400", "tag"),
        ("d81800", "tag"),
        ("5f4100ff", "indefinite"),
        ("7f6161ff", "indefinite"),
        ("9f00ff", "indefinite"),
        ("bf0000ff", "indefinite"),
        ("1c", "indefinite or reserved"),
        ("1d", "indefinite or reserved"),
        ("1e", "indefinite or reserved"),
        ("1f", "indefinite or reserved"),
        ("6100", "NUL"),
        ("63610062", "NUL"),
        ("61ff", "UTF-8"),
        ("62c080", "UTF-8"),
        ("63eda080", "UTF-8"),
        ("64f4908080", "UTF-8"),
        ("1b0020000000000000", r"beyond ±\(2\*\*53 - 1\)"),
        ("3b001fffffffffffff", r"beyond ±\(2\*\*53 - 1\)"),
        ("1bffffffffffffffff", r"beyond ±\(2\*\*53 - 1\)"),
    ],
)
def test_what_the_encoder_would_not_write_is_refused(data: str, rule: str) -> None:
    with pytest.raises(EncodingError, match=rule):
        cbor.decode(bytes.fromhex(data))


@pytest.mark.parametrize(
    ("value", "data"),
    [
        (0, "00"),
        (23, "17"),
        (24, "1818"),
        (256, "190100"),
        (cbor.MAX_INT, "1b001fffffffffffff"),
        (-cbor.MAX_INT, "3b001ffffffffffffe"),
        (-1, "20"),
        ({100: 1, -1: 2}, "a21864012002"),
        ({"b": 1, "aa": 2, 10: 3}, "a30a0361620162616102"),
        ([None, True, False], "83f6f5f4"),
        ("ü", "62c3bc"),
        (b"", "40"),
        ((1, 2), "820102"),
    ],
)
def test_known_encodings(value: object, data: str) -> None:
    assert cbor.encode(value) == bytes.fromhex(data)


@pytest.mark.parametrize(
    "value",
    [
        1.5,
        float("nan"),
        2**53,
        -(2**53),
        "a\0b",
        "\ud800",
        {b"key": 1},
        {True: 1},
        {None: 1},
        {2**53: 1},
        {"a\0": 1},
        {1, 2},
        object(),
        bytearray(b"x"),
        [1.5],
        {1: 1.5},
    ],
)
def test_a_value_outside_the_allowed_set_is_not_encoded(value: object) -> None:
    with pytest.raises(EncodingError):
        cbor.encode(value)


def test_sixteen_levels_pass_and_the_seventeenth_is_refused_both_ways() -> None:
    assert cbor.decode(cbor.encode(nest(16))) == nest(16)
    with pytest.raises(EncodingError, match="deeper"):
        cbor.encode(nest(17))
    with pytest.raises(EncodingError, match="deeper"):
        cbor.decode(b"\x81" * 16 + b"\x00")
    with pytest.raises(EncodingError, match="deeper"):
        cbor.decode(b"\xa1\x00" * 16 + b"\x00")


@pytest.mark.parametrize("fits", [[0] * 1023, dict.fromkeys(range(511), 0), [[0]] * 511 + [0]])
def test_1024_items_pass_and_one_more_is_refused_both_ways(fits: list[object] | dict[object, object]) -> None:
    assert cbor.decode(cbor.encode(fits)) == fits
    many = [fits, 0] if isinstance(fits, dict) else [*fits, 0]
    with pytest.raises(EncodingError, match="more than 1024 items"):
        cbor.encode(many)
    with pytest.raises(EncodingError, match="more than 1024 items"):
        cbor.decode(cbor2.dumps(many))


def test_who_asks_for_more_items_gets_just_so_many() -> None:
    many = [0] * 1999
    assert cbor.decode(cbor.encode(many, 2000), 2000) == many
    with pytest.raises(EncodingError, match="more than 1999 items"):
        cbor.encode(many, 1999)
    with pytest.raises(EncodingError, match="more than 1999 items"):
        cbor.decode(cbor.encode(many, 2000), 1999)


def test_a_bomb_is_refused_before_it_is_built() -> None:
    count = 900_000  # empty arrays: a byte each on the wire, 64 in memory
    tracemalloc.start()
    with pytest.raises(EncodingError, match="items"):
        cbor.decode(b"\xa1\x61a\x9a" + count.to_bytes(4, "big") + b"\x80" * count)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 * count


def test_a_huge_announced_length_is_refused_before_anything_is_allocated() -> None:
    for head in (b"\x9a", b"\xba", b"\x5a", b"\x7a"):
        with pytest.raises(EncodingError, match="middle"):
            cbor.decode(head + b"\xff\xff\xff\xff" + b"\x00" * 10)


def test_the_longest_argument_has_64_bits() -> None:
    assert cbor.encode_head(2, 2**64 - 1) == b"\x5b" + b"\xff" * 8
    with pytest.raises(EncodingError):
        cbor.encode_head(2, 2**64)
