"""Suspending, restoring and deleting accounts, and changing their role."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from msgspec import Struct

from anyscale.domain.models.users import ExpectedUser
from anyscale.domain.schemas.users import Role
from anyscale.errors import AccountEdited, LastOwner, OwnerKept
from anyscale.server.core.accounts.update import require_expected
from anyscale.server.core.audit.entries import Entry, append_entries, append_entry
from anyscale.server.core.batches.conflicts import freed_since
from anyscale.server.core.callers import Caller, require_accounts, user_actor
from anyscale.server.core.mail.kinds import BECAME_OWNER
from anyscale.server.core.mail.outbox import Outbox, end_links
from anyscale.server.core.permissions import Permission
from anyscale.server.core.second_factor.policy import SecondFactorPolicy
from anyscale.server.core.tokens.api_tokens import revoke_all
from anyscale.server.core.transactions import Transactions
from anyscale.server.store.records.users import AccountRecord
from anyscale.server.store.transaction import Transaction


class UserLifecycle:
    """Changes that owners make to accounts. A repeated call changes nothing more.

    All methods raise `NotFound` for an account that does not exist, and `NotAuthenticated` or
    `NotPermitted` if the caller has lost its permission, or may not do so without a recent sign-in:
    see `Transactions.write_for`. All but `restore` raise `LastOwner` if the
    account is the only owner who is not suspended. With `keep_owner`, `suspend` and `restore` raise
    `OwnerKept` instead of changing an owner's account.

    An owner who is suspended, deleted or no longer an owner may have a copy of each link that the
    owner created, and could set the passwords of these people. So the unused ones end, and mails
    with links that are due are not sent; with `keep_links` both stay.
    """

    def __init__(
        self, transactions: Transactions, outbox: Outbox, policy: SecondFactorPolicy
    ) -> None:
        self._transactions = transactions
        self._outbox = outbox
        self._policy = policy

    def suspend(
        self,
        caller: Caller,
        user_id: str,
        *,
        keep_owner: bool = False,
        by_sync: bool = False,
        expected: ExpectedUser | None = None,
        key: str | None = None,
        as_before: bool = False,
        keep_links: bool = False,
    ) -> None:
        """Suspend an account: no sign-in, no session, no personal token works.

        A manual suspension replaces one by a sync, which only another sync takes back.

        Args:
            caller: who suspends it.
            user_id: of the account.
            keep_owner: whether to refuse the account of an owner.
            by_sync: whether a sync suspends it.
            expected: what the account must still be.
            key: of a form that suspends several accounts.
            as_before: whether it undoes a form that has restored the account, and leaves it to the
                syncs again if one had suspended it.
            keep_links: whether links that the user created for others stay.

        Raises:
            AccountEdited: a field has another value than expected; nothing is changed.
        """
        with self._lock(user_id, caller) as locked:
            account = locked.account
            data: dict[str, Any] = {"by_sync": True} if by_sync else {}
            by_sync = by_sync or (as_before and account.suspended_by_sync)
            if account.suspended and (by_sync or not account.suspended_by_sync):
                return
            if keep_owner:
                locked.refuse_owner()
            require_expected(account, expected)
            locked.require_another_owner()
            since = account.suspended_at or locked.tx.now()
            if account.suspended:
                key = None  # an undo of the form does not restore who was suspended before
            locked.tx.accounts.set_suspended(user_id, since, by_sync=by_sync, key=key)
            data |= locked.delete_sessions_and_links(keep_links=keep_links)
            locked.tx.outbox.delete(user_id=user_id)
            append_entry(locked.tx, caller.actor, "account.suspended", user_id, data)

    def restore(
        self,
        caller: Caller,
        user_id: str,
        *,
        keep_owner: bool = False,
        by_sync: bool = False,
        expected: ExpectedUser | None = None,
        key: str | None = None,
    ) -> None:
        """Restore a suspended account, with its former password and tokens.

        Raises:
            AccountEdited: a field has another value than expected; or a sync restores the account,
                and somebody has suspended it manually.
        """
        with self._lock(user_id, caller) as locked:
            if locked.account.suspended_at is None:
                return
            if keep_owner:
                locked.refuse_owner()
            if by_sync and not locked.account.suspended_by_sync:
                raise AccountEdited("the account was suspended manually since then")
            require_expected(locked.account, expected)
            was_by_sync = key is not None and locked.account.suspended_by_sync  # for the undo
            locked.tx.accounts.set_suspended(user_id, None, by_sync=was_by_sync, key=key)
            data = {"by_sync": True} if by_sync else {}
            append_entry(locked.tx, caller.actor, "account.restored", user_id, data)

    def delete(self, caller: Caller, user_id: str, *, keep_links: bool = False) -> None:
        """Delete an account and all data of the user. The audit log keeps the id.

        If the account was used, no other one gets its emails for `FREED_DAYS`: applications may
        know the user by one of them.
        """
        with self._lock(user_id, caller, recent=True) as locked:
            locked.require_another_owner()
            data = locked.delete_sessions_and_links(keep_links=keep_links)
            if locked.account.used_at is not None:
                locked.tx.emails.free(user_id, locked.tx.now(), freed_since(locked.tx))
            locked.tx.accounts.delete(user_id)
            append_entry(locked.tx, caller.actor, "account.deleted", user_id, data)

    def set_role(
        self, caller: Caller, user_id: str, role: Role, *, keep_links: bool = False
    ) -> None:
        """Make an account an `owner` or a `collaborator`.

        Its sessions and tokens are revoked: the user signs in again with the new permissions, and
        no program has more of them than before.
        """
        with self._lock(user_id, caller, Permission.CHANGE_ROLES, recent=True) as locked:
            if locked.account.permission_level == role:
                return
            locked.require_another_owner()
            locked.tx.accounts.set_role(user_id, role)
            locked.tx.accounts.mark_used(user_id, locked.tx.now())
            data = locked.delete_sessions_and_links(keep_links=keep_links)
            if role == "owner":
                self._policy.start_with_role(locked.tx, user_id, locked.tx.now())
                self._outbox.add_notice(locked.tx, BECAME_OWNER, user_id, caller.actor)
            entry = Entry(caller.actor, "account.role_set", user_id, {"role": role} | data)
            append_entries(locked.tx, [entry, *revoke_all(locked.tx, user_id, caller)])

    @contextmanager
    def _lock(
        self,
        user_id: str,
        caller: Caller,
        permission: Permission = Permission.CHANGE_ACCOUNTS,
        *,
        recent: bool = False,
    ) -> Iterator["_Locked"]:
        # The owners come before any account, the caller's own included. A transaction that waits
        # for an account then has no lock for which the transaction with that account waits.
        with self._transactions.write_after(
            lambda tx: tx.accounts.lock_owners(), caller, permission, [user_id], recent=recent
        ) as (tx, owners, found):
            (account,) = require_accounts(found, [user_id])
            yield _Locked(tx, account, owners)


class _Locked(Struct, frozen=True):
    """An account that is locked until the transaction ends."""

    tx: Transaction
    account: AccountRecord
    #: the owners who are not suspended
    owners: Sequence[str]

    def refuse_owner(self) -> None:
        if self.account.permission_level == "owner":
            raise OwnerKept("the account is an owner's: change the role first")

    def require_another_owner(self) -> None:
        if self.owners == [self.account.user_id]:
            raise LastOwner(
                "this is the last owner who is not suspended: make another user an owner first"
            )

    def delete_sessions_and_links(self, *, keep_links: bool) -> dict[str, Any]:
        """Delete sessions and links of the user, and perhaps the links that the user created.

        Only an owner has created links of others. Returns what the audit log says about these.
        """
        user_id = self.account.user_id
        self.tx.sessions.delete(user_id)
        if self.account.permission_level != "owner":
            end_links(self.tx, user_id=user_id)
            return {}
        by = user_actor(user_id)
        made = self.tx.links.count_made([by], self.tx.now())
        end_links(self.tx, user_id=user_id, by="" if keep_links else by)
        return {"links_kept" if keep_links else "links_ended": made} if made else {}
