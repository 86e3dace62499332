"""Owners that the operator makes on the control plane's own machine: the first one, or anew."""

import os

from msgspec import Struct

from anyscale.errors import BatchUnfinished, ConfigError, LinkRefused
from anyscale.server.core.authorization import Principal
from anyscale.server.core.batches.single_request import create_small
from anyscale.server.core.hashing.pool import PasswordHashPool
from anyscale.server.core.users.lifecycle import UserLifecycle
from anyscale.server.core.users.password_links import PasswordLinkService
from anyscale.server.store.interface import AccountRecord, Store
from anyscale.user.emails import email_key
from anyscale.user.models import PasswordLink
from anyscale.user.validation import CheckedUser, Policy, find_faults

__all__ = ["MadeOwner", "OwnerService"]


class MadeOwner(Struct, frozen=True):
    """An owner, and what became of the call."""

    user_id: str
    email: str
    #: Whether the account was there before.
    existed: bool
    #: None where everybody signs in by SSO.
    link: PasswordLink | None


class OwnerService:
    """Makes owners, for whoever administers the machine.

    Args:
        store: the accounts.
        hashing: the pool that hashes; an owner's account has no password at first.
        accounts: which changes them.
        links: which lets them choose a password.
        sso_only: whether SSO is the only way in.
    """

    def __init__(
        self,
        store: Store,
        hashing: PasswordHashPool,
        accounts: UserLifecycle,
        links: PasswordLinkService,
        *,
        sso_only: bool,
    ) -> None:
        self._store = store
        self._hashing = hashing
        self._accounts = accounts
        self._links = links
        self._sso_only = sso_only

    def create(self, email: str, name: str | None, caller: Principal) -> MadeOwner:
        """Make an account and its person an owner, or a person who has one, with a link to sign in.

        Cut short it is repeated: each of its steps then finds what the ones before have done.

        Args:
            email: of the person.
            name: likewise, of an account that is made; None for what stands before the `@`.
            caller: who does it.

        Raises:
            ConfigError: the email or the name is not fit, or links cannot be made.
            LinkRefused: the account is suspended.
            BatchRefused: an unfinished batch holds the email.
        """
        user = _checked(email, name, is_sso_user=self._sso_only)
        if not self._sso_only:
            self._links.require_possible()
        before = self._account(user.email_key)
        if before and before.suspended_at is not None:
            raise LinkRefused(f"the account of {before.email} is suspended: restore it first")
        account = before or self._created(user, caller)
        self._accounts.set_role(account.user_id, "owner", caller)
        made = [] if self._sso_only else self._links.create([account.user_id], caller)
        return MadeOwner(account.user_id, account.email, bool(before), made[0] if made else None)

    def _account(self, key: str) -> AccountRecord | None:
        with self._store.read() as rows:
            return rows.account(email_key=key)

    def _created(self, user: CheckedUser, caller: Principal) -> AccountRecord:
        # Not by the `BatchService`, which the operator may have switched off.
        # Passed over is who came into being meanwhile, and becomes the owner all the same.
        create_small(self._store, self._hashing, os.urandom(16).hex(), [user], "skip", caller)
        account = self._account(user.email_key)
        if account is None:
            raise BatchUnfinished("the account was deleted while it was made an owner's")
        return account


def _checked(email: str, name: str | None, *, is_sso_user: bool) -> CheckedUser:
    name = email.partition("@")[0] if name is None else name
    faults = find_faults({"name": name, "email": email}, Policy())
    if faults:
        raise ConfigError("; ".join(f"{fault.field}: {fault.detail}" for fault in faults))
    return CheckedUser(email_key(email), name, email, None, is_sso_user, None, None)
