"""Times as the control plane stores them: whole milliseconds since 1970, UTC."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache

__all__ = ["from_milliseconds"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@lru_cache(maxsize=1024)  # all accounts of a batch were created at one time
def from_milliseconds(milliseconds: int) -> datetime:
    """Convert a time as the control plane stores it: whole milliseconds since 1970, UTC."""
    # Not fromtimestamp: a float cannot represent every millisecond exactly.
    return _EPOCH + timedelta(milliseconds=milliseconds)
