"""The applications to which a user has signed in, as the user sees and ends them."""

from msgspec import Struct

from anyscale.server.core.audit.entries import append_entry
from anyscale.server.core.callers import SessionCaller, require_session
from anyscale.server.store.transaction import Store

__all__ = ["UsedApplication", "UserGrants"]


class UsedApplication(Struct, frozen=True):
    """An application to which a user has signed in."""

    client_id: str
    name: str
    #: when the user last signed in there: milliseconds since 1970
    last_used_at: int


class UserGrants:
    """Lists and ends the grants of a user."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def list(self, user_id: str) -> list[UsedApplication]:
        """Return the applications with grants of a user, the last used one first."""
        with self._store.read() as tx:
            grants = tx.grants.list(user_id)
            applications = tx.applications.list()
        names = {application.client_id: application.name for application in applications}
        used: dict[str, UsedApplication] = {}
        for grant in grants:  # the latest first
            name = names.get(grant.client_id, grant.client_id)
            used.setdefault(
                grant.client_id, UsedApplication(grant.client_id, name, grant.created_at)
            )
        return list(used.values())

    def revoke(self, caller: SessionCaller, client_id: str) -> None:
        """End what a user has granted to an application: its tokens work no more."""
        with self._store.write() as tx:
            account = require_session(tx, caller)
            if tx.grants.delete_all(user_id=account.user_id, client_id=client_id):
                data = {"client_id": client_id, "reason": "user"}
                append_entry(tx, caller.actor, "authorization.revoked", account.user_id, data)
