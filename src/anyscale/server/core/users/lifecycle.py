"""The life of an account: suspended, restored, deleted, and whether it is an owner's."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from msgspec import Struct

from anyscale.errors import LastOwner, NotFound
from anyscale.server.core.audit import log as audit
from anyscale.server.core.authorization import Principal, require_owner
from anyscale.server.store.interface import AccountRecord, Store, Transaction

__all__ = ["UserLifecycle", "known_account"]


class UserLifecycle:
    """What owners do with accounts. Each call is the same when it is repeated.

    All of them raise `NotFound` for an account that there is not, and `NotAuthenticated` or
    `NotPermitted` where the caller has lost the right to it.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def suspend(self, user_id: str, caller: Principal) -> None:
        """Keep a person out: no sign-in, no session, no token of the person's own.

        Raises:
            LastOwner: nobody else is an owner.
        """
        with self._held(user_id, caller) as held:
            if held.account.suspended_at is not None:
                return
            held.require_another_owner()
            held.rows.suspend(user_id, held.rows.now())
            _end_ways_in(held.rows, user_id)
            audit.append(held.rows, caller.actor, "account.suspended", user_id, {})

    def restore(self, user_id: str, caller: Principal) -> None:
        """Let a person in again, with the password and the tokens of before."""
        with self._held(user_id, caller) as held:
            if held.account.suspended_at is None:
                return
            held.rows.suspend(user_id, None)
            audit.append(held.rows, caller.actor, "account.restored", user_id, {})

    def delete(self, user_id: str, caller: Principal) -> None:
        """Erase a person: all that is kept of the account, but for its id in the trail.

        Raises:
            LastOwner: nobody else is an owner.
        """
        with self._held(user_id, caller) as held:
            held.require_another_owner()
            _end_ways_in(held.rows, user_id)
            held.rows.remove_account(user_id)
            audit.append(held.rows, caller.actor, "account.deleted", user_id, {})

    def set_role(self, user_id: str, role: str, caller: Principal) -> None:
        """Make an account an owner's or a collaborator's.

        Its sessions end: whoever signs in again finds what the new role may do.

        Args:
            user_id: whose.
            role: `owner` or `collaborator`.
            caller: who does it.

        Raises:
            LastOwner: nobody else is an owner.
        """
        with self._held(user_id, caller) as held:
            if held.account.permission_level == role:
                return
            held.require_another_owner()
            held.rows.set_level(user_id, role)
            _end_ways_in(held.rows, user_id)
            audit.append(held.rows, caller.actor, "account.role_set", user_id, {"role": role})

    @contextmanager
    def _held(self, user_id: str, caller: Principal) -> Iterator["_Held"]:
        with self._store.write() as rows:
            # Before any account, the caller's own too: whoever waits for another one then holds
            # nothing that the other one waits for.
            owners = rows.hold_owners()
            require_owner(rows, caller, [user_id])
            yield _Held(rows, known_account(rows, user_id), owners)


class _Held(Struct, frozen=True):
    """An account that nobody else changes until the transaction ends."""

    rows: Transaction
    account: AccountRecord
    #: the owners who are not suspended
    owners: Sequence[str]

    def require_another_owner(self) -> None:
        if self.owners == [self.account.user_id]:
            raise LastOwner(
                "this is the last owner, without whom nobody could administer the accounts: "
                "make another one an owner first"
            )


def _end_ways_in(rows: Transaction, user_id: str) -> None:
    """End what was given to somebody who is another one now, and what that one gave to others."""
    rows.end_sessions(user_id)
    rows.remove_links(user_id=user_id, by=f"user:{user_id}")


def known_account(rows: Transaction, user_id: str) -> AccountRecord:
    """Give an account; in a transaction that writes, hold it.

    Raises:
        NotFound: there is none with this id.
    """
    account = rows.account(user_id=user_id)
    if account is None:
        raise NotFound(f"there is no user {user_id}")
    return account
