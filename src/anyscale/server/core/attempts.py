"""Signing in by email and password; whoever comes meanwhile is dealt with together.

While every core hashes, a thread that wakes finds nothing of its own in the caches. So what stands
around a hash is done once for several: docs/decisions/0009-what-a-sign-in-costs.md.
"""

from collections.abc import Callable, Sequence

from msgspec import Struct

from anyscale.errors import (
    AnyscaleError,
    NotPermitted,
    PasswordExpired,
    SignInRefused,
    StoreUnavailable,
    Throttled,
)
from anyscale.server.core.noting import Noting
from anyscale.server.core.passwords import Hashing
from anyscale.server.core.sessions import DEVICE_LIMIT, Browser, begin, hash_of, hold_all
from anyscale.server.core.throttle import Throttle
from anyscale.server.store.base import AccountRow, Store, Transaction
from anyscale.user.emails import email_key
from anyscale.user.passwords import normalized
from anyscale.user.validate import Policy

__all__ = ["Attempt", "Attempts", "SignedIn", "require_passwords"]

_DAY = 24 * 60 * 60 * 1000


class SignedIn(Struct, frozen=True):
    """What a browser is given that signed in."""

    user_id: str
    #: the secrets of its two cookies
    session: str
    device: str
    must_change_password: bool = False

    def __repr__(self) -> str:
        return f"SignedIn({self.user_id!r})"


class Attempt(Struct, frozen=True):
    """Somebody who wants to sign in."""

    #: the email's key, whether there is such an account or not; empty if it is no email
    key: str
    password: str
    browser: Browser

    def __repr__(self) -> str:
        return "Attempt(...)"


class Attempts:
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
        hashing: Hashing,
        throttle: Throttle,
        noting: Noting,
        policy: Policy,
        initial_days: int,
    ) -> None:
        self._store = store
        self._hashing = hashing
        self._throttle = throttle
        self._noting = noting
        self._policy = policy
        self._initial_limit = initial_days * _DAY

    def begin(self, email: str, password: str, browser: Browser) -> Attempt:
        """Say who wants to sign in. It asks no database.

        Raises:
            NotPermitted: SSO is the only way in.
        """
        require_passwords(self._policy)
        return Attempt(_key(email), password, browser)

    def would_throttle_a_stranger(self, attempt: Attempt) -> bool:
        """Say whether too many passwords were wrong, unless the account knows the browser.

        `require_admitted` finds that out, so that who is throttled need not wait for a hash.
        """
        return self._throttled(attempt, "") is not None

    def require_admitted(self, attempt: Attempt) -> None:
        """Check that somebody may try a password. It only reads.

        Raises:
            Throttled: not now.
        """
        with self._store.read() as rows:
            _, known = _found(rows, attempt)
        self._throttle.check(attempt.browser.address, attempt.key, known=known)

    def settle(self, take: Callable[[], Sequence[Attempt]]) -> list[SignedIn | AnyscaleError]:
        """Check the passwords of those who wait, and begin the sessions of who is right.

        An account that does not exist costs the same time, and gets the same answer, as a password
        that is wrong.

        Args:
            take: gives them. It is called once, as soon as a core is free for them.

        Returns:
            For each, in order: what the browser is given, or an error. It is `SignInRefused` if
            email or password is wrong, or the account is suspended; `PasswordExpired` if the
            password that an administrator gave was not changed in time; `Throttled` if too many
            were wrong before or meanwhile; `StoreUnavailable` if the database failed. Whoever is
            refused beside somebody who is right waits until that one's session has begun.
        """
        cases: list[_Case] = []

        def untried() -> list[tuple[str | None, str]]:
            cases.extend(self._cases(take()))
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

    def _cases(self, attempts: Sequence[Attempt]) -> "list[_Case]":
        if not attempts:
            return []
        try:
            with self._store.read() as rows:
                return [self._case(rows, attempt) for attempt in attempts]
        except StoreUnavailable as error:
            return [_Case(attempt, None, "", error) for attempt in attempts]

    def _case(self, rows: Transaction, attempt: Attempt) -> "_Case":
        account, known = _found(rows, attempt)
        return _Case(attempt, account, known, self._throttled(attempt, known))

    def _throttled(self, attempt: Attempt, known: str) -> Throttled | None:
        try:
            self._throttle.check(attempt.browser.address, attempt.key, known=known)
        except Throttled as error:
            return error
        return None

    def _refused(self, case: "_Case") -> SignInRefused:
        attempt = case.attempt
        self._throttle.failed(attempt.browser.address, attempt.key, known=case.known)
        self._noting.refused(case.account)
        return SignInRefused("email or password is wrong")

    def _enter(self, cases: "Sequence[_Case]") -> None:
        """Begin the sessions of those whose passwords are right, in one transaction."""
        if not cases:  # whoever is refused waits for nobody who writes
            return
        better = [self._better(case) for case in cases]
        try:
            with self._store.write() as rows:
                held = hold_all(rows, [(case.user_id, case.attempt.browser) for case in cases])
                for case, password_hash in zip(cases, better, strict=True):
                    case.answer = self._begun(rows, held[case.user_id], case, password_hash)
        except StoreUnavailable as error:
            for case in cases:
                case.answer = error

    def _better(self, case: "_Case") -> str | None:
        """Hash a password anew if its hash was made with other parameters than today's."""
        if self._hashing.needs_rehash(case.pair[0] or ""):
            return self._hashing.hash(normalized(case.attempt.password))
        return None

    def _begun(
        self, rows: Transaction, account: AccountRow | None, case: "_Case", better: str | None
    ) -> SignedIn | AnyscaleError:
        if account is None or account.password_hash != case.pair[0]:
            return SignInRefused("email or password is wrong")  # it was changed meanwhile
        if fault := self._fault(account, rows.now()):
            self._noting.refused(account)
            return fault
        if better:
            rows.set_password(account.user_id, better, None)
        session, device = begin(rows, account, "password", case.attempt.browser)
        return SignedIn(account.user_id, session, device, account.password_set_at is None)

    def _fault(self, account: AccountRow, now: int) -> AnyscaleError | None:
        # Only who knows the password reads these.
        if account.suspended_at is not None:
            return SignInRefused("this account is suspended: ask an administrator")
        if account.password_set_at is None and now - account.created_at > self._initial_limit:
            return PasswordExpired(
                "the password that you were given was not changed in time: ask an administrator "
                "for a link by which you set a new one"
            )
        return None


class _Case(Struct, eq=False):
    """An attempt, and what comes of it once that is known."""

    attempt: Attempt
    account: AccountRow | None
    #: what tells the browser from others, if it has signed in to the account before
    known: str
    answer: SignedIn | AnyscaleError | None = None

    def __repr__(self) -> str:
        return "_Case(...)"

    @property
    def settled(self) -> SignedIn | AnyscaleError:
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


def _found(rows: Transaction, attempt: Attempt) -> tuple[AccountRow | None, str]:
    """Give the account, and what tells the browser from others if the account knows it."""
    account = rows.account(email_key=attempt.key) if attempt.key else None
    return account, attempt.browser.device if _is_known(rows, attempt.browser, account) else ""


def _is_known(rows: Transaction, browser: Browser, account: AccountRow | None) -> bool:
    if not browser.device:
        return False
    since = rows.now() - DEVICE_LIMIT
    # Asked for an account that does not exist too: it costs the same.
    return rows.knows_device(hash_of(browser.device), account.user_id if account else "", since)


def _key(email: str) -> str:
    try:
        return email_key(email)
    except ValueError:
        return ""
