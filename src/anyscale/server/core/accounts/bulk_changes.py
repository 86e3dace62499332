"""Suspending and restoring many accounts together, in slices of one transaction each.

The accounts that one form changes have its key, until their state is changed again: so the form can
be undone, and does nothing when it arrives twice.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Literal

from anyscale.server.core.audit.entries import Entry, append_entries
from anyscale.server.core.callers import Caller
from anyscale.server.core.permissions import Permission
from anyscale.server.core.transactions import Transactions, pause_between_slices
from anyscale.server.store.records.users import AccountRecord
from anyscale.server.store.transaction import Transaction

StateChange = Literal["suspend", "restore"]

_EVENTS = {"suspend": "account.suspended", "restore": "account.restored"}

#: accounts of a slice, which takes the writer for less than 50 ms
_SLICE = 500


class BulkChanges:
    """Changes that an owner makes to many accounts by one form. Owners' accounts stay as they are.

    Args:
        transactions: of the control plane.
        clock: returns seconds, from any moment on.
    """

    def __init__(
        self, transactions: Transactions, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._transactions = transactions
        self._clock = clock

    def change(
        self,
        change: StateChange,
        user_ids: Sequence[str],
        caller: Caller,
        key: str,
        *,
        seconds: float,
        as_before: bool = False,
    ) -> int:
        """Suspend or restore accounts, slice by slice; return how many of the ids were looked at.

        Those that are owners', have that state already or do not exist are passed over. A
        suspension by a sync becomes a manual one, as `UserLifecycle.suspend` says, and no undo of
        the form ends it.

        Args:
            change: what to do.
            user_ids: of the accounts.
            caller: an owner, whose sign-in is recent.
            key: of the form.
            seconds: after which no further slice begins. There is always one.
            as_before: see `UserLifecycle.suspend`.

        Raises:
            NotAuthenticated, NotPermitted, SignInTooOld: see `Transactions`; slices before may be
                done.
        """
        deadline = self._clock() + seconds
        for start in range(0, len(user_ids), _SLICE):
            if start and self._clock() >= deadline:
                return start
            if start:
                pause_between_slices()
            part = user_ids[start : start + _SLICE]
            self._change_slice(change, part, caller, key, as_before=as_before)
        return len(user_ids)

    def changed(self, change: StateChange, key: str) -> Sequence[str]:
        """Return the ids of the accounts that a form has changed, and nobody since."""
        with self._transactions.read() as tx:
            return tx.accounts.list_changed_with(key, suspended=change == "suspend")

    def _change_slice(
        self,
        change: StateChange,
        user_ids: Sequence[str],
        caller: Caller,
        key: str,
        *,
        as_before: bool,
    ) -> None:
        with self._transactions.write_after(
            lambda tx: tx.accounts.lock_owners(),
            caller,
            Permission.CHANGE_ACCOUNTS,
            user_ids,
            recent=True,
            is_slice=True,
        ) as (tx, _, locked):
            accounts = [locked[one] for one in user_ids if one in locked]
            changed = _with_state(accounts, suspended=change == "restore")
            by_hand = change == "suspend" and not as_before
            replaced = _with_state(accounts, suspended=True, by_sync=True) if by_hand else []
            every = changed + replaced
            if not every:
                return
            if by_hand:
                tx.accounts.set_all_by_hand(every)
            at = tx.now() if change == "suspend" else None
            tx.accounts.set_all_suspended(changed, at, key)
            if change == "suspend":
                _delete_sessions_and_links(tx, every)
            event = _EVENTS[change]
            append_entries(tx, [Entry(caller.actor, event, user_id, {}) for user_id in every])


def _with_state(
    accounts: Iterable[AccountRecord], *, suspended: bool, by_sync: bool = False
) -> list[str]:
    """Return the ids of accounts that are not owners'; with `by_sync`, of suspensions by a sync."""
    return [
        account.user_id
        for account in accounts
        if account.permission_level != "owner" and account.suspended == suspended
        if account.suspended_by_sync or not by_sync
    ]


def _delete_sessions_and_links(tx: Transaction, user_ids: Sequence[str]) -> None:
    """Delete sessions, links and mails of locked accounts, of which none is an owner's.

    Other than an owner, a collaborator has created no link of another account.
    """
    tx.sessions.delete_of(user_ids)
    tx.links.delete_of(user_ids)
    tx.outbox.delete_of(user_ids)
