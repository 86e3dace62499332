"""Changing a password: by the signed-in user, or by a one-time link."""

from msgspec import structs

from anyscale.domain.passwords import normalized
from anyscale.domain.validation import Policy
from anyscale.errors import InvalidCredentials, LinkInvalid, PasswordRefused
from anyscale.server.core.audit.entries import append_entry
from anyscale.server.core.callers import SessionCaller, user_actor
from anyscale.server.core.hashing.pool import PasswordHashPool
from anyscale.server.core.login.half_sign_in import HalfSignIn, Shown
from anyscale.server.core.login.password_login import PasswordLogin, require_passwords
from anyscale.server.core.login.sessions import (
    ClientInfo,
    LockedAccount,
    LoginResult,
    lock_for_session,
)
from anyscale.server.core.login.sign_in_gate import SignInGate
from anyscale.server.core.mail.kinds import PASSWORD_CHANGED
from anyscale.server.core.mail.outbox import Outbox, end_links
from anyscale.server.core.secrets import hash_of
from anyscale.server.core.shown_methods import PASSWORD, united
from anyscale.server.core.steps import Step
from anyscale.server.core.transactions import Transactions
from anyscale.server.store.records.users import AccountRecord
from anyscale.server.store.transaction import Transaction

_LINK_INVALID = (
    "this link was used before, has expired, or was replaced by a newer one: ask for a new one"
)


class PasswordChanges:
    """Changes passwords.

    The current password is verified by `login`, with its limits and its processes, which are
    `hashing`. One-time links need no limit.
    """

    def __init__(
        self,
        transactions: Transactions,
        hashing: PasswordHashPool,
        policy: Policy,
        login: PasswordLogin,
        outbox: Outbox,
        gate: SignInGate,
    ) -> None:
        self._transactions = transactions
        self._hashing = hashing
        self._policy = policy
        self._login = login
        self._outbox = outbox
        self._gate = gate

    def change_password(
        self, caller: SessionCaller, current: str, new: str, client: ClientInfo
    ) -> LoginResult | HalfSignIn:
        """Change the password of a signed-in user, revoke all sessions, and sign in anew.

        `current` may be empty for ten minutes in a session that an initial password created.

        Raises:
            InvalidCredentials: the current password is wrong.
            PasswordExpired: it is one that an administrator set, and has expired since the sign-in.
            PasswordRefused: the policy refuses the new password.
            TooManyFailedLogins: too many passwords were wrong before.
            NotPermitted: SSO is the only sign-in method.
            NotAuthenticated: the session was revoked, or the account was suspended or deleted.
        """
        require_passwords(self._policy)
        account = caller.account
        if current or not caller.may_omit_current_password:
            self._login.verify_current(caller, current, client)
            is_same = normalized(new) == normalized(current)
        else:
            is_same = self._hashing.verify(account.password_hash, new)
        if is_same:
            raise PasswordRefused("The new password is the one that you have.")
        password_hash = self._hash(new, account)
        with self._transactions.write_own(caller, {Step.PASSWORD}) as (tx, own):
            locked = LockedAccount(own, client, caller.session, caller.session.session_id, tx.now())
            if own.password_hash != account.password_hash:
                raise InvalidCredentials("the password was changed at the same time")
            self._login.require_active(own, locked.at)
            methods = united(caller.session.methods, PASSWORD)
            # A factor that was shown before counts, but only the password was shown now: what needs
            # a recent sign-in asks for the factor too.
            session = caller.session
            at = session.authenticated_at if caller.has_second_factor else locked.at
            shown = Shown(session.auth_method, methods, at)
            return self._set_password(tx, locked, password_hash, shown, "password.changed")

    def link_account(self, secret: str) -> AccountRecord:
        """Return the account of a one-time link, which stays valid.

        Raises:
            LinkInvalid: it was used, has expired or never existed, or the account is suspended.
            NotPermitted: SSO is the only sign-in method.
        """
        require_passwords(self._policy)
        with self._transactions.read() as tx:
            link = tx.links.get(hash_of(secret))
            account = tx.accounts.get(link.user_id) if link else None
            now = tx.now()
        if not link or link.expires_at <= now or not account or account.suspended_at is not None:
            raise LinkInvalid(_LINK_INVALID)
        return account

    def by_link(self, secret: str, new: str, client: ClientInfo) -> LoginResult | HalfSignIn:
        """Consume a one-time link, set the password, revoke all sessions, and sign in.

        Raises:
            LinkInvalid, NotPermitted: see `link_account`.
            PasswordRefused: the policy refuses the password; the link stays valid.
        """
        account = self.link_account(secret)
        password_hash = self._hash(new, account)
        with self._transactions.write_unattended("sign-in") as tx:
            # The lock on the account comes first, so that two requests with one link take turns.
            locked = lock_for_session(tx, account.user_id, client)
            link = tx.links.consume(hash_of(secret))
            if not link or not locked or locked.account.suspended_at is not None:
                raise LinkInvalid(_LINK_INVALID)
            shown = Shown("link", PASSWORD, locked.at)
            return self._set_password(tx, locked, password_hash, shown, "password.set_by_link")

    def fault_of(self, new: str, account: AccountRecord) -> str:
        """Return why the policy refuses a new password; an empty text if it does not."""
        own = (account.name, account.lastname, account.email)
        try:
            new.encode()
        except UnicodeEncodeError:
            return "The password contains a character that cannot be typed."
        (fault,) = self._hashing.faults(
            [new], [own], self._policy.password_min_length, self._policy.organization
        )
        if not fault:
            return ""
        is_personal = fault.code == "password_personal"
        detail = "contains your own name or email" if is_personal else fault.detail
        return f"The password {detail}."

    def _hash(self, new: str, account: AccountRecord) -> str:
        """Check a new password against the policy, and hash it."""
        if fault := self.fault_of(new, account):
            raise PasswordRefused(fault)
        return self._hashing.hash(new)

    def _set_password(
        self, tx: Transaction, locked: LockedAccount, password_hash: str, shown: Shown, event: str
    ) -> LoginResult | HalfSignIn:
        """Set the password, delete all sessions, devices and links, and complete the sign-in."""
        user_id, actor = locked.account.user_id, user_actor(locked.account.user_id)
        tx.accounts.set_password(user_id, password_hash, locked.at)
        account = structs.replace(
            locked.account, password_hash=password_hash, password_set_at=locked.at
        )
        tx.sessions.delete(user_id)
        end_links(tx, user_id=user_id)
        tx.devices.delete(user_id)
        if locked.account.password_hash is not None:
            self._outbox.add_notice(tx, PASSWORD_CHANGED, user_id, actor)
        locked = structs.replace(locked, account=account)
        result = self._gate.complete_sign_in(tx, locked, shown)
        append_entry(tx, actor, event, user_id, {})
        return result
