from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carenet.errors import ResourceError
from carenet.fhir.json_cursor import JsonCursor

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(st.lists(JSON, max_size=5), st.sampled_from([None, 1, "\t"]), st.booleans())
def test_items_are_cut_out_as_they_stand(values: list[object], indent: int | str | None, ascii_only: bool):
    text = " \n" + json.dumps(values, indent=indent, ensure_ascii=ascii_only) + "\r\n"
    cursor = JsonCursor(text, "x")
    taken = [cursor.take_value() for _ in cursor.items()]
    cursor.expect_end()
    assert [value for value, _, _ in taken] == values
    assert [json.loads(text[start:end]) for _, start, end in taken] == values
    assert all(text[start:end].strip() == text[start:end] for _, start, end in taken)


@given(st.dictionaries(st.text(), JSON, max_size=5))
def test_members_come_with_their_keys(members: dict[str, object]):
    cursor = JsonCursor(json.dumps(members), "x")
    assert {key: cursor.take_value()[0] for key in cursor.members()} == members
    cursor.expect_end()


def test_numbers_keep_their_text():
    cursor = JsonCursor("[1.50, 1e2, -0.0]", "x")
    spans = [cursor.take_value() for _ in cursor.items()]
    assert [cursor.text[start:end] for _, start, end in spans] == ["1.50", "1e2", "-0.0"]


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        ("", 1, 1),
        ("{", 1, 2),
        ('{"a": 1,\n "b": }', 2, 7),
        ('{"a": 1\n\n"b": 2}', 3, 1),
        ('{"a": NaN}', 1, 7),
        ('{"a": [Infinity]}', 1, 7),
        ('{"a": 1, "a": 2}', 1, 10),
        ('{"a": {"b": 1, "b": 1}}', 1, 7),
        ("{1: 2}", 1, 2),
        ('{"a": "\t"}', 1, 8),
        ('{"a": ' + "[" * 100_000 + "]" * 100_000 + "}", 1, 7),
        ('{"a": ' + "9" * 5000 + "}", 1, 7),
        ("{} {}", 1, 4),
    ],
)
def test_what_is_not_json_is_told_with_its_line_and_column(text: str, line: int, column: int):
    def read() -> None:
        cursor = JsonCursor(text, "x.json")
        for _ in cursor.members():
            cursor.take_value()
        cursor.expect_end()

    with pytest.raises(ResourceError, match=rf"x\.json: not JSON at line {line}, column {column}: "):
        read()


def test_lines_count_from_the_pieces_place_in_its_file():
    with pytest.raises(ResourceError, match="line 8, column 1"):
        JsonCursor("\n]", "x", first_line=7).take_value()


def test_a_message_never_shows_what_stands_in_the_text():
    with pytest.raises(ResourceError) as caught:
        JsonCursor('{"name": secret}', "x").take_value()
    assert "secret" not in str(caught.value)
