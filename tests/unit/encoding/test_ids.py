from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carenet.encoding.ids import decode_id, encode_id, is_name, sha256, show_label
from carenet.errors import EncodingError


@given(st.binary(min_size=32, max_size=32))
def test_an_id_survives_its_text(raw: bytes) -> None:
    text = encode_id(raw)
    assert len(text) == 43
    assert decode_id(text) == raw


@given(st.text(max_size=50) | st.text("AQgw_-Zz09+/=", min_size=43, max_size=43))
def test_no_two_texts_name_one_id(text: str) -> None:
    try:
        raw = decode_id(text)
    except EncodingError:
        return
    assert encode_id(raw) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "A" * 42,
        "A" * 44,
        "A" * 43 + "=",
        "A" * 43 + "\n",
        "A" * 42 + "B",  # a bit that no id sets
        "A" * 42 + "+",
        "A" * 42 + "/",
        "A" * 42 + "é",
        " " + "A" * 42,
    ],
)
def test_a_text_that_is_no_canonical_id_is_refused(text: str) -> None:
    with pytest.raises(EncodingError):
        decode_id(text)


@pytest.mark.parametrize("length", [0, 31, 33])
def test_an_id_has_32_bytes(length: int) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        encode_id(bytes(length))


@pytest.mark.parametrize("name", ["a", "participant.admit", "rx-1_2.3", "0" * 64])
def test_names_are_short_and_plain(name: str) -> None:
    assert is_name(name)


@pytest.mark.parametrize("name", ["", "A", "a b", "a\n", "ä", "0" * 65, "a/b", b"a", 7, None])
def test_what_is_no_name(name: object) -> None:
    assert not is_name(name)


def test_sha256_is_the_standard_one() -> None:
    assert sha256(b"abc").hex() == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@pytest.mark.parametrize("label", ["\x1b[2J", "Ada Lovelace, HIV", "x" * 65, "", "naïve"])
def test_a_key_that_is_no_name_is_not_quoted(label: str) -> None:
    assert show_label(label) == "that is no name"
    assert (show_label("tag"), show_label(-7)) == ("tag", "-7")
