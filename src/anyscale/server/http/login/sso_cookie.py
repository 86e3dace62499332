"""The cookie of a sign-in at the identity provider: it has the secrets of that sign-in.

An HMAC follows the content, so a server accepts only cookies that a server of this database has
created.
"""

import time

import msgspec
from msgspec import Struct

from anyscale.errors import SsoRefused
from anyscale.server.core.sso.login_records import SsoAttempt
from anyscale.server.core.sso.sso_login import SsoLogin
from anyscale.server.http.cookies import HostCookie

COOKIE = "__Host-sso"

#: seconds that a user has to sign in at the provider
_SECONDS = 600


class _Content(Struct, frozen=True):
    attempt: SsoAttempt
    #: seconds since 1970
    at: float


def create_cookie(sso_login: SsoLogin, attempt: SsoAttempt) -> HostCookie:
    """Return the cookie of a sign-in that begins now."""
    content = msgspec.json.encode(_Content(attempt, time.time()))
    return HostCookie(COOKIE, sso_login.signer.sign(content), _SECONDS)


def read_cookie_value(sso_login: SsoLogin, value: str) -> SsoAttempt:
    """Return the secrets of the sign-in to which a cookie belongs.

    Raises:
        SsoRefused: the cookie is missing, garbled or expired.
    """
    if not value:
        raise SsoRefused("cookie_missing")
    try:
        decoded = msgspec.json.decode(sso_login.signer.unsign(value), type=_Content)
    except (msgspec.MsgspecError, ValueError):
        raise SsoRefused("cookie_garbled") from None
    if not 0 <= time.time() - decoded.at <= _SECONDS:
        raise SsoRefused("cookie_expired")
    return decoded.attempt
