"""Accounts, sessions and tokens as pages show them: in words, and in times that people read."""

from datetime import datetime

from msgspec import Struct

from anyscale.server.core.login.sessions import AuthenticatedUser
from anyscale.server.http.account.user_agent import browser_named
from anyscale.server.store.records import AccountRecord, SessionRecord, TokenRecord
from anyscale.user.models import from_milliseconds

__all__ = [
    "SessionView",
    "Time",
    "TokenView",
    "full_name",
    "session_views",
    "time_of",
    "token_views",
    "ways_in",
]

_MINUTE = 60_000
_HOUR = 60 * _MINUTE
_DAY = 24 * _HOUR

_UNITS = ((_DAY, "day"), (_HOUR, "hour"), (_MINUTE, "minute"))


class Time(Struct, frozen=True):
    """A day, for people, and the time, for machines."""

    day: str
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
    """Write a day; that of UTC, since the server does not know where a reader is."""
    at = from_milliseconds(milliseconds)
    return Time(_day(at), at.isoformat())


def ago(milliseconds: int) -> str:
    """Say how long ago something was."""
    for unit, name in _UNITS:
        count = milliseconds // unit
        if count >= 1:
            return f"{count} {name}{'' if count == 1 else 's'} ago"
    return "just now"


class TokenView(Struct, frozen=True):
    """One line of the list of tokens."""

    token_id: str
    name: str
    used: str
    ends: str


def token_views(tokens: list[TokenRecord], now: int) -> list[TokenView]:
    """Give the lines of the list of tokens."""
    return [
        TokenView(
            one.token_id,
            one.name,
            f"last used {ago(now - one.used_at)}" if one.used_at else "never used",
            f"Good until {time_of(one.expires_at).day}" if one.expires_at else "Does not end",
        )
        for one in tokens
    ]


def _day(at: datetime) -> str:
    return f"{at.day} {at:%B %Y}"


def full_name(account: AccountRecord) -> str:
    """Give first and last name."""
    return " ".join(filter(None, (account.name, account.lastname)))


def ways_in(account: AccountRecord) -> str:
    """Say by what a person signs in."""
    ways = [
        "email and password" if account.password_hash else "",
        "single sign-on (SSO)" if account.is_sso_user else "",
    ]
    said = ", or ".join(filter(None, ways))
    return f"{said[:1].upper()}{said[1:]}" or "By a link from your administrator"


def session_views(
    sessions: list[SessionRecord], member: AuthenticatedUser, now: int
) -> list[SessionView]:
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
