"""Creating owners on the control plane's own machine: `anyscale server create-owner`."""

import os

from msgspec import Struct

from anyscale.domain.emails import email_key
from anyscale.domain.models.users import PasswordLink
from anyscale.domain.validation import CheckedUser, Policy, require_valid
from anyscale.errors import BatchUnfinished
from anyscale.server.core.accounts.lifecycle import UserLifecycle
from anyscale.server.core.batches.small_batch import create_small
from anyscale.server.core.callers import SystemCaller
from anyscale.server.core.hashing.pool import PasswordHashPool
from anyscale.server.core.login.links import PasswordLinkService, require_active
from anyscale.server.core.transactions import Transactions
from anyscale.server.store.records.users import AccountRecord


class CreatedOwner(Struct, frozen=True):
    """The result of creating an owner."""

    user_id: str
    email: str
    #: Whether the account existed before.
    existed: bool
    #: to set the password; None if all users sign in by SSO
    link: PasswordLink | None
    #: Whether the account had a link, which the new one has replaced.
    link_replaced: bool


class OwnerService:
    """Creates owners, for the operator of the machine."""

    def __init__(
        self,
        transactions: Transactions,
        hashing: PasswordHashPool,
        accounts: UserLifecycle,
        links: PasswordLinkService,
        *,
        sso_only: bool,
    ) -> None:
        self._transactions = transactions
        self._hashing = hashing
        self._accounts = accounts
        self._links = links
        self._sso_only = sso_only

    def create(self, email: str, name: str | None, caller: SystemCaller) -> CreatedOwner:
        """Create an account that is an owner's, or make an existing one an owner.

        An interrupted call can be repeated: each step finds what the steps before have done.
        Without a name, a new account gets the part of the email before the `@`.

        Raises:
            ConfigError: the email or the name is not valid, or links cannot be created.
            LinkRefused: the account is suspended.
            BatchRefused: an open batch has reserved the email.
        """
        user = _checked(email, name, is_sso_user=self._sso_only)
        if not self._sso_only:
            self._links.require_possible()
        existing = self._account(user.email_key)
        if existing:
            require_active(existing)
        account = existing or self._create_account(user, caller)
        self._accounts.set_role(caller, account.user_id, "owner")
        had_link = self._links.exists(account.user_id)
        links = [] if self._sso_only else self._links.create(caller, [account.user_id])
        return CreatedOwner(
            account.user_id,
            account.email,
            existed=existing is not None,
            link=links[0] if links else None,
            link_replaced=had_link and bool(links),
        )

    def _account(self, key: str) -> AccountRecord | None:
        with self._transactions.read() as tx:
            return tx.accounts.find(key)

    def _create_account(self, user: CheckedUser, caller: SystemCaller) -> AccountRecord:
        # Not by `BatchService`, which the operator may have switched off. If the account was
        # created concurrently, it is skipped here and made owner by the next step.
        key = os.urandom(16).hex()
        create_small(self._transactions, self._hashing, key, [user], (), "skip", caller, "account")
        account = self._account(user.email_key)
        if account is None:
            raise BatchUnfinished("the account was deleted before it became an owner's")
        return account


def _checked(email: str, name: str | None, *, is_sso_user: bool) -> CheckedUser:
    name = email.partition("@")[0] if name is None else name
    require_valid({"name": name, "email": email}, Policy())
    return CheckedUser(name=name, email=email, is_sso_user=is_sso_user, email_key=email_key(email))
