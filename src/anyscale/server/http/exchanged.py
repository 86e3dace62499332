"""What people's browsers and the control plane tell each other, as JSON.

Passwords and links are in no `repr`.
"""

from datetime import datetime

from msgspec import Struct

from anyscale.server.core.attempts import SignedIn
from anyscale.server.core.sessions import Member
from anyscale.server.store.base import SessionRow, TokenRow
from anyscale.user.models import from_milliseconds

__all__ = [
    "Ended",
    "LinkAsked",
    "Me",
    "PasswordAsked",
    "SessionSeen",
    "Sessions",
    "SignInAsked",
    "TokenAsked",
    "TokenMade",
    "TokenSeen",
    "Tokens",
    "Welcome",
    "me_of",
    "seen",
    "token_seen",
    "welcome",
]


class _Asked(Struct, frozen=True, forbid_unknown_fields=True):
    def __repr__(self) -> str:
        return f"{type(self).__name__}(...)"


class SignInAsked(_Asked, frozen=True, forbid_unknown_fields=True):
    """By what somebody signs in."""

    email: str
    password: str


class PasswordAsked(_Asked, frozen=True, forbid_unknown_fields=True):
    """A change of one's own password."""

    current_password: str
    new_password: str


class LinkAsked(_Asked, frozen=True, forbid_unknown_fields=True):
    """A password that is set by a one-time link: all of it, or what stands behind its `#`."""

    link: str
    new_password: str


class TokenAsked(Struct, frozen=True, forbid_unknown_fields=True):
    """A token of one's own that is to be made."""

    name: str
    #: None for one that does not expire
    expires_days: int | None = None


class TokenSeen(Struct, frozen=True):
    """A token, as its own person sees it: without the secret."""

    token_id: str
    name: str
    created_at: datetime
    expires_at: datetime | None
    #: noted once a minute at most
    used_at: datetime | None


class TokenMade(Struct, frozen=True):
    """A token that was made."""

    #: shown this once: the control plane keeps its hash alone
    token: str
    made: TokenSeen

    def __repr__(self) -> str:
        return f"TokenMade({self.made!r})"


class Tokens(Struct, frozen=True):
    """A person's own tokens."""

    tokens: list[TokenSeen]


class Welcome(Struct, frozen=True):
    """Who is signed in now. The session itself is in the cookie."""

    user_id: str
    #: Until it is changed, the session may do nothing but change it, and end.
    must_change_password: bool


class SessionSeen(Struct, frozen=True):
    """A signed-in browser, as its own person sees it."""

    session_id: str
    #: by which it came about: `password`, `link` or `sso`
    way: str
    address: str
    #: what the browser says that it is
    agent: str
    created_at: datetime
    used_at: datetime
    expires_at: datetime
    #: whether it is the one that asks
    is_current: bool


class Sessions(Struct, frozen=True):
    """The signed-in browsers of a person, the latest first."""

    sessions: list[SessionSeen]


class Ended(Struct, frozen=True):
    """How many sessions were ended."""

    ended: int


class Me(Struct, frozen=True):
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
    session: SessionSeen


def welcome(signed_in: SignedIn) -> Welcome:
    """Say who has signed in; the secrets are for the cookies alone."""
    return Welcome(signed_in.user_id, signed_in.must_change_password)


def me_of(member: Member) -> Me:
    """Show a person the own account."""
    account = member.account
    return Me(
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


def seen(session: SessionRow, by: Member) -> SessionSeen:
    """Show a person one of the own sessions."""
    return SessionSeen(
        session.session_id,
        session.way,
        session.address,
        session.agent,
        from_milliseconds(session.created_at),
        from_milliseconds(session.used_at),
        from_milliseconds(session.expires_at),
        is_current=session.session_id == by.session.session_id,
    )


def token_seen(token: TokenRow) -> TokenSeen:
    """Show a person one of the own tokens."""
    return TokenSeen(
        token.token_id,
        token.name,
        from_milliseconds(token.created_at),
        _time(token.expires_at),
        _time(token.used_at),
    )


def _time(milliseconds: int | None) -> datetime | None:
    return None if milliseconds is None else from_milliseconds(milliseconds)
