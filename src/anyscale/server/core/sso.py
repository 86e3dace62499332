"""In whose account somebody lands whom an identity provider knows. It never makes an account."""

from collections.abc import Set as AbstractSet

from anyscale.errors import SsoRefused
from anyscale.server.core import audit
from anyscale.server.core.oidc import Person, Provider
from anyscale.server.core.sessions import Browser, begin
from anyscale.server.core.sign_in import SignedIn
from anyscale.server.settings import IdentityProvider
from anyscale.server.store.base import AccountRow, Store, Transaction
from anyscale.user.emails import email_key

__all__ = ["CALLBACK", "Sso"]

#: where the provider sends browsers back to
CALLBACK = "/sso/callback"


class Sso:
    """Signing in by an identity provider.

    Args:
        store: the accounts.
        settings: which provider.
        public_url: where browsers find us.
    """

    def __init__(self, store: Store, settings: IdentityProvider, public_url: str) -> None:
        self.provider = Provider(settings, public_url + CALLBACK)
        self._store = store
        self._domains = settings.domains

    def land(self, person: Person, browser: Browser) -> SignedIn:
        """Sign a person in: to the account of this subject, or else of this verified address.

        Raises:
            SsoRefused: there is none, or it is not for SSO, or another subject's, or suspended.
        """
        with self._store.write() as rows:
            account, is_new = _known(rows, person), False
            if account is None:
                account, is_new = self._linked(rows, person)
            session, device = begin(rows, account, "sso", browser)
            if is_new:
                told = {"issuer": person.issuer}
                audit.append(rows, _actor(account), "identity.linked", account.user_id, told)
        return SignedIn(account.user_id, session, device)

    def _linked(self, rows: Transaction, person: Person) -> tuple[AccountRow, bool]:
        """Tie a subject that comes for the first time to the account of its address.

        Give the account, and whether it was tied just now.
        """
        account = rows.account(email_key=self._key_of(person))
        if account is None:
            raise SsoRefused("no_account")
        if not _is_spelled_alike(str(person.email), account.email):
            raise SsoRefused("email_spelling", _actor(account))
        _require_sso(account)
        is_new = rows.link_identity(person.issuer, person.subject, account.user_id, rows.now())
        # Or the same subject came a moment ago in another window.
        if not is_new and rows.identified(person.issuer, person.subject) != account.user_id:
            raise SsoRefused("other_subject", _actor(account))
        return account, is_new

    def _key_of(self, person: Person) -> str:
        if not isinstance(person.email, str):
            raise SsoRefused("email_missing")
        if person.email_verified is not True:
            raise SsoRefused("email_unverified")
        try:
            key = email_key(person.email)
        except ValueError:
            raise SsoRefused("email_invalid") from None
        if not _is_within(key, self._domains):
            raise SsoRefused("email_domain")
        return key


def _known(rows: Transaction, person: Person) -> AccountRow | None:
    """Give the account of a subject that came before, whatever its address is now."""
    user_id = rows.identified(person.issuer, person.subject)
    account = rows.account(user_id=user_id) if user_id else None
    if account:
        _require_sso(account)
    return account


def _require_sso(account: AccountRow) -> None:
    if account.suspended_at is not None:
        raise SsoRefused("suspended", _actor(account))
    if not account.is_sso_user:
        raise SsoRefused("not_sso_user", _actor(account))


def _is_within(key: str, domains: AbstractSet[str]) -> bool:
    return not domains or key.rpartition("@")[2] in domains


def _is_spelled_alike(given: str, ours: str) -> bool:
    """Say whether two local parts with one key may be taken for one mailbox.

    A key takes the Kelvin sign for a k; a mail server need not, and whoever got that mailbox would
    get the account.
    """
    local, account = given.rpartition("@")[0], ours.rpartition("@")[0]
    return local == account or (local.isascii() and account.isascii())


def _actor(account: AccountRow) -> str:
    return f"user:{account.user_id}"
