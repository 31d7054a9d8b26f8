from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carenet.client.cursor import Cursor
from carenet.client.wire import to_text
from carenet.encoding.ids import encode_id
from carenet.errors import BadInputError, EncodingError

A, B = encode_id(bytes(32)), encode_id(b"\1" * 32)

cursors = st.builds(
    Cursor,
    st.dictionaries(st.integers(0, 1023), st.integers(0, 2**53 - 1), max_size=4),
    st.dictionaries(st.binary(min_size=32, max_size=32).map(encode_id), st.integers(0, 2**53 - 1), max_size=4),
    st.dictionaries(
        st.binary(min_size=32, max_size=32).map(encode_id), st.lists(st.integers(0, 9), min_size=3, max_size=3)
    ),
)


@given(cursors)
def test_a_cursor_comes_back_from_its_text(cursor: Cursor):
    assert Cursor.decode(cursor.encode()) == cursor


def test_live_entries_move_their_partition_and_backlog_its_subject():
    cursor = Cursor({0: 5, 1: 7}, {A: 3})
    cursor.pass_live(1, 7)
    cursor.pass_backlog(A, 3)
    assert cursor == Cursor({0: 5, 1: 8}, {A: 4})


def test_subjects_that_fall_behind_are_merged_with_their_passes():
    cursor = Cursor({0: 5}, {A: 3}, {A: [9, 9, 9]})
    cursor.fall_behind({"subjects": {B: 0, A: 0}, "passes": {B: [1, 2, 3]}})
    assert cursor == Cursor({0: 5}, {A: 0, B: 0}, {B: [1, 2, 3]})  # an old pass says nothing of a new walk


def test_subjects_that_caught_up_leave_and_their_log_moves_forwards_only():
    cursor = Cursor({0: 5, 1: 9}, {A: 3, B: 1}, {A: [1, 1, 1]})
    cursor.catch_up({"at": {"0": 8, "1": 2}}, [A])
    assert cursor == Cursor({0: 8, 1: 9}, {B: 1})


def test_a_copy_stays_where_it_was():
    cursor = Cursor({0: 5}, {A: 3})
    copy = cursor.copy()
    cursor.pass_live(0, 9)
    cursor.catch_up({}, [A])
    assert copy == Cursor({0: 5}, {A: 3})


def test_a_cursor_is_read_as_the_gateway_tells_it():
    message = {"type": "subscribed", "id": 0, "at": {"0": 4}, "behind": {A: 2}, "passes": {A: [4, 0, 0]}}
    assert Cursor.of_message(message) == Cursor({0: 4}, {A: 2}, {A: [4, 0, 0]})


@pytest.mark.parametrize(
    "fields",
    [
        {"at": []},
        {"at": {"x": 1}},
        {"at": {"²": 1}},
        {"at": {"0": -1}},
        {"at": {"0": "1"}},
        {"behind": {"x": 1}},
        {"behind": {A: None}},
        {"passes": {A: 1}},
        {"passes": {A: ["1"]}},
    ],
)
def test_a_malformed_cursor_is_refused(fields: dict[str, object]):
    with pytest.raises(EncodingError):
        Cursor.of_message({"at": {}, "behind": {}} | fields)


@pytest.mark.parametrize("text", ["", "x", to_text(b"[]"), to_text(b"{}"), to_text(b'{"at":{},"behind":{},"x":1}')])
def test_a_text_that_is_no_cursor_is_refused(text: str):
    with pytest.raises(BadInputError):
        Cursor.decode(text)
