"""The transactions of the services: each one that writes names its caller, or why it has none.

No service has the `Store`, so none can write without one of these methods. Each method checks the
caller in the transaction itself, since permissions end at any moment.
"""

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Literal, TypeVar

from anyscale.server.core.callers import (
    Caller,
    SessionCaller,
    SystemCaller,
    TokenCaller,
    check_permission,
    live_session,
)
from anyscale.server.core.permissions import Permission
from anyscale.server.core.steps import Step
from anyscale.server.store.records.users import AccountRecord
from anyscale.server.store.transaction import Store, Transaction

#: Why a transaction that writes has no caller to check.
Unattended = Literal[
    "access denied",  # the entry of a call that was refused
    "application",  # has authenticated by its secret, or proves itself by its code or token
    "clean-up",  # of what was stored long enough, by the server itself
    "last use",  # of a token or a session, which was checked a moment ago
    "mail",  # which was requested before, or follows from a change
    "progress",  # of a run, whose calls were checked
    "search index",  # which the server fills by itself
    "server key",  # which the first use creates, or the operator in place of another one
    "sign-in",  # by a password, a link or SSO: the user has no session yet
]

#: seconds
_PAUSE = 0.001

_Locked = TypeVar("_Locked")


def pause_between_slices() -> None:
    """Let another process write between two transactions of long work.

    Threads take turns at the writer's lock. Another process that waits for a SQLite file has no
    turn, and looks only now and then whether the file is free; it cannot be seen from here, so the
    file is left free for a moment.
    """
    time.sleep(_PAUSE)


class Transactions:
    """Opens the transactions of a store.

    The methods with a caller check that it still has a permission; `write_own` checks a user of any
    role. A permission that was checked cannot end before the transaction does. They raise:

    - `NotAuthenticated`: the token or the session is not valid any more.
    - `NotPermitted`: it does not have the permission.
    - `SignInTooOld`: the sign-in of the session is not recent.
    - `PasswordChangeNeeded`, `SecondFactorDue`: the user of the session has to do this step first.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def read(self) -> AbstractContextManager[Transaction]:
        """Start a transaction that reads one state of the database."""
        return self._store.read()

    @contextmanager
    def write_for(
        self,
        caller: Caller,
        permission: Permission,
        user_ids: Collection[str] = (),
        *,
        recent: bool = False,
    ) -> Iterator[tuple[Transaction, Mapping[str, AccountRecord]]]:
        """Write for a caller; give the locked accounts by id, those of `user_ids` among them.

        The account of a session or a personal token is locked with them, by one call, since two
        transactions that lock accounts one by one can deadlock. Any other token is locked.

        The sign-in of a session must be recent if one of `user_ids` is an owner's, so that a
        browser that was left open cannot lock the administrators out.

        Args:
            caller: who needs the permission.
            permission: what the caller needs.
            user_ids: the accounts that are to change.
            recent: whether the sign-in must be recent in any case. It is for what cannot be undone,
                or gives permissions to others.
        """
        with self._store.write() as tx:
            yield tx, _lock_and_check(tx, caller, permission, user_ids, recent=recent)

    @contextmanager
    def write_after(
        self,
        lock: Callable[[Transaction], _Locked],
        caller: Caller,
        permission: Permission,
        user_ids: Collection[str] | Callable[[_Locked], Collection[str]] = (),
        *,
        recent: bool = False,
        is_slice: bool = False,
    ) -> Iterator[tuple[Transaction, _Locked, Mapping[str, AccountRecord]]]:
        """Write as `write_for` does, after what has to be locked before any account.

        That is a batch or the owners: see `Transaction`. `lock` returns it, and `user_ids` may
        depend on it.
        """
        with self._store.write(is_slice=is_slice) as tx:
            locked = lock(tx)
            ids = user_ids(locked) if callable(user_ids) else user_ids
            yield tx, locked, _lock_and_check(tx, caller, permission, ids, recent=recent)

    @contextmanager
    def write_shared(
        self,
        lock: Callable[[Transaction], _Locked],
        caller: Caller,
        permission: Permission,
        *,
        is_slice: bool = False,
    ) -> Iterator[tuple[Transaction, _Locked]]:
        """Write a part of long work for a caller, after what `lock` locks and returns.

        The parts of one caller share its lock: they do not wait for each other, as they would with
        the locks of `write_for`.
        """
        with self._store.write(is_slice=is_slice) as tx:
            locked = lock(tx)
            _share_and_check(tx, caller, permission)
            yield tx, locked

    @contextmanager
    def write_own(
        self, caller: SessionCaller, allowed: Collection[Step] = (), *, recent: bool = False
    ) -> Iterator[tuple[Transaction, AccountRecord]]:
        """Write what users do to their own account, as owners or not; give the locked account.

        The user need not have done the steps that are allowed. With `recent`, the sign-in must be
        recent.
        """
        with self._store.write() as tx:
            tx.accounts.lock(_own_account(caller))
            current = live_session(tx, caller.session.hash)
            current.refuse_pending(allowed)
            if recent:
                current.require_recent_sign_in(caller.at)
            yield tx, current.account

    def write_unattended(
        self,
        _reason: Unattended,
        /,
        *,
        durable: bool = True,
        patience: float | None = None,
        is_slice: bool = False,
    ) -> AbstractContextManager[Transaction]:
        """Write without a caller, as `Store.write` does; the reason is for the reader."""
        return self._store.write(durable=durable, patience=patience, is_slice=is_slice)


def _lock_and_check(
    tx: Transaction,
    caller: Caller,
    permission: Permission,
    user_ids: Collection[str],
    *,
    recent: bool,
) -> Mapping[str, AccountRecord]:
    to_lock = {*_own_account(caller), *user_ids}
    locked = tx.accounts.lock(to_lock) if to_lock else {}
    _share_token(tx, caller)
    changed = [locked[user_id] for user_id in user_ids if user_id in locked]
    is_of_owner = any(account.permission_level == "owner" for account in changed)
    check_permission(tx, caller, permission, recent=recent or is_of_owner)
    return locked


def _share_and_check(tx: Transaction, caller: Caller, permission: Permission) -> None:
    _share_token(tx, caller)
    for user_id in _own_account(caller):
        tx.accounts.lock_owner(user_id)
    check_permission(tx, caller, permission)


def _share_token(tx: Transaction, caller: Caller) -> None:
    """Lock a token without an account, which its caller's other transactions lock as well."""
    if isinstance(caller, TokenCaller) and not caller.account:
        tx.tokens.lock(caller.token.hash, exclusive=False)


def _own_account(caller: Caller) -> list[str]:
    """Return the id of the account of a caller, if it has one."""
    account = None if isinstance(caller, SystemCaller) else caller.account
    return [account.user_id] if account else []
