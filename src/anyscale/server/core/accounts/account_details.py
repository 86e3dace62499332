"""One account with all that belongs to it, for owners."""

from collections.abc import Sequence

from msgspec import Struct

from anyscale.errors import NotFound
from anyscale.server.core.callers import is_live
from anyscale.server.core.transactions import Transactions
from anyscale.server.store.records.login import LinkRecord, SessionRecord
from anyscale.server.store.records.search import SignIn
from anyscale.server.store.records.users import AccountRecord

__all__ = ["AccountDetails", "AccountDetailsQuery"]


class AccountDetails(Struct, frozen=True):
    """An account, how its user can sign in, and where the user is signed in."""

    account: AccountRecord
    sign_in: SignIn
    #: to set the password; None unless one is open
    link: LinkRecord | None
    #: the latest first
    sessions: Sequence[SessionRecord]

    def __repr__(self) -> str:
        return f"AccountDetails({self.account!r})"


class AccountDetailsQuery:
    """Reads accounts one by one."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    def get(self, user_id: str) -> AccountDetails:
        """Return an account, or raise `NotFound`."""
        with self._transactions.read() as tx:
            now = tx.now()
            account = tx.accounts.get(user_id)
            found = tx.searched_users.get("", user_id)
            if account is None or not found:
                raise NotFound(f"there is no user {user_id}")
            return AccountDetails(
                account,
                found[0].sign_in,
                tx.links.find(user_id, now),
                [one for one in tx.sessions.list(user_id) if is_live(one, now)],
            )
