"""Accounts, sessions and tokens as the account page shows them."""

from collections.abc import Sequence

from msgspec import Struct

from anyscale.domain.times import from_milliseconds
from anyscale.server.core.callers import SessionCaller
from anyscale.server.core.openid.user_grants import UsedApplication
from anyscale.server.core.time_units import DAY_MS, HOUR_MS, MINUTE_MS
from anyscale.server.http.account.user_agent import browser_name
from anyscale.server.store.records.login import SessionRecord
from anyscale.server.store.records.tokens import TokenRecord
from anyscale.server.store.records.users import AccountRecord

__all__ = [
    "SessionView",
    "Time",
    "TokenView",
    "session_views",
    "sign_in_methods",
    "time_of",
    "token_views",
]

_UNITS = ((DAY_MS, "day"), (HOUR_MS, "hour"), (MINUTE_MS, "minute"))


class Time(Struct, frozen=True):
    """A day in words, the time of day, and both for the attribute `datetime`."""

    day: str
    #: with the zone: `14:05 UTC`
    clock: str
    iso: str


class SessionView(Struct, frozen=True):
    """A session in the list."""

    session_id: str
    browser: str
    address: str
    used: str
    created: Time
    is_current: bool


class ApplicationView(Struct, frozen=True):
    """An application to which the user has signed in."""

    client_id: str
    name: str
    #: the last sign-in there
    used: Time


class TokenView(Struct, frozen=True):
    """A token in the list."""

    token_id: str
    name: str
    used: str
    expires: str


def time_of(milliseconds: int) -> Time:
    """Format a time (milliseconds since 1970) in UTC, since the user's zone is unknown."""
    at = from_milliseconds(milliseconds)
    return Time(f"{at.day} {at:%B %Y}", f"{at:%H:%M} UTC", at.isoformat())


def sign_in_methods(account: AccountRecord) -> str:
    """Name the sign-in methods of an account."""
    methods = [
        "email and password" if account.password_hash else "",
        "single sign-on (SSO)" if account.is_sso_user else "",
    ]
    text = ", or ".join(filter(None, methods))
    return f"{text[:1].upper()}{text[1:]}" or "By a link from your administrator"


def session_views(sessions: Sequence[SessionRecord], user: SessionCaller) -> list[SessionView]:
    """List sessions, the current one first."""
    views = [
        SessionView(
            session.session_id,
            browser_name(session.user_agent),
            session.address,
            _ago(user.at - session.used_at),
            time_of(session.created_at),
            session.session_id == user.session.session_id,
        )
        for session in sessions
    ]
    return sorted(views, key=lambda view: not view.is_current)


def application_views(applications: Sequence[UsedApplication]) -> list[ApplicationView]:
    """List the applications to which a user has signed in."""
    return [
        ApplicationView(one.client_id, one.name, time_of(one.last_used_at)) for one in applications
    ]


def token_views(tokens: Sequence[TokenRecord], now: int) -> list[TokenView]:
    """List tokens; `now` is in milliseconds since 1970."""
    return [
        TokenView(
            token.token_id,
            token.name,
            f"last used {_ago(now - token.used_at)}" if token.used_at else "never used",
            f"Valid until {time_of(token.expires_at).day}"
            if token.expires_at
            else "Does not expire",
        )
        for token in tokens
    ]


def _ago(milliseconds: int) -> str:
    for unit, name in _UNITS:
        count = milliseconds // unit
        if count >= 1:
            return f"{count} {name}{'' if count == 1 else 's'} ago"
    return "just now"
