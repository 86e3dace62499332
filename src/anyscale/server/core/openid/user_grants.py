"""The applications to which a user has signed in, as the user sees and ends them."""

from collections.abc import Sequence
from urllib.parse import urlsplit

from msgspec import Struct

from anyscale.server.core.audit.entries import append_entry
from anyscale.server.core.callers import SessionCaller
from anyscale.server.core.openid.audience import is_allowed
from anyscale.server.core.transactions import Transactions
from anyscale.server.store.records.users import AccountRecord

#: Grants of a transaction. On SQLite 1,000 take the writer for some 100 ms.
_SLICE = 1_000


class UsedApplication(Struct, frozen=True):
    """An application to which a user has signed in."""

    client_id: str
    name: str
    #: when the user last signed in there: milliseconds since 1970
    last_used_at: int


class OfferedApplication(Struct, frozen=True):
    """An application that a user may open."""

    name: str
    #: an https URL
    address: str
    #: of this URL, with the port if it has one
    host: str


class UserGrants:
    """Lists and ends the grants of a user, and deletes those of all users that have ended."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    def list(self, user_id: str) -> list[UsedApplication]:
        """Return the applications with a code or token that works, the last used one first."""
        with self._transactions.read() as tx:
            last_used = tx.grants.last_used(user_id, tx.now())
            names = {one.client_id: one.name for one in tx.applications.list()}
        return [
            UsedApplication(client_id, names.get(client_id, client_id), at)
            for client_id, at in last_used.items()
        ]

    def offered(self, account: AccountRecord) -> Sequence[OfferedApplication]:
        """Return the applications with an address where a user may sign in, by name."""
        with self._transactions.read() as tx:
            return [
                OfferedApplication(one.name, one.address, urlsplit(one.address).netloc)
                for one in sorted(tx.applications.list(), key=lambda one: one.name.casefold())
                if one.address and is_allowed(tx, one, account)
            ]

    def purge(self) -> None:
        """Delete the grants where nothing works any more, in slices: there can be many."""
        purged = _SLICE
        while purged == _SLICE:
            with self._transactions.write_unattended("clean-up", is_slice=True) as tx:
                purged = tx.grants.purge(tx.now(), _SLICE)

    def revoke(self, caller: SessionCaller, client_id: str) -> None:
        """End what a user has granted to an application: its tokens work no more."""
        with self._transactions.write_own(caller) as (tx, account):
            if tx.grants.delete_all(user_id=account.user_id, client_id=client_id):
                data = {"client_id": client_id, "reason": "user"}
                append_entry(tx, caller.actor, "authorization.revoked", account.user_id, data)
