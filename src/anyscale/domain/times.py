"""Times as the control plane stores them, and durations in words."""

from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import lru_cache
from typing import Final

#: how messages show a time in UTC: a format of `datetime`
TIME: Final = "%Y-%m-%d %H:%M:%S UTC"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400


@lru_cache(maxsize=1024)  # all accounts of a batch were created at one time
def from_milliseconds(milliseconds: int) -> datetime:
    """Convert a time as the control plane stores it: whole milliseconds since 1970, UTC."""
    # Not fromtimestamp: a float cannot represent every millisecond exactly.
    return _EPOCH + timedelta(milliseconds=milliseconds)


def moment(text: str, zone: tzinfo | None, *, is_end: bool = False) -> int:
    """Return when a date or time of ISO 8601 is, in milliseconds since 1970, UTC.

    A date stands for its first moment; as the end of a period, which it belongs to, for the first
    moment of the next day.

    Args:
        text: `2026-10-31` or `20261031`, or `2026-10-31T08:30` with or without a zone.
        zone: of a date, and of a time without one; None for that of this machine.
        is_end: whether it is the end of a period.

    Raises:
        ValueError: it is neither, or out of range.
    """
    try:
        at = _time_of(text, is_end=is_end)
        at = at.replace(tzinfo=at.tzinfo or zone)
        return (at.astimezone(UTC) - _EPOCH) // timedelta(milliseconds=1)
    except OverflowError as error:  # the year 1, or 9999
        raise ValueError(str(error)) from None


def _time_of(text: str, *, is_end: bool) -> datetime:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return datetime.fromisoformat(text)
    return datetime.combine(day + timedelta(days=is_end), time())


def day_of(milliseconds: int | None) -> date | None:
    """Return the day (UTC) of a time as the control plane stores it; None for None."""
    return None if milliseconds is None else from_milliseconds(milliseconds).date()


def day_in_words(day: date) -> str:
    """Return a day as people write it: `Wednesday, 9 December 2026`."""
    return f"{day:%A}, {day.day} {day:%B %Y}"


def start_of(day: date) -> int:
    """Return the beginning of a day (UTC) as the control plane stores it."""
    return (day - _EPOCH.date()).days * _DAY * 1_000


def duration_in_words(seconds: int) -> str:
    """Return about how long a thing takes: `28 h`."""
    if seconds < _MINUTE:
        return "less than a minute"
    if seconds < 2 * _HOUR:
        return f"{seconds // _MINUTE:,} min"
    if seconds < 2 * _DAY:
        return f"{seconds // _HOUR:,} h"
    return f"{seconds // _DAY:,} days"
