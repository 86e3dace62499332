"""Sign-in by an identity provider: map an OIDC identity to an account. Never creates accounts."""

import threading
from collections.abc import Mapping
from typing import Final

from anyscale.domain.emails import email_key
from anyscale.errors import ProviderUnavailable, SsoRefused
from anyscale.server.core.audit.entries import append_entry
from anyscale.server.core.callers import live_session, user_actor
from anyscale.server.core.login.half_sign_in import HalfSignIn, Shown
from anyscale.server.core.login.rate_limit import LoginRateLimiter
from anyscale.server.core.login.sessions import (
    ClientInfo,
    LoginResult,
    lock_for_session,
)
from anyscale.server.core.login.sign_in_gate import SignInGate
from anyscale.server.core.secrets import hash_of
from anyscale.server.core.shown_methods import TWO_FACTORS
from anyscale.server.core.signer import Signer
from anyscale.server.core.sso.identity_provider import IdentityProvider
from anyscale.server.core.sso.login_records import ExternalIdentity, SsoAttempt
from anyscale.server.core.sso.settings import ProviderSettings
from anyscale.server.core.steps import Step
from anyscale.server.core.transactions import Transactions
from anyscale.server.store.records.users import AccountRecord
from anyscale.server.store.transaction import Transaction

#: States in memory, at most some 15 MB; then the oldest is deleted. A cookie expires before that,
#: unless 100,000 users sign in within ten minutes.
_MAX_STATES = 100_000


class SsoLogin:
    """Signs users in by their identity at a provider, which redirects them to `redirect_uri`."""

    def __init__(
        self,
        transactions: Transactions,
        settings: ProviderSettings,
        redirect_uri: str,
        rate_limiter: LoginRateLimiter,
        gate: SignInGate,
    ) -> None:
        self.provider: Final = IdentityProvider(settings, redirect_uri)
        self._rate_limiter = rate_limiter
        self._gate = gate
        self._used_states = _UsedStates()
        self._transactions = transactions
        #: of the cookie that a browser keeps while its user signs in
        self.signer: Final = Signer(transactions, "sso_cookie")
        self._domains = settings.domains

    def finish(
        self, parameters: Mapping[str, str], attempt: SsoAttempt, address: str
    ) -> ExternalIdentity:
        """Return the user of the provider's redirect, as `IdentityProvider` does.

        Each sign-in has one exchange of a code, and each exchange without a user counts.

        Raises:
            SsoRefused: also if the code of this sign-in was exchanged before.
            TooManyFailedLogins: too many exchanges of the client's network had no user.
        """
        self._rate_limiter.check_exchange(address)
        code = self.provider.check_redirect(parameters, attempt)
        if not self._used_states.add(attempt.state):
            raise SsoRefused("state_used")
        try:
            return self.provider.identify(code, attempt)
        except SsoRefused:
            self._rate_limiter.record_refused_exchange(address)
            raise
        except ProviderUnavailable:
            self._rate_limiter.record_unanswered_exchange(address)
            raise

    def login(self, identity: ExternalIdentity, client: ClientInfo) -> LoginResult | HalfSignIn:
        """Sign in to the account of this subject, or else of this verified address.

        Raises:
            TooManyFailedLogins: the account has too many sign-ins in this minute.
            SsoRefused: no account has this identity or email, or the account is not for SSO, is
                suspended or is linked to another subject.
        """
        with self._transactions.read() as tx:
            user_id = self._find_user(tx, identity)
        with self._transactions.write_unattended("sign-in") as tx:
            locked = lock_for_session(tx, user_id, client)
            if locked is None:
                raise SsoRefused("no_account")
            account = locked.account
            is_new = self._link(tx, identity, account)
            result = self._gate.complete_sign_in(tx, locked, _shown(identity))
            if is_new:
                _append_linked(tx, identity, account)
        return result

    def sign_in_again(
        self, identity: ExternalIdentity, session_id: str, client: ClientInfo
    ) -> HalfSignIn | None:
        """Record that the user of the browser's session has signed in at the provider again.

        The session stays. `session_id` is the one for which the browser was sent to the provider.

        Raises:
            TooManyFailedLogins: the account has too many sign-ins in this minute.
            NotAuthenticated: the session was revoked, or the account was suspended or deleted.
            SsoRefused: the browser has another session by now, the identity belongs to another
                account, or a reason of `login`.
        """
        with self._transactions.read() as tx:
            caller = live_session(tx, hash_of(client.session))
            user_id = self._find_user(tx, identity)
        if caller.session.session_id != session_id:
            raise SsoRefused("other_session", caller.actor)
        if caller.account.user_id != user_id:
            raise SsoRefused("other_user", caller.actor)
        with self._transactions.write_own(caller, {Step.SECOND_FACTOR}) as (tx, account):
            is_new = self._link(tx, identity, account)
            half = self._gate.renew_sign_in(tx, caller, _shown(identity))
            if is_new:
                _append_linked(tx, identity, account)
        return half

    def _find_user(self, tx: Transaction, identity: ExternalIdentity) -> str:
        """Return the id of the account that is linked to the subject, else of that with the email.

        A linked account may have any email by now. The id is empty if there is no such account.
        """
        user_id = tx.identities.find(identity.issuer, identity.subject)
        if user_id:  # deleting an account deletes its identities
            return user_id
        account = tx.accounts.find(self._key_of(identity))
        # Without an account the same transactions follow, so that the time does not show it.
        return account.user_id if account else ""

    def _link(self, tx: Transaction, identity: ExternalIdentity, account: AccountRecord) -> bool:
        """Link a subject to a locked account; return False if it was linked to it before."""
        # Again: until it was locked, its email could change, and its link could end.
        if self._find_user(tx, identity) != account.user_id:
            raise SsoRefused("no_account")
        is_known = tx.identities.find(identity.issuer, identity.subject) == account.user_id
        if not is_known and not _is_same_mailbox(str(identity.email), account.email):
            raise SsoRefused("email_spelling", _actor(account))
        _require_sso(account)
        if is_known:
            return False
        if tx.identities.link(identity.issuer, identity.subject, account.user_id, tx.now()):
            return True
        # Or another window of the same browser linked it a moment ago.
        if tx.identities.find(identity.issuer, identity.subject) != account.user_id:
            raise SsoRefused("other_subject", _actor(account))
        return False

    def _key_of(self, identity: ExternalIdentity) -> str:
        if not isinstance(identity.email, str):
            raise SsoRefused("email_missing")
        if identity.email_verified is not True:
            raise SsoRefused("email_unverified", detail=_kind_of(identity.email_verified))
        try:
            key = email_key(identity.email)
        except ValueError:
            raise SsoRefused("email_invalid") from None
        if self._domains and key.rpartition("@")[2] not in self._domains:
            raise SsoRefused("email_domain")
        return key


