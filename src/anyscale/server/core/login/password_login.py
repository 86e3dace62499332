"""Signing in by email and password; whoever comes meanwhile is dealt with together.

While every core hashes, a thread that wakes finds nothing of its own in the caches. So what stands
around a hash is done once for several: docs/decisions/0009-what-a-sign-in-costs.md.
"""

from collections.abc import Callable, Sequence

from msgspec import Struct

from anyscale.errors import (
    AnyscaleError,
    InvalidCredentials,
    NotPermitted,
    PasswordExpired,
    StoreUnavailable,
    TooManyFailedLogins,
)
from anyscale.server.core.audit.deferred import DeferredAuditWriter
from anyscale.server.core.hashing.pool import PasswordHashPool
from anyscale.server.core.login.rate_limit import LoginRateLimiter
from anyscale.server.core.login.session_creation import LockedAccount, begin_all, hold_all
from anyscale.server.core.login.sessions import DEVICE_LIMIT, ClientInfo, hash_of
from anyscale.server.store.interface import AccountRecord, Store, Transaction
from anyscale.user.emails import email_key
from anyscale.user.passwords import normalized
from anyscale.user.validation import Policy

__all__ = ["LoginAttempt", "LoginResult", "PasswordLogin", "require_passwords"]

_DAY = 24 * 60 * 60 * 1000


class LoginResult(Struct, frozen=True):
    """What a browser is given that signed in."""

    user_id: str
    #: the secrets of its two cookies
    session: str
    device: str
    must_change_password: bool = False

    def __repr__(self) -> str:
        return f"SignedIn({self.user_id!r})"


class LoginAttempt(Struct, frozen=True):
    """Somebody who wants to sign in."""

    #: the email's key, whether there is such an account or not; empty if it is no email
    key: str
    password: str
    browser: ClientInfo

    def __repr__(self) -> str:
        return "Attempt(...)"


class PasswordLogin:
    """What comes of emails and passwords.

    Args:
        store: the accounts.
        hashing: what checks passwords.
        throttle: who was wrong too often.
        noting: where refusals are noted.
        policy: whether SSO is the only way in.
        initial_days: after which a password that an administrator gave is no good any more.
    """

    def __init__(
        self,
        store: Store,
        hashing: PasswordHashPool,
        throttle: LoginRateLimiter,
        noting: DeferredAuditWriter,
        policy: Policy,
        initial_days: int,
    ) -> None:
        self._store = store
        self._hashing = hashing
        self._throttle = throttle
        self._noting = noting
        self._policy = policy
        self._initial_limit = initial_days * _DAY

    def begin(self, email: str, password: str, browser: ClientInfo) -> LoginAttempt:
        """Say who wants to sign in. It asks no database.

        Raises:
            NotPermitted: SSO is the only way in.
        """
        require_passwords(self._policy)
        return LoginAttempt(_key(email), password, browser)

    def would_throttle_a_stranger(self, attempt: LoginAttempt) -> bool:
        """Say whether too many passwords were wrong, unless the account knows the browser.

        `require_admitted` finds that out, so that who is throttled need not wait for a hash.
        """
        return self._throttled(attempt, "") is not None

    def require_admitted(self, attempt: LoginAttempt) -> None:
        """Check that somebody may try a password. It only reads.

        Raises:
            Throttled: not now.
        """
        with self._store.read() as rows:
            ((_, known),) = _found(rows, [attempt])
        self._throttle.check(attempt.browser.address, attempt.key, known=known)

    def settle(
        self, take: Callable[[], Sequence[LoginAttempt]]
    ) -> list[LoginResult | AnyscaleError]:
        """Check the passwords of those who wait, and begin the sessions of who is right.

        An account that does not exist costs the same time, and gets the same answer, as a password
        that is wrong.

        Args:
            take: gives them, the same at each call. It is called as soon as a core is free for
                them, perhaps by another thread.

        Returns:
            For each, in order: what the browser is given, or an error. It is `InvalidCredentials`
            if email or password is wrong, or the account is suspended; `PasswordExpired` if the
            password that an administrator gave was not changed in time; `TooManyFailedLogins`
            if too many were wrong before or meanwhile; `StoreUnavailable` if the database failed.
            Who is refused beside somebody who is right waits until that one's session has begun.
        """
        cases: list[_Case] = []

        def untried() -> list[tuple[str | None, str]]:
            cases[:] = self._cases(take())
            return [case.pair for case in cases if not case.answer]

        checked = self._hashing.verify_many(untried)
        open_cases = [case for case in cases if not case.answer]
        for case, is_right in zip(open_cases, checked, strict=True):
            # Once more: those before may have been the last ones that were allowed.
            case.answer = self._throttled(case.attempt, case.known)
            if not case.answer and not is_right:
                case.answer = self._refused(case)
        self._enter([case for case in cases if not case.answer])
        return [case.settled for case in cases]

    def _cases(self, attempts: Sequence[LoginAttempt]) -> "list[_Case]":
        if not attempts:
            return []
        try:
            with self._store.read() as rows:
                found = _found(rows, attempts)
        except StoreUnavailable as error:
            return [_Case(attempt, None, "", answer=error) for attempt in attempts]
        return [
            _Case(attempt, account, known, answer=self._throttled(attempt, known))
            for attempt, (account, known) in zip(attempts, found, strict=True)
        ]

    def _throttled(self, attempt: LoginAttempt, known: str) -> TooManyFailedLogins | None:
        try:
            self._throttle.check(attempt.browser.address, attempt.key, known=known)
        except TooManyFailedLogins as error:
            return error
        return None

    def _refused(self, case: "_Case") -> InvalidCredentials:
        attempt = case.attempt
        self._throttle.failed(attempt.browser.address, attempt.key, known=case.known)
        self._noting.refused(case.account)
        return InvalidCredentials("email or password is wrong")

    def _enter(self, cases: "Sequence[_Case]") -> None:
        """Begin the sessions of those whose passwords are right, in one transaction."""
        if not cases:  # whoever is refused waits for nobody who writes
            return
        for case in cases:
            case.better = self._better(case)
        try:
            with self._store.write() as rows:
                self._begin(rows, cases)
        except StoreUnavailable as error:
            for case in cases:
                case.answer = error

    def _better(self, case: "_Case") -> str | None:
        """Hash a password anew if its hash was made with other parameters than today's."""
        if self._hashing.needs_rehash(case.pair[0] or ""):
            return self._hashing.hash(normalized(case.attempt.password))
        return None

    def _begin(self, rows: Transaction, cases: "Sequence[_Case]") -> None:
        held = hold_all(rows, [(case.user_id, case.attempt.browser) for case in cases])
        now = rows.now()
        entering = []
        for case, one in zip(cases, held, strict=True):
            case.answer = self._fault(case, one, now)
            if one and not case.answer:
                entering.append((case, one))
        for case, one in entering:
            if case.better:
                rows.set_password(one.account.user_id, case.better, None)
        begun = begin_all(rows, "password", [one for _, one in entering])
        for (case, one), new in zip(entering, begun, strict=True):
            has_own = one.account.password_set_at is not None
            case.answer = LoginResult(one.account.user_id, new.session, new.device, not has_own)

    def _fault(self, case: "_Case", held: LockedAccount | None, now: int) -> AnyscaleError | None:
        if held is None or held.account.password_hash != case.pair[0]:
            return InvalidCredentials("email or password is wrong")  # it was changed meanwhile
        fault = self._closed(held.account, now)
        if fault:
            self._noting.refused(held.account)
        return fault

    def _closed(self, account: AccountRecord, now: int) -> AnyscaleError | None:
        # Only who knows the password reads these.
        if account.suspended_at is not None:
            return InvalidCredentials("this account is suspended: ask an administrator")
        if account.password_set_at is None and now - account.created_at > self._initial_limit:
            return PasswordExpired(
                "the password that you were given was not changed in time: ask an administrator "
                "for a link by which you set a new one"
            )
        return None


