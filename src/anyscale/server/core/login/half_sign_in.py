"""Half a sign-in: the first factor was shown, and the account has a second one.

The browser keeps a random secret in a cookie, and the database its hash for ten minutes. So who has
copied the database, and every key of the server, cannot pretend to have shown the first factor.
"""

from typing import Final

from msgspec import Struct

from anyscale.errors import HalfSignInExpired
from anyscale.server.core.secrets import SensitiveStruct, hash_of, new_secret
from anyscale.server.core.time_units import MINUTE_MS
from anyscale.server.store.records.login import HalfSignInRecord
from anyscale.server.store.records.users import AccountRecord
from anyscale.server.store.transaction import Transaction

#: milliseconds in which the second factor has to follow
HALF_LIMIT: Final = 10 * MINUTE_MS

_EXPIRED = "the first step of your sign-in is too old, or does not count any more: sign in again"


class Shown(Struct, frozen=True):
    """What a user has shown in a sign-in."""

    #: how it began: `password`, `link`, `sso` or `passkey`
    auth_method: str
    #: see `core.shown_methods`
    methods: str
    #: when the user proved to be present; None if the identity provider did not say it
    authenticated_at: int | None


class HalfSignIn(SensitiveStruct, frozen=True):
    """A sign-in that needs a second factor, as it begins."""

    user_id: str
    #: of the cookie
    secret: str


def add_half_sign_in(
    tx: Transaction, user_id: str, shown: Shown, session_id: str = ""
) -> HalfSignIn:
    """Store half a sign-in of a locked account.

    `session_id` is the session whose user signs in again; empty if the sign-in creates a session.
    """
    secret = new_secret()
    tx.half_sign_ins.add(
        HalfSignInRecord(
            hash=hash_of(secret),
            user_id=user_id,
            session_id=session_id,
            auth_method=shown.auth_method,
            methods=shown.methods,
            authenticated_at=shown.authenticated_at,
            path="/",
            created_at=tx.now(),
        )
    )
    return HalfSignIn(user_id, secret)


def find_half_sign_in(tx: Transaction, half_hash: bytes) -> tuple[HalfSignInRecord, AccountRecord]:
    """Return half a sign-in and its account, as they are now.

    It ends with the sessions of its account: by another password, by a suspension, by signing out
    everywhere; and by another email.

    Raises:
        HalfSignInExpired: it is unknown, has ended or is older than ten minutes, or the account is
            suspended.
    """
    half = tx.half_sign_ins.get(half_hash)
    if half is None or not 0 <= tx.now() - half.created_at <= HALF_LIMIT:
        raise HalfSignInExpired(_EXPIRED)
    account = tx.accounts.get(half.user_id)
    if account is None or account.suspended_at is not None:
        raise HalfSignInExpired(_EXPIRED)
    return half, account
