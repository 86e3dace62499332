"""What people's browsers and the control plane tell each other, as JSON.

Passwords and links are in no `repr`.
"""

from datetime import datetime

from msgspec import Struct

from anyscale.server.core.login.password_login import LoginResult
from anyscale.server.core.login.sessions import AuthenticatedUser
from anyscale.server.store.records import SessionRecord, TokenRecord
from anyscale.user.models import from_milliseconds

__all__ = [
    "ChangePasswordRequest",
    "CreateTokenRequest",
    "CreatedToken",
    "CurrentUser",
    "EndedSessions",
    "LoginRequest",
    "LoginResponse",
    "SessionInfo",
    "SessionList",
    "SetPasswordRequest",
    "TokenInfo",
    "TokenList",
    "me_of",
    "seen",
    "token_seen",
    "welcome",
]


class _Asked(Struct, frozen=True, forbid_unknown_fields=True):
    def __repr__(self) -> str:
        return f"{type(self).__name__}(...)"


class LoginRequest(_Asked, frozen=True, forbid_unknown_fields=True):
    """By what somebody signs in."""

    email: str
    password: str


class ChangePasswordRequest(_Asked, frozen=True, forbid_unknown_fields=True):
    """A change of one's own password."""

    current_password: str
    new_password: str


class SetPasswordRequest(_Asked, frozen=True, forbid_unknown_fields=True):
    """A password that is set by a one-time link: all of it, or what stands behind its `#`."""

    link: str
    new_password: str


class CreateTokenRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """A token of one's own that is to be made."""

    name: str
    #: None for one that does not expire
    expires_days: int | None = None


class TokenInfo(Struct, frozen=True):
    """A token, as its own person sees it: without the secret."""

    token_id: str
    name: str
    created_at: datetime
    expires_at: datetime | None
    #: noted once a minute at most
    used_at: datetime | None


class CreatedToken(Struct, frozen=True):
    """A token that was made."""

    #: shown this once: the control plane keeps its hash alone
    token: str
    made: TokenInfo

    def __repr__(self) -> str:
        return f"TokenMade({self.made!r})"


class TokenList(Struct, frozen=True):
    """A person's own tokens."""

    tokens: list[TokenInfo]


class LoginResponse(Struct, frozen=True):
    """Who is signed in now. The session itself is in the cookie."""

    user_id: str
    #: Until it is changed, the session may do nothing but change it, and end.
    must_change_password: bool


class SessionInfo(Struct, frozen=True):
    """A signed-in browser, as its own person sees it."""

    session_id: str
    #: `password`, `link` or `sso`
    auth_method: str
    address: str
    #: what the browser says that it is
    agent: str
    created_at: datetime
    used_at: datetime
    expires_at: datetime
    #: whether it is the one that asks
    is_current: bool


class SessionList(Struct, frozen=True):
    """The signed-in browsers of a person, the latest first."""

    sessions: list[SessionInfo]


class EndedSessions(Struct, frozen=True):
    """How many sessions were ended."""

    ended: int


class CurrentUser(Struct, frozen=True):
    """A person's own account, and the session that asks."""

    user_id: str
    email: str
    name: str
    lastname: str | None
    created_at: datetime
    #: `collaborator` or `owner`
    permission_level: str
    is_sso_user: bool
    has_password: bool
    must_change_password: bool
    session: SessionInfo


def welcome(signed_in: LoginResult) -> LoginResponse:
    """Say who has signed in; the secrets are for the cookies alone."""
    return LoginResponse(signed_in.user_id, signed_in.must_change_password)


def me_of(member: AuthenticatedUser) -> CurrentUser:
    """Show a person the own account."""
    account = member.account
    return CurrentUser(
        account.user_id,
        account.email,
        account.name,
        account.lastname,
        from_milliseconds(account.created_at),
        account.permission_level,
        account.is_sso_user,
        has_password=account.password_hash is not None,
        must_change_password=member.must_change_password,
        session=seen(member.session, member),
    )


def seen(session: SessionRecord, by: AuthenticatedUser) -> SessionInfo:
    """Show a person one of the own sessions."""
    return SessionInfo(
        session.session_id,
        session.way,
        session.address,
        session.agent,
        from_milliseconds(session.created_at),
        from_milliseconds(session.used_at),
        from_milliseconds(session.expires_at),
        is_current=session.session_id == by.session.session_id,
    )


def token_seen(token: TokenRecord) -> TokenInfo:
    """Show a person one of the own tokens."""
    return TokenInfo(
        token.token_id,
        token.name,
        from_milliseconds(token.created_at),
        _time(token.expires_at),
        _time(token.used_at),
    )


def _time(milliseconds: int | None) -> datetime | None:
    return None if milliseconds is None else from_milliseconds(milliseconds)
