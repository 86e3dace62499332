"""What a check finds."""

from typing import Literal

from msgspec import Struct

#: seconds that the clocks of two machines may differ: above it, logs are hard to compare
_SKEW = 5.0

Status = Literal["ok", "warn", "fail", "not tried"]


class Finding(Struct, frozen=True):
    """What one check found. It contains no secret."""

    status: Status
    #: a file, an address or a part of the installation
    looked_at: str
    found: str
    #: what to change; empty if nothing
    fix: str = ""


class NotTried(Exception):
    """A check cannot run. The text is the reason."""


def ok(looked_at: object, found: str) -> Finding:
    """Return a finding that needs no change."""
    return Finding("ok", str(looked_at), found)


def warn(looked_at: object, found: str, fix: str) -> Finding:
    """Return a finding of an installation that works, but not well."""
    return Finding("warn", str(looked_at), found, fix)


def fail(looked_at: object, found: str, fix: str) -> Finding:
    """Return a finding of an installation that does not work, or not securely."""
    return Finding("fail", str(looked_at), found, fix)


def judge_clock(looked_at: str, skew: float) -> Finding:
    """Return the finding for a clock that is this many seconds ahead of this machine's."""
    found = f"it differs from this machine's by {abs(skew):.0f} s"
    if abs(skew) > _SKEW:
        return warn(looked_at, found, "set both by NTP, for example with chrony")
    return ok(looked_at, found)
