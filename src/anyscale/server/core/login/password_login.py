"""Sign-in by email and password, and the limits and audit entries of wrong passwords."""

import logging

from msgspec import structs

from anyscale.domain.emails import email_key
from anyscale.domain.validation import Policy
from anyscale.errors import (
    AnyscaleError,
    HashingUnavailable,
    InvalidCredentials,
    NotPermitted,
    PasswordExpired,
    StoreUnavailable,
)
from anyscale.server.core.audit.deferred import DeferredAuditWriter
from anyscale.server.core.audit.entries import AuditLog
from anyscale.server.core.callers import SessionCaller
from anyscale.server.core.hashing.pool import PasswordHashPool
from anyscale.server.core.login.half_sign_in import HalfSignIn, Shown
from anyscale.server.core.login.rate_limit import LoginRateLimiter
from anyscale.server.core.login.sessions import (
    ClientInfo,
    LockedAccount,
    LoginResult,
    known_device,
    lock_for_session,
)
from anyscale.server.core.login.sign_in_gate import SignInGate
from anyscale.server.core.secrets import SensitiveStruct
from anyscale.server.core.shown_methods import PASSWORD
from anyscale.server.core.steps import Step
from anyscale.server.core.time_units import DAY_MS
from anyscale.server.core.transactions import Transactions
from anyscale.server.store.records.users import AccountRecord
from anyscale.server.store.transaction import Transaction

_log = logging.getLogger("anyscale.server")

#: A machine may be so much slower than the estimate; and what a sign-in takes beside the hash.
_SLOWER, _OTHER_MS = 3, 100

#: SHA-crypt reads the password in each round: so many octets take as long as the estimate. It takes
#: none with more than the second number.
_AS_LONG, _MOST_OCTETS = 48, 511


class LoginAttempt(SensitiveStruct, frozen=True):
    """A sign-in whose account was looked up, and whose password is not verified yet."""

    #: the email's key, whether it has an account or not; empty where the text is not an email
    key: str
    password: str
    client: ClientInfo
    account: AccountRecord | None
    #: the device cookie, if the account knows it; else empty
    known_device: str
    #: milliseconds of the slowest hash of any account that another system has made; 0 for none
    slowest_imported: int

    @property
    def source(self) -> tuple[str, str, str]:
        """The arguments of the rate limiter."""
        return self.client.address, self.key, self.known_device

    @property
    def is_imported(self) -> bool:
        """Whether the hash is one that another system has made, which may take a second."""
        return _is_imported(self.account)

    @property
    def refusal_seconds(self) -> float:
        """How long a refusal takes at least, so that it does not reveal whose hash is imported.

        That is far above the slowest of these hashes, on a slower machine and for a password that
        is verified in two forms, however long it is. Without such hashes all refusals take the same
        time anyway.
        """
        if not self.slowest_imported:
            return 0.0
        octets = len(self.password.encode(errors="surrogatepass"))
        slowest = self.slowest_imported * (1 + min(octets, _MOST_OCTETS) / _AS_LONG)
        return (_SLOWER * slowest + _OTHER_MS) / 1000


