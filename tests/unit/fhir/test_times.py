from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carenet.fhir.times import claimed_time_ms, parse_time_ms


def ms(*parts: int) -> int:
    return int(datetime(*parts, tzinfo=UTC).timestamp() * 1000)  # type: ignore[arg-type,misc]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2011", ms(2011, 1, 1)),
        ("2011-04", ms(2011, 4, 1)),
        ("2011-04-19", ms(2011, 4, 19)),
        ("2011-04-19T09:21:52+00:00", ms(2011, 4, 19, 9, 21, 52)),
        ("2011-04-19T09:21:52.137Z", ms(2011, 4, 19, 9, 21, 52) + 137),
        ("2011-04-19T09:21:52.1379999Z", ms(2011, 4, 19, 9, 21, 52) + 137),
        ("2011-04-19T09:21:52.1Z", ms(2011, 4, 19, 9, 21, 52) + 100),
        ("2011-04-19T09:21:52-05:30", ms(2011, 4, 19, 14, 51, 52)),
        ("2011-04-19T09:21", ms(2011, 4, 19, 9, 21)),
        ("2016-12-31T23:59:60Z", ms(2017, 1, 1)),
        ("1950-12-25T09:21:52Z", ms(1950, 12, 25, 9, 21, 52)),
    ],
)
def test_a_date_of_any_precision_is_its_first_instant(text: str, expected: int):
    assert parse_time_ms(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "soon",
        "2011-13",
        "2011-02-30",
        "0000",
        "2011-04-19T25:00:00Z",
        "2011-04-19T09:21:61Z",
        "2011-4-1",
        "２０１１",
        "2011-04-19T09:21:52+99:00",
        "2011-04-19 09:21",
        "2011-04-19\n",
        None,
        2011,
        ["2011"],
        {"start": "2011"},
    ],
)
def test_what_is_no_date_is_none(text: object):
    assert parse_time_ms(text) is None


def test_when_it_happened_goes_before_when_it_was_written():
    resource = {"issued": "2012", "effectiveDateTime": "2011"}
    assert claimed_time_ms(resource) == ms(2011, 1, 1)


def test_a_period_counts_by_its_start():
    assert claimed_time_ms({"performedPeriod": {"start": "2011-04-19", "end": "2012"}}) == ms(2011, 4, 19)


def test_a_field_that_cannot_be_read_is_passed_over():
    resource = {"effectiveDateTime": "yesterday", "effectivePeriod": "now", "period": [], "issued": "2012"}
    assert claimed_time_ms(resource) == ms(2012, 1, 1)


def test_a_birth_date_is_no_clinical_time():
    assert claimed_time_ms({"resourceType": "Patient", "birthDate": "1949-08-02"}) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12) | st.dates().map(str),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["start", "end"]), inner, max_size=2),
    max_leaves=6,
)
FIELDS = st.sampled_from(["effectiveDateTime", "effectivePeriod", "period", "issued", "authoredOn", "billablePeriod"])


@given(st.dictionaries(FIELDS, JSON))
def test_whatever_stands_there_it_never_raises(resource: dict[str, object]):
    assert isinstance(claimed_time_ms(resource), int | None)


@given(st.text(alphabet="0123456789-:TZ+.", max_size=32))
def test_anything_like_a_date_never_raises(text: str):
    assert isinstance(parse_time_ms(text), int | None)
