"""What a check finds."""

from typing import Literal

from msgspec import Struct

__all__ = ["Finding", "NotTried", "Status", "fail", "ok", "warn"]

Status = Literal["ok", "warn", "fail", "not tried"]


class Finding(Struct, frozen=True):
    """What one check found. It contains no secret."""

    status: Status
    #: a file, an address or a part of the installation
    looked_at: str
    found: str
    #: how to mend it; empty if nothing has to be mended
    mend: str = ""


class NotTried(Exception):
    """A check cannot be made. The text is the reason."""


def ok(looked_at: object, found: str) -> Finding:
    """Return a finding of which nothing has to be mended."""
    return Finding("ok", str(looked_at), found)


def warn(looked_at: object, found: str, mend: str) -> Finding:
    """Return a finding with which the installation works, but not well."""
    return Finding("warn", str(looked_at), found, mend)


def fail(looked_at: object, found: str, mend: str) -> Finding:
    """Return a finding with which the installation does not work, or not securely."""
    return Finding("fail", str(looked_at), found, mend)