class PasswordLogin:
    """Verifies passwords and creates sessions. It owns the processes that hash for it.

    A password that an administrator set expires `initial_days` after the account was created.
    """

    def __init__(
        self,
        transactions: Transactions,
        hashing: PasswordHashPool,
        imported_hashing: PasswordHashPool,
        audit_log: AuditLog,
        policy: Policy,
        initial_days: int,
        rate_limiter: LoginRateLimiter,
        gate: SignInGate,
    ) -> None:
        self._transactions = transactions
        self._gate = gate
        self._hashing = hashing
        self._imported_hashing = imported_hashing
        self._rate_limiter = rate_limiter
        self._audit_writer = DeferredAuditWriter(audit_log)
        self._policy = policy
        self._initial_limit = initial_days * DAY_MS

    def prepare(self, email: str, password: str, client: ClientInfo) -> LoginAttempt:
        """Look up the account and the device, and check the rate limits.

        It costs the same for an email without an account.

        Raises:
            NotPermitted: SSO is the only sign-in method.
            TooManyFailedLogins: a limit is reached.
            StoreUnavailable: the database cannot be read.
        """
        require_passwords(self._policy)
        key = _key(email)
        with self._transactions.read() as tx:
            account = tx.accounts.find(key)
            # It looks without an account too, so that the time is the same.
            device = known_device(tx, account.user_id if account else "", client.device)
            slowest = tx.accounts.slowest_imported()
        attempt = LoginAttempt(key, password, client, account, device, slowest)
        self._rate_limiter.check(*attempt.source)
        return attempt

    def login(self, attempt: LoginAttempt) -> LoginResult | HalfSignIn:
        """Verify the password, and complete the sign-in as `SignInGate` does.

        An email without an account costs the same time as a wrong password, and gets the same
        response.

        Raises:
            InvalidCredentials: the email or the password is wrong, or the account is suspended.
            PasswordExpired: the password that an administrator set was not changed in time.
            TooManyFailedLogins: a limit was reached while this attempt waited, or the account has
                too many sign-ins in this minute.
            StoreUnavailable: the database cannot be written.
        """
        self._rate_limiter.check(*attempt.source)
        password_hash = attempt.account.password_hash if attempt.account else None
        if not self._pool(attempt.account).verify(password_hash, attempt.password):
            raise self._reject(attempt)
        # Others may have failed since: guesses at the same time count as guesses in turn.
        self._rate_limiter.check(*attempt.source)
        assert attempt.account
        assert password_hash
        return self._complete(attempt, attempt.account.user_id, password_hash)

    def _complete(
        self, attempt: LoginAttempt, user_id: str, password_hash: str
    ) -> LoginResult | HalfSignIn:
        rehashed = self._rehashed(password_hash, attempt.password)
        try:
            return self._store(attempt, user_id, password_hash, rehashed)
        except StoreUnavailable:
            if rehashed is None:
                raise
        # The sign-in counts: the next one will store a hash of ours.
        return self._store(attempt, user_id, password_hash, None)

    def _pool(self, account: AccountRecord | None) -> PasswordHashPool:
        return self._imported_hashing if _is_imported(account) else self._hashing

    def _rehashed(self, password_hash: str, password: str) -> str | None:
        """Return a new hash in place of one with other parameters; None if it cannot be hashed."""
        if not self._hashing.needs_rehash(password_hash):
            return None
        try:
            return self._hashing.hash(password)
        except HashingUnavailable as error:
            _log.warning("rehash failed", extra={"reason": str(error)})
            return None

    def _store(
        self, attempt: LoginAttempt, user_id: str, password_hash: str, rehashed: str | None
    ) -> LoginResult | HalfSignIn:
        with self._transactions.write_unattended("sign-in") as tx:
            locked = lock_for_session(tx, user_id, attempt.client)
            if locked and locked.account.password_hash == password_hash:
                self.require_active(locked.account, locked.at)
                if rehashed:
                    locked = _with_hash(tx, locked, rehashed)
                return self._gate.complete_sign_in(tx, locked, _shown(locked.at))
        # The password was changed after the account was read, or another sign-in has rehashed it.
        return self.login(structs.replace(attempt, account=locked.account if locked else None))

    def verify_current(self, caller: SessionCaller, password: str, client: ClientInfo) -> None:
        """Verify the password of a signed-in user, within the limits of sign-ins.

        Raises:
            InvalidCredentials: it is wrong.
            TooManyFailedLogins: a limit is reached.
        """
        account = caller.account
        source = client.address, account.user_id, caller.session.session_id
        self._rate_limiter.check(*source)
        if not self._pool(account).verify(account.password_hash, password):
            self._rate_limiter.record_failure(*source)
            self._audit_writer.record_denied(account)
            raise InvalidCredentials("the current password is wrong")
        # As in `login`: guesses at the same time count as guesses in turn.
        self._rate_limiter.check(*source)

    def sign_in_again(
        self, caller: SessionCaller, password: str, client: ClientInfo
    ) -> HalfSignIn | None:
        """Verify the password of a signed-in user, and record the sign-in as `SignInGate` does.

        Raises:
            InvalidCredentials, PasswordExpired, TooManyFailedLogins: as `login` does.
            NotPermitted: SSO is the only sign-in method.
            NotAuthenticated: the session was revoked, or the account was suspended or deleted.
        """
        require_passwords(self._policy)
        self.verify_current(caller, password, client)
        with self._transactions.write_own(caller, {Step.SECOND_FACTOR}) as (tx, account):
            now = tx.now()
            if account.password_hash != caller.account.password_hash:
                raise InvalidCredentials("the password was changed at the same time")
            self.require_active(account, now)
            return self._gate.renew_sign_in(tx, caller, _shown(now))

    def close(self) -> None:
        """Write the audit entries that are still due, and end the threads and processes."""
        self._audit_writer.close()
        self._hashing.close()
        self._imported_hashing.close()

    def _reject(self, attempt: LoginAttempt) -> InvalidCredentials:
        """Count a wrong password, and have it written to the audit log."""
        self._rate_limiter.record_failure(*attempt.source)
        self._audit_writer.record_denied(attempt.account)
        return InvalidCredentials("email or password is wrong")

    def require_active(self, account: AccountRecord, now: int) -> None:
        """Check that an account may sign in, after its password was verified: the errors reveal it.

        Raises:
            InvalidCredentials, PasswordExpired: as `login` does.
        """
        error: AnyscaleError | None = None
        if account.suspended_at is not None:
            error = InvalidCredentials("this account is suspended: ask an administrator")
        elif account.password_set_at is None and now - account.created_at > self._initial_limit:
            error = PasswordExpired(
                "the password that you were given was not changed in time: ask an administrator "
                "for a link to set a new one"
            )
        if error:
            self._audit_writer.record_denied(account)
            raise error


def require_passwords(policy: Policy) -> None:
    """Raise `NotPermitted` if SSO is the only sign-in method."""
    if policy.sso_only:
        raise NotPermitted("everybody here signs in by SSO: there are no passwords")


def _is_imported(account: AccountRecord | None) -> bool:
    return account is not None and account.imported_ms is not None


def _with_hash(tx: Transaction, locked: LockedAccount, password_hash: str) -> LockedAccount:
    """Store a new hash of the same password; give the account with it, as half a sign-in needs."""
    tx.accounts.set_password(locked.account.user_id, password_hash, None)
    account = structs.replace(locked.account, password_hash=password_hash)
    return structs.replace(locked, account=account)


def _shown(at: int) -> Shown:
    return Shown("password", PASSWORD, at)


def _key(email: str) -> str:
    try:
        return email_key(email)
    except ValueError:
        return ""
