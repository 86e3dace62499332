"""Half a sign-in: the first factor was shown, and the account has a second one.

Nothing of it is stored: the browser keeps it in a cookie that a server has signed.
"""

import hashlib

import msgspec

from anyscale.errors import HalfSignInExpired
from anyscale.server.core.secrets import SensitiveStruct
from anyscale.server.core.signer import Signer
from anyscale.server.core.time_units import MINUTE_MS
from anyscale.server.core.transactions import Transactions
from anyscale.server.store.records.users import AccountRecord

__all__ = ["HALF_LIMIT", "HalfSignIn", "HalfSignIns", "Shown", "half_sign_in", "require_unchanged"]

#: milliseconds in which the second factor has to follow
HALF_LIMIT = 10 * MINUTE_MS

_EXPIRED = "the first step of your sign-in is too old, or does not count any more: sign in again"


class Shown(msgspec.Struct, frozen=True):
    """What a user has shown in a sign-in."""

    #: how it began: `password`, `link`, `sso` or `passkey`
    auth_method: str
    #: see `core.shown_methods`
    methods: str
    #: when the user proved to be present; None if the identity provider did not say it
    authenticated_at: int | None


class HalfSignIn(SensitiveStruct, frozen=True):
    """A sign-in that needs a second factor."""

    user_id: str
    shown: Shown
    #: when the first factor was shown: milliseconds since 1970, by the database's clock
    at: int
    #: of the password and the email: a change of one ends half a sign-in
    mark: str
    #: the session whose user signs in again; empty if the sign-in creates a session
    session_id: str = ""
    #: the address where the user continues: a path of ours, perhaps with an application's request
    path: str = "/"


class HalfSignIns:
    """Signs half sign-ins for cookies, and reads them."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions
        self._signer = Signer(transactions, "half_sign_in")

    def sign(self, half: HalfSignIn) -> str:
        """Return the value of a cookie."""
        return self._signer.sign(msgspec.json.encode(half))

    def read(self, text: str) -> HalfSignIn:
        """Return what a cookie has.

        Raises:
            HalfSignInExpired: it is not a cookie of ours, or older than ten minutes.
        """
        try:
            half = msgspec.json.decode(self._signer.unsign(text), type=HalfSignIn)
        except (msgspec.MsgspecError, ValueError):
            raise HalfSignInExpired(_EXPIRED) from None
        with self._transactions.read() as tx:
            now = tx.now()
        if not 0 <= now - half.at <= HALF_LIMIT:
            raise HalfSignInExpired(_EXPIRED)
        return half


def half_sign_in(account: AccountRecord, shown: Shown, at: int, session_id: str = "") -> HalfSignIn:
    """Return half a sign-in of an account."""
    return HalfSignIn(account.user_id, shown, at, _mark(account), session_id)


def require_unchanged(half: HalfSignIn, account: AccountRecord | None) -> AccountRecord:
    """Return the account of half a sign-in, as it is now.

    Raises:
        HalfSignInExpired: it was suspended or deleted since, or has another password or email.
    """
    if not account or account.suspended_at is not None or _mark(account) != half.mark:
        raise HalfSignInExpired(_EXPIRED)
    return account


def _mark(account: AccountRecord) -> str:
    # An identity provider may name a user by the email: with another one, the identity may change.
    parts = "half sign-in", account.password_hash or "", account.email, str(account.is_sso_user)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