def _shown(identity: ExternalIdentity) -> Shown:
    methods = TWO_FACTORS if identity.has_second_factor else ""
    return Shown("sso", methods, identity.authenticated_at)


def _kind_of(verified: object) -> str:
    """Name a value of `email_verified` that is not true: each is mended in another place."""
    if verified is None:
        return "absent"
    if verified is False:
        return "false"
    return "a text" if isinstance(verified, str) else "neither true nor false"


def _append_linked(tx: Transaction, identity: ExternalIdentity, account: AccountRecord) -> None:
    data = {"issuer": identity.issuer}
    append_entry(tx, _actor(account), "identity.linked", account.user_id, data)


def _require_sso(account: AccountRecord) -> None:
    if account.suspended_at is not None:
        raise SsoRefused("suspended", _actor(account))
    if not account.is_sso_user:
        raise SsoRefused("not_sso_user", _actor(account))


def _is_same_mailbox(email: str, own: str) -> bool:
    """Whether two addresses with one key have local parts that every mail server delivers alike.

    The key of the Kelvin sign is that of a k. A mail server may tell them apart, and the owner of
    such a mailbox must not get the account.
    """
    local, own_local = email.rpartition("@")[0], own.rpartition("@")[0]
    return local == own_local or (local.isascii() and own_local.isascii())


def _actor(account: AccountRecord) -> str:
    return user_actor(account.user_id)


class _UsedStates:
    """The states whose code this process exchanged. A provider accepts each code once anyway."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        #: in the order of their use
        self._states: dict[str, None] = {}

    def add(self, state: str) -> bool:
        """Remember a state; return False if it was used before."""
        with self._lock:
            if state in self._states:
                return False
            self._states[state] = None
            if len(self._states) > _MAX_STATES:
                del self._states[next(iter(self._states))]
            return True