class _Case(Struct, eq=False):
    """An attempt, and what comes of it once that is known."""

    attempt: LoginAttempt
    account: AccountRecord | None
    #: what tells the browser from others, if it has signed in to the account before
    known: str
    #: the hash of the same password by today's parameters, if the one that there is has others
    better: str | None = None
    answer: LoginResult | AnyscaleError | None = None

    def __repr__(self) -> str:
        return "_Case(...)"

    @property
    def settled(self) -> LoginResult | AnyscaleError:
        """The answer, which each has in the end: none may slip to the next one's."""
        assert self.answer
        return self.answer

    @property
    def pair(self) -> tuple[str | None, str]:
        """The hash that there is, and the password."""
        return self.account.password_hash if self.account else None, self.attempt.password

    @property
    def user_id(self) -> str:
        """Of the account; for who is right, and so has one."""
        assert self.account
        return self.account.user_id


def require_passwords(policy: Policy) -> None:
    """Check that people sign in by passwords at all.

    Raises:
        NotPermitted: SSO is the only way in.
    """
    if policy.sso_only:
        raise NotPermitted("everybody here signs in by SSO: there are no passwords")


def _found(
    rows: Transaction, attempts: Sequence[LoginAttempt]
) -> list[tuple[AccountRecord | None, str]]:
    """Give each account, and what tells the browser from others if the account knows it."""
    accounts = rows.accounts_with({attempt.key for attempt in attempts if attempt.key})
    found = [accounts.get(attempt.key) for attempt in attempts]
    # Asked for an account that does not exist too: it costs the same.
    devices = [
        (hash_of(attempt.browser.device), account.user_id if account else "")
        for attempt, account in zip(attempts, found, strict=True)
    ]
    known = rows.known_devices(set(devices), rows.now() - DEVICE_LIMIT)
    return [
        (account, attempt.browser.device if device in known else "")
        for attempt, account, device in zip(attempts, found, devices, strict=True)
    ]


def _key(email: str) -> str:
    try:
        return email_key(email)
    except ValueError:
        return ""
