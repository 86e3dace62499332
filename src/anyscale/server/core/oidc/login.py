"""In whose account somebody lands whom an identity provider knows. It never makes an account."""

from collections.abc import Set as AbstractSet

from anyscale.errors import SsoRefused
from anyscale.server.core.audit import log as audit
from anyscale.server.core.login.password_login import LoginResult
from anyscale.server.core.login.sessions import ClientInfo, create_session, lock_account
from anyscale.server.core.oidc.provider import ExternalIdentity, Provider
from anyscale.server.settings import IdentityProvider
from anyscale.server.store.interface import Store, Transaction
from anyscale.server.store.records import AccountRecord
from anyscale.user.emails import email_key

__all__ = ["CALLBACK", "OidcLogin"]

#: where the provider sends browsers back to
CALLBACK = "/sso/callback"


class OidcLogin:
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

    def login(self, person: ExternalIdentity, browser: ClientInfo) -> LoginResult:
        """Sign a person in: to the account of this subject, or else of this verified address.

        Raises:
            SsoRefused: there is none, or it is not for SSO, or another subject's, or suspended.
        """
        with self._store.read() as tx:
            user_id = self._whose(tx, person)
        with self._store.write() as tx:
            held = lock_account(tx, user_id, browser)
            if held is None:
                raise SsoRefused("no_account")
            account = held.account
            is_new = _link(tx, person, account)
            begun = create_session(tx, "sso", held)
            if is_new:
                data = {"issuer": person.issuer}
                audit.append(tx, _actor(account), "identity.linked", account.user_id, data)
        return LoginResult(account.user_id, begun.session, begun.device)

    def _whose(self, tx: Transaction, person: ExternalIdentity) -> str:
        """Give the id of who came before, whatever the address is now, or else of its account."""
        user_id = tx.identities.find(person.issuer, person.subject)
        if user_id and tx.accounts.get(user_id):
            return user_id
        account = tx.accounts.find(self._key_of(person))
        if account is None:
            raise SsoRefused("no_account")
        return account.user_id

    def _key_of(self, person: ExternalIdentity) -> str:
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


def _link(tx: Transaction, person: ExternalIdentity, account: AccountRecord) -> bool:
    """Link a subject to an account; return False if it was linked to it before."""
    is_known = tx.identities.find(person.issuer, person.subject) == account.user_id
    if not is_known and not _is_spelled_alike(str(person.email), account.email):
        raise SsoRefused("email_spelling", _actor(account))
    _require_sso(account)
    if is_known:
        return False
    if tx.identities.link(person.issuer, person.subject, account.user_id, tx.now()):
        return True
    # Or another window of the same browser linked it a moment ago.
    if tx.identities.find(person.issuer, person.subject) != account.user_id:
        raise SsoRefused("other_subject", _actor(account))
    return False


def _require_sso(account: AccountRecord) -> None:
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


def _actor(account: AccountRecord) -> str:
    return f"user:{account.user_id}"
