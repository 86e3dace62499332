"""What people do with passwords: signing in, and choosing one: at first, later, or by a link."""

from anyscale.errors import (
    InvalidCredentials,
    LinkInvalid,
    NotAuthenticated,
    PasswordRefused,
)
from anyscale.server.core.audit import log as audit
from anyscale.server.core.audit.deferred import DeferredAuditWriter
from anyscale.server.core.audit.log import AuditLog
from anyscale.server.core.hashing.pool import PasswordHashPool
from anyscale.server.core.login.password_login import LoginResult, PasswordLogin, require_passwords
from anyscale.server.core.login.rate_limit import LoginRateLimiter
from anyscale.server.core.login.sessions import (
    AuthenticatedUser,
    ClientInfo,
    LockedAccount,
    create_session,
    lock_account,
)
from anyscale.server.core.secrets import hash_of
from anyscale.server.store.interface import Store, Transaction
from anyscale.server.store.records import AccountRecord
from anyscale.user.passwords import normalized
from anyscale.user.validation import Policy

__all__ = ["PasswordService"]

_THEIRS = "the user's own"


class PasswordService:
    """What people do with passwords.

    Args:
        store: the accounts.
        hashing: a pool of its own, so that no batch keeps people waiting.
        trail: where refusals are noted.
        policy: what passwords must be like, and whether SSO is the only way in.
        initial_days: after which a password that an administrator gave is no good any more.
    """

    def __init__(
        self,
        store: Store,
        hashing: PasswordHashPool,
        trail: AuditLog,
        policy: Policy,
        initial_days: int,
    ) -> None:
        self._store = store
        self._hashing = hashing
        self._policy = policy
        self._throttle = LoginRateLimiter()
        self._noting = DeferredAuditWriter(trail, InvalidCredentials.code, "sign in")
        #: signing in
        self.password_login = PasswordLogin(
            store, hashing, self._throttle, self._noting, policy, initial_days
        )

    def change_password(
        self, member: AuthenticatedUser, current: str, new: str, browser: ClientInfo
    ) -> LoginResult:
        """Change a password, end all sessions, and begin a new one.

        Raises:
            InvalidCredentials: the current one is wrong.
            PasswordRefused: the policy refuses the new one.
            TooManyFailedLogins: too many were wrong before.
            NotPermitted: SSO is the only way in.
        """
        require_passwords(self._policy)
        account, known = member.account, member.session.session_id
        self._throttle.check(browser.address, account.user_id, known_device=known)
        if not self._hashing.verify(account.password_hash, current):
            self._throttle.record_failure(browser.address, account.user_id, known_device=known)
            self._noting.refused(account)
            raise InvalidCredentials("the current password is wrong")
        if normalized(current) == normalized(new):
            raise PasswordRefused("The new password is the one that you have.")
        chosen = self._hashed(new, account)
        with self._store.write() as tx:
            held = lock_account(tx, account.user_id, browser)
            is_over = tx.sessions.get(member.session.hash) is None
            if is_over or not held or held.account.suspended_at is not None:
                raise NotAuthenticated("you are not signed in any more")
            if held.account.password_hash != account.password_hash:
                raise InvalidCredentials("the password was changed meanwhile")
            tx.accounts.set_password(account.user_id, chosen, tx.now())
            signed_in = self._begin(tx, member.session.way, held)
            audit.append(tx, member.actor, "password.changed", account.user_id, {})
        return signed_in

    def link_account(self, secret: str) -> AccountRecord:
        """Give the account that a one-time link is for; the link stays good.

        Raises:
            LinkInvalid: it was used, has expired, never was, or the account is suspended.
            NotPermitted: SSO is the only way in.
        """
        require_passwords(self._policy)
        with self._store.read() as tx:
            link = tx.links.get(hash_of(secret))
            account = tx.accounts.get(link.user_id) if link else None
            now = tx.now()
        if not link or link.expires_at <= now or not account or account.suspended_at is not None:
            raise LinkInvalid("this link was used before, or has expired: ask for a new one")
        return account

    def by_link(self, secret: str, new: str, browser: ClientInfo) -> LoginResult:
        """Set a password by a one-time link, which is used up by it, and sign in.

        Raises:
            LinkInvalid: it was used, has expired, never was, or the account is suspended.
            PasswordRefused: the policy refuses the password; the link stays good.
            NotPermitted: SSO is the only way in.
        """
        account = self.link_account(secret)
        chosen = self._hashed(new, account)
        with self._store.write() as tx:
            # First, so that two who use it at once take turns.
            held = lock_account(tx, account.user_id, browser)
            taken = tx.links.consume(hash_of(secret))
            if not taken or not held or held.account.suspended_at is not None:
                raise LinkInvalid("this link was used before, or has expired: ask for a new one")
            tx.accounts.set_password(account.user_id, chosen, tx.now())
            signed_in = self._begin(tx, "link", held)
            actor = f"user:{account.user_id}"
            audit.append(tx, actor, "password.set_by_link", account.user_id, {})
        return signed_in

    def close(self) -> None:
        """Finish what was begun."""
        self._noting.close()
        self._hashing.close()

    def _begin(self, tx: Transaction, way: str, held: LockedAccount) -> LoginResult:
        user_id = held.account.user_id
        tx.sessions.delete(user_id)
        tx.links.delete(user_id=user_id)
        tx.devices.delete(user_id)
        begun = create_session(tx, way, held)
        return LoginResult(user_id, begun.session, begun.device)

    def _hashed(self, new: str, account: AccountRecord) -> str:
        own = (account.name, account.lastname, account.email)
        chosen = normalized(new)
        if not _is_text(chosen):
            raise PasswordRefused("The password holds a character that nobody can type.")
        fault = self._hashing.faults([chosen], [own], self._policy.password_min_length)[0]
        if fault:
            # The rules speak to administrators; this is told to the user.
            raise PasswordRefused(f"The password {fault[1].replace(_THEIRS, 'your own')}.")
        return self._hashing.hash(chosen)


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
