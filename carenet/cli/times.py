"""Moments as people type them and as the screen shows them: UTC, unless an offset is given."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta

from carenet.errors import BadInputError

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_AGO = re.compile(r"(\d{1,6})([smhd])\Z")
_UNIT_MS = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


def now_ms() -> int:
    """Now, ms since 1970."""
    return time.time_ns() // 1_000_000


def show_time(ms: int) -> str:
    """A moment in UTC to the millisecond, as `parse_time` reads it."""
    return (_EPOCH + timedelta(milliseconds=ms)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_time(typed: str, *, now: int | None = None) -> int:
    """A moment, ms since 1970.

    Args:
        typed: ISO 8601, a date or a date and time (UTC without an offset), or how long ago: `90s`, `15m`, `2h`, `3d`.
        now: ms since 1970; None asks the clock.

    Raises:
        BadInputError: anything else.
    """
    ago = _AGO.match(typed)
    if ago:
        return (now_ms() if now is None else now) - int(ago[1]) * _UNIT_MS[ago[2]]
    try:
        moment = datetime.fromisoformat(typed)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return (moment - _EPOCH) // timedelta(milliseconds=1)
    except (ValueError, OverflowError) as exc:
        raise BadInputError(f"{typed!r} is no time: give 2026-11-24T10:15Z, or 15m for 15 minutes ago") from exc


def parse_until(typed: str | None, *, now: int | None = None) -> int | None:
    """When something ends: a moment, or how long from now.

    Raises:
        BadInputError: as `parse_time`.
    """
    if typed is None:
        return None
    ahead = _AGO.match(typed)
    if ahead:
        return (now_ms() if now is None else now) + int(ahead[1]) * _UNIT_MS[ahead[2]]
    try:
        return parse_time(typed, now=now)
    except BadInputError as exc:
        raise BadInputError(f"{typed!r} is no time: give 2026-12-24T10:15Z, or 12h for in 12 hours") from exc
