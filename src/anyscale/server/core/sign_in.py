"""Signing in by email and password, and choosing a password: at first, later, or by a link."""

from msgspec import Struct

from anyscale.errors import (
    LinkInvalid,
    NotAuthenticated,
    NotPermitted,
    PasswordExpired,
    PasswordRefused,
    SignInRefused,
)
from anyscale.server.core import audit
from anyscale.server.core.audit import Trail
from anyscale.server.core.noting import Noting
from anyscale.server.core.passwords import Hashing
from anyscale.server.core.sessions import DEVICE_LIMIT, Browser, Member, begin, hash_of, hold
from anyscale.server.core.throttle import Throttle
from anyscale.server.store.base import AccountRow, Store, Transaction
from anyscale.user.emails import email_key
from anyscale.user.passwords import normalized
from anyscale.user.validate import Policy

__all__ = ["SignIn", "SignedIn"]

_THEIRS = "the user's own"

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


class SignIn:
    """What people do with passwords.

    Args:
        store: the accounts.
        hashing: a pool of its own, so that no batch keeps people waiting.
        trail: where refusals are noted.
        policy: what passwords must be like, and whether SSO is the only way in.
        initial_days: after which a password that an administrator gave is no good any more.
    """

    def __init__(
        self, store: Store, hashing: Hashing, trail: Trail, policy: Policy, initial_days: int
    ) -> None:
        self._store = store
        self._hashing = hashing
        self._policy = policy
        self._initial_limit = initial_days * _DAY
        self._throttle = Throttle()
        self._noting = Noting(trail, SignInRefused.code, "sign in")

    def by_password(self, email: str, password: str, browser: Browser) -> SignedIn:
        """Sign a person in.

        An account that does not exist costs the same time, and gets the same answer, as a password
        that is wrong.

        Raises:
            SignInRefused: email or password is wrong, or the account is suspended.
            PasswordExpired: the password that an administrator gave was not changed in time.
            Throttled: too many were wrong before.
            NotPermitted: SSO is the only way in.
        """
        self._require_passwords()
        key = _key(email)
        with self._store.read() as rows:
            account = rows.account(email_key=key) if key else None
            is_known = self._is_known(rows, browser, account)
        known = browser.device if is_known else ""
        self._throttle.check(browser.address, key, known=known)
        if not self._hashing.verify(account.password_hash if account else None, password):
            self._throttle.failed(browser.address, key, known=known)
            self._note(account)
            raise SignInRefused("email or password is wrong")
        assert account
        return self._enter(account, password, browser)

    def change_password(self, member: Member, current: str, new: str, browser: Browser) -> SignedIn:
        """Change a password, end all sessions, and begin a new one.

        Raises:
            SignInRefused: the current one is wrong.
            PasswordRefused: the policy refuses the new one.
            Throttled: too many were wrong before.
            NotPermitted: SSO is the only way in.
        """
        self._require_passwords()
        account, known = member.account, member.session.session_id
        self._throttle.check(browser.address, account.user_id, known=known)
        if not self._hashing.verify(account.password_hash, current):
            self._throttle.failed(browser.address, account.user_id, known=known)
            self._note(account)
            raise SignInRefused("the current password is wrong")
        if normalized(current) == normalized(new):
            raise PasswordRefused("The new password is the one that you have.")
        chosen = self._hashed(new, account)
        with self._store.write() as rows:
            now_there = hold(rows, account.user_id, browser)
            is_over = rows.session(member.session.hash) is None
            if is_over or not now_there or now_there.suspended_at is not None:
                raise NotAuthenticated("you are not signed in any more")
            if now_there.password_hash != account.password_hash:
                raise SignInRefused("the password was changed meanwhile")
            rows.set_password(account.user_id, chosen, rows.now())
            signed_in = self._begin(rows, now_there, member.session.way, browser)
            audit.append(rows, member.actor, "password.changed", account.user_id, {})
        return signed_in

    def link_account(self, secret: str) -> AccountRow:
        """Give the account that a one-time link is for; the link stays good.

        Raises:
            LinkInvalid: it was used, has expired, never was, or the account is suspended.
            NotPermitted: SSO is the only way in.
        """
        self._require_passwords()
        with self._store.read() as rows:
            link = rows.link(hash_of(secret))
            account = rows.account(user_id=link.user_id) if link else None
            now = rows.now()
        if not link or link.expires_at <= now or not account or account.suspended_at is not None:
            raise LinkInvalid("this link was used before, or has expired: ask for a new one")
        return account

    def by_link(self, secret: str, new: str, browser: Browser) -> SignedIn:
        """Set a password by a one-time link, which is used up by it, and sign in.

        Raises:
            LinkInvalid: it was used, has expired, never was, or the account is suspended.
            PasswordRefused: the policy refuses the password; the link stays good.
            NotPermitted: SSO is the only way in.
        """
        account = self.link_account(secret)
        chosen = self._hashed(new, account)
        with self._store.write() as rows:
            # First, so that two who use it at once take turns.
            now_there = hold(rows, account.user_id, browser)
            taken = rows.take_link(hash_of(secret))
            if not taken or not now_there or now_there.suspended_at is not None:
                raise LinkInvalid("this link was used before, or has expired: ask for a new one")
            rows.set_password(account.user_id, chosen, rows.now())
            signed_in = self._begin(rows, now_there, "link", browser)
            actor = f"user:{account.user_id}"
            audit.append(rows, actor, "password.set_by_link", account.user_id, {})
        return signed_in

    def close(self) -> None:
        """Finish what was begun."""
        self._noting.close()
        self._hashing.close()

    def _require_passwords(self) -> None:
        if self._policy.sso_only:
            raise NotPermitted("everybody here signs in by SSO: there are no passwords")

    @staticmethod
    def _is_known(rows: Transaction, browser: Browser, account: AccountRow | None) -> bool:
        if not browser.device:
            return False
        since = rows.now() - DEVICE_LIMIT
        # Asked for an account that does not exist too: it costs the same.
        return rows.knows_device(hash_of(browser.device), account.user_id if account else "", since)

    def _enter(self, account: AccountRow, password: str, browser: Browser) -> SignedIn:
        better = None
        if self._hashing.needs_rehash(account.password_hash or ""):
            better = self._hashing.hash(normalized(password))
        with self._store.write() as rows:
            now_there = hold(rows, account.user_id, browser)
            if now_there is None or now_there.password_hash != account.password_hash:
                raise SignInRefused("email or password is wrong")
            self._require_valid(now_there, rows.now())
            if better:
                rows.set_password(account.user_id, better, None)
            return self._begin(rows, now_there, "password", browser, end_others=False)

    def _require_valid(self, account: AccountRow, now: int) -> None:
        # Only who knows the password reads these.
        if account.suspended_at is not None:
            self._note(account)
            raise SignInRefused("this account is suspended: ask an administrator")
        if account.password_set_at is None and now - account.created_at > self._initial_limit:
            self._note(account)
            raise PasswordExpired(
                "the password that you were given was not changed in time: ask an administrator "
                "for a link by which you set a new one"
            )

    def _begin(
        self,
        rows: Transaction,
        account: AccountRow,
        way: str,
        browser: Browser,
        *,
        end_others: bool = True,
    ) -> SignedIn:
        if end_others:
            rows.end_sessions(account.user_id)
            rows.remove_links(user_id=account.user_id)
            rows.remove_devices(account.user_id)
        session, device = begin(rows, account, way, browser)
        must_change = not end_others and account.password_set_at is None
        return SignedIn(account.user_id, session, device, must_change)

    def _hashed(self, new: str, account: AccountRow) -> str:
        own = (account.name, account.lastname, account.email)
        chosen = normalized(new)
        if not _is_text(chosen):
            raise PasswordRefused("The password holds a character that nobody can type.")
        fault = self._hashing.faults([chosen], [own], self._policy.password_min_length)[0]
        if fault:
            # The rules speak to administrators; this is told to the user.
            raise PasswordRefused(f"The password {fault[1].replace(_THEIRS, 'your own')}.")
        return self._hashing.hash(chosen)

    def _note(self, account: AccountRow | None) -> None:
        self._noting.add(f"user:{account.user_id}" if account else "anonymous")


def _key(email: str) -> str:
    try:
        return email_key(email)
    except ValueError:
        return ""


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
