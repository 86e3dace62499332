"""Words about accounts, sessions and tokens on pages."""

from collections.abc import Sequence

from msgspec import Struct

from anyscale.domain.phrases import quantity
from anyscale.domain.times import from_milliseconds
from anyscale.server.core.time_units import DAY_MS, HOUR_MS, MINUTE_MS
from anyscale.server.store.records.factors import FactorRecord
from anyscale.server.store.records.tokens import TokenRecord
from anyscale.server.store.records.users import AccountRecord

#: in words
FACTOR_KINDS = {"totp": "Authenticator app", "passkey": "Passkey"}

_UNITS = ((DAY_MS, "day"), (HOUR_MS, "hour"), (MINUTE_MS, "minute"))


class TokenView(Struct, frozen=True):
    """A token in the list."""

    token_id: str
    name: str
    role: str
    used: str
    expires: str


class FactorView(Struct, frozen=True):
    """A second factor in the list."""

    factor_id: str
    name: str
    kind: str
    #: milliseconds since 1970
    created_at: int
    used: str


def sign_in_methods(account: AccountRecord) -> str:
    methods = [
        "email and password" if account.password_hash else "",
        "single sign-on (SSO)" if account.is_sso_user else "",
    ]
    text = ", or ".join(filter(None, methods))
    return f"{text[:1].upper()}{text[1:]}" or "By a link from your administrator"


def token_views(tokens: Sequence[TokenRecord], now: int) -> list[TokenView]:
    """List tokens; `now` is in milliseconds since 1970."""
    return [
        TokenView(
            token.token_id,
            token.name,
            token.role,
            f"last used {ago(now - token.used_at)}" if token.used_at else "never used",
            _valid_until(token.expires_at) if token.expires_at else "Does not expire",
        )
        for token in tokens
    ]


def factor_views(factors: Sequence[FactorRecord], now: int) -> list[FactorView]:
    """List second factors; `now` is in milliseconds since 1970."""
    return [
        FactorView(
            factor.factor_id,
            factor.name,
            FACTOR_KINDS[factor.kind],
            factor.created_at,
            f"last used {ago(now - factor.used_at)}" if factor.used_at else "never used",
        )
        for factor in factors
    ]


def _valid_until(milliseconds: int) -> str:
    at = from_milliseconds(milliseconds)
    return f"Valid until {at.day} {at:%B %Y}"


def ago(milliseconds: int) -> str:
    """Return a time in words, such as `2 hours ago`."""
    for unit, name in _UNITS:
        count = milliseconds // unit
        if count >= 1:
            return f"{quantity(count, name)} ago"
    return "just now"
