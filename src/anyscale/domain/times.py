"""Times as the control plane stores them, and durations in words."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache

__all__ = ["duration_in_words", "from_milliseconds"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400


@lru_cache(maxsize=1024)  # all accounts of a batch were created at one time
def from_milliseconds(milliseconds: int) -> datetime:
    """Convert a time as the control plane stores it: whole milliseconds since 1970, UTC."""
    # Not fromtimestamp: a float cannot represent every millisecond exactly.
    return _EPOCH + timedelta(milliseconds=milliseconds)


def duration_in_words(seconds: int) -> str:
    """Return about how long a thing takes: `28 h`."""
    if seconds < _MINUTE:
        return "less than a minute"
    if seconds < 2 * _HOUR:
        return f"{seconds // _MINUTE:,} min"
    if seconds < 2 * _DAY:
        return f"{seconds // _HOUR:,} h"
    return f"{seconds // _DAY:,} days"
