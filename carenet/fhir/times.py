"""The clinical time that a resource claims for itself, as milliseconds since 1970.

It is a claim by whoever wrote the resource, not the time of the log: it feeds figures about late and out-of-order
events and what people see on screens, and decides nothing. So reading it never fails; what cannot be read is None.

Order of the fields: when it happened (effective, performed, occurrence, administered), when it began (period,
started), when it was written (authored, recorded, issued), when it was first known (onset). A problem's record is
dated by `recordedDate` before `onsetDateTime`, because the event in a timeline is the recording.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

# A dotted name looks into a Period. Each field has one meaning in R4 wherever it occurs, so one order serves all types.
_FIELDS = (
    "effectiveDateTime",
    "effectiveInstant",
    "effectivePeriod.start",
    "performedDateTime",
    "performedPeriod.start",
    "occurrenceDateTime",
    "occurrencePeriod.start",
    "whenHandedOver",
    "whenPrepared",
    "collectedDateTime",
    "started",
    "start",
    "period.start",
    "sent",
    "authoredOn",
    "authored",
    "recordedDate",
    "recorded",
    "dateTime",
    "date",
    "assertedDate",
    "dateAsserted",
    "startDate",
    "issued",
    "billablePeriod.start",
    "created",
    "servicedDate",
    "identifiedDateTime",
    "onsetDateTime",
    "onsetPeriod.start",
    "effectivePeriod.end",
    "performedPeriod.end",
    "period.end",
)

_WHEN = re.compile(
    r"(?P<year>\d{4})(?:-(?P<month>\d\d)(?:-(?P<day>\d\d)"
    r"(?:T(?P<hour>\d\d):(?P<minute>\d\d)(?::(?P<second>\d\d)(?:\.(?P<fraction>\d{1,12}))?)?"
    r"(?P<zone>Z|[+-]\d\d:\d\d)?)?)?)?\Z",
    re.ASCII,
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_LEAP_SECOND = 60


def claimed_time_ms(resource: Mapping[str, Any]) -> int | None:
    """The first clinical time that a resource states, or None.

    Args:
        resource: a FHIR resource as decoded JSON; anything else in its fields is passed over.

    Returns:
        Milliseconds since 1970 (negative before), the first instant of a partial date, UTC where no zone is given.
    """
    for field in _FIELDS:
        outer, _, inner = field.partition(".")
        value = resource.get(outer)
        if inner:
            value = value.get(inner) if isinstance(value, Mapping) else None
        when = parse_time_ms(value)
        if when is not None:
            return when
    return None


def parse_time_ms(value: object) -> int | None:
    """A FHIR date, dateTime or instant as milliseconds since 1970, or None if it is not one.

    Source: FHIR R4 section 2.24.0.1 (date, dateTime, instant).
    """
    match = _WHEN.match(value) if isinstance(value, str) else None
    if match is None:
        return None
    part = match.groupdict()
    second = int(part["second"] or 0)
    leap = second == _LEAP_SECOND  # datetime knows no leap seconds: count it as the next second
    try:
        when = datetime(
            int(part["year"]),
            int(part["month"] or 1),
            int(part["day"] or 1),
            int(part["hour"] or 0),
            int(part["minute"] or 0),
            second - leap,
            tzinfo=_parse_zone(part["zone"]),
        )
        elapsed = when - _EPOCH
    except (ValueError, OverflowError):
        return None
    milliseconds = int((part["fraction"] or "").ljust(3, "0")[:3])
    return elapsed // _MILLISECOND + milliseconds + 1000 * leap


def _parse_zone(text: str | None) -> timezone:
    if text is None or text == "Z":
        return UTC
    offset = timedelta(hours=int(text[1:3]), minutes=int(text[4:6]))
    return timezone(-offset if text[0] == "-" else offset)
