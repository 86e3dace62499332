"""Accounts and sessions as pages show them: in words, and with times that a person reads."""

from msgspec import Struct

from anyscale.server.core.sessions import Member
from anyscale.server.http.agents import browser_named
from anyscale.server.store.base import AccountRow, SessionRow
from anyscale.user.models import from_milliseconds

__all__ = ["SessionView", "Time", "full_name", "session_views", "time_of", "ways_in"]

_MINUTE = 60_000
_HOUR = 60 * _MINUTE
_DAY = 24 * _HOUR

_UNITS = ((_DAY, "day"), (_HOUR, "hour"), (_MINUTE, "minute"))


class Time(Struct, frozen=True):
    """A time, for people and for machines."""

    text: str
    iso: str


class SessionView(Struct, frozen=True):
    """One line of the list of sessions."""

    session_id: str
    browser: str
    address: str
    used: str
    begun: Time
    is_current: bool


def time_of(milliseconds: int) -> Time:
    """Write a time; in UTC, since the server does not know where a reader is."""
    at = from_milliseconds(milliseconds)
    return Time(f"{at.day} {at:%B %Y, %H:%M} UTC", at.isoformat())


def ago(milliseconds: int) -> str:
    """Say how long ago something was."""
    for unit, name in _UNITS:
        count = milliseconds // unit
        if count >= 1:
            return f"{count} {name}{'' if count == 1 else 's'} ago"
    return "just now"


def full_name(account: AccountRow) -> str:
    """Give first and last name."""
    return " ".join(filter(None, (account.name, account.lastname)))


def ways_in(account: AccountRow) -> str:
    """Say by what a person signs in."""
    ways = [
        "email and password" if account.password_hash else "",
        "single sign-on (SSO)" if account.is_sso_user else "",
    ]
    said = ", or ".join(filter(None, ways))
    return f"{said[:1].upper()}{said[1:]}" or "By a link from your administrator"


def session_views(sessions: list[SessionRow], member: Member, now: int) -> list[SessionView]:
    """Give the lines of the list, that of the browser that asks first."""
    lines = [
        SessionView(
            one.session_id,
            browser_named(one.agent),
            one.address,
            ago(now - one.used_at),
            time_of(one.created_at),
            one.session_id == member.session.session_id,
        )
        for one in sessions
    ]
    return sorted(lines, key=lambda line: not line.is_current)
