"""Bodies of the calls of a signed-in user. No `repr` contains a password or a token."""

from datetime import datetime

from msgspec import Struct

from anyscale.domain.times import from_milliseconds
from anyscale.server.core.callers import SessionCaller
from anyscale.server.core.second_factor.factors import NewApp, UserFactors
from anyscale.server.core.second_factor.totp import seed_text
from anyscale.server.core.steps import Step
from anyscale.server.store.records.login import SessionRecord
from anyscale.server.store.records.tokens import TokenRecord


class ChangePasswordRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Your current password and a new one."""

    current_password: str
    new_password: str

    def __repr__(self) -> str:
        return "ChangePasswordRequest(...)"


class CreateTokenRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """The name of a new token, and after how many days it expires."""

    name: str
    #: None for a token that does not expire
    expires_days: int | None = None


class TokenInfo(Struct, frozen=True):
    """A token without its secret."""

    token_id: str
    name: str
    created_at: datetime
    expires_at: datetime | None
    #: updated once a minute at most
    used_at: datetime | None


class CreatedToken(Struct, frozen=True):
    """A new token."""

    #: the secret, which is shown this once
    token: str
    created: TokenInfo

    def __repr__(self) -> str:
        return f"CreatedToken({self.created!r})"


class TokenList(Struct, frozen=True):
    """Your tokens."""

    tokens: list[TokenInfo]


class FactorInfo(Struct, frozen=True):
    """A second factor."""

    factor_id: str
    #: `totp`: an app that shows one-time codes, or `passkey`
    kind: str
    name: str
    created_at: datetime
    used_at: datetime | None


class FactorList(Struct, frozen=True):
    """Your second factors, and how many of your recovery codes are not used."""

    factors: list[FactorInfo]
    recovery_codes_left: int


class NewAppInfo(Struct, frozen=True):
    """An app that is to show its first code."""

    factor_id: str
    #: the seed in base32, which is shown until the first code
    secret: str
    #: the same for a QR code
    otpauth: str

    def __repr__(self) -> str:
        return f"NewAppInfo({self.factor_id!r})"


class ConfirmAppRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """A code that the new app shows, and a name for the app."""

    code: str
    name: str = ""

    def __repr__(self) -> str:
        return "ConfirmAppRequest(...)"


class RecoveryCodes(Struct, frozen=True):
    """New recovery codes; none if the account had a second factor before."""

    recovery_codes: list[str]

    def __repr__(self) -> str:
        return "RecoveryCodes(...)"


class SessionInfo(Struct, frozen=True):
    """A signed-in browser."""

    session_id: str
    #: `password`, `link`, `sso` or `passkey`
    auth_method: str
    address: str
    #: the header `User-Agent`
    agent: str
    created_at: datetime
    used_at: datetime
    expires_at: datetime
    #: whether it is the session of this request
    is_current: bool


class SessionList(Struct, frozen=True):
    """Your sessions, the latest first."""

    sessions: list[SessionInfo]


class RevokedSessions(Struct, frozen=True):
    """The number of revoked sessions."""

    revoked: int


class CurrentUser(Struct, frozen=True):
    """Your account, and the session of this request."""

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


def current_user(user: SessionCaller) -> CurrentUser:
    account = user.account
    return CurrentUser(
        user_id=account.user_id,
        email=account.email,
        name=account.name,
        lastname=account.lastname,
        created_at=from_milliseconds(account.created_at),
        permission_level=account.permission_level,
        is_sso_user=account.is_sso_user,
        has_password=account.password_hash is not None,
        must_change_password=user.pending is Step.PASSWORD,
        session=session_info(user.session, user),
    )


def session_info(session: SessionRecord, user: SessionCaller) -> SessionInfo:
    return SessionInfo(
        session.session_id,
        session.auth_method,
        session.address,
        session.user_agent,
        from_milliseconds(session.created_at),
        from_milliseconds(session.used_at),
        from_milliseconds(session.expires_at),
        is_current=session.session_id == user.session.session_id,
    )


def factor_list(listed: UserFactors) -> FactorList:
    factors = [
        FactorInfo(
            factor.factor_id,
            factor.kind,
            factor.name,
            from_milliseconds(factor.created_at),
            _time(factor.used_at),
        )
        for factor in listed.factors
    ]
    return FactorList(factors, listed.recovery_codes)


def new_app_info(app: NewApp) -> NewAppInfo:
    return NewAppInfo(app.factor_id, seed_text(app.seed).replace(" ", ""), app.uri)


def token_info(token: TokenRecord) -> TokenInfo:
    """Return one token of a user, without its secret."""
    return TokenInfo(
        token.token_id,
        token.name,
        from_milliseconds(token.created_at),
        _time(token.expires_at),
        _time(token.used_at),
    )


def _time(milliseconds: int | None) -> datetime | None:
    return None if milliseconds is None else from_milliseconds(milliseconds)
