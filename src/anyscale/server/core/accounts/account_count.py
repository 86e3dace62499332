"""The numbers of accounts: counted seldom, since that reads the whole table."""

import threading
import time
from typing import TYPE_CHECKING

from anyscale.server.core.transactions import Transactions

if TYPE_CHECKING:
    from collections.abc import Mapping

#: seconds that a count is used
_EVERY = 60.0

#: Counting takes at most one part in so many of the time.
_SHARE = 100


class AccountCount:
    """The numbers of accounts as they were at most a minute ago, or longer if counting is slow."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions
        self._counting = threading.Lock()
        self._due = 0.0
        #: by how their users can sign in; None before the first count
        self.by_sign_in: Mapping[str, int] | None = None
        #: those that are not suspended and have no second factor, and the owners among them
        self.without_second_factor: int = 0
        self.owners_without_second_factor: int = 0
        #: those whose hash another system has made: their users have not signed in since
        self.imported: int = 0
        #: when they were counted: milliseconds since 1970
        self.at: int = 0

    @property
    def value(self) -> int | None:
        """The number of all accounts; None before the first count."""
        return None if self.by_sign_in is None else sum(self.by_sign_in.values())

    @property
    def active(self) -> int | None:
        """The number of those that are not suspended; None before the first count."""
        counted = self.by_sign_in
        return None if counted is None else sum(counted.values()) - counted.get("suspended", 0)

    def refresh(self) -> None:
        """Count, if it is time, and if no other thread does so already.

        Raises:
            StoreUnavailable: the database fails.
        """
        if time.monotonic() < self._due or not self._counting.acquire(blocking=False):
            return
        try:
            self._count()
        finally:
            self._counting.release()

    def _count(self) -> None:
        started = time.monotonic()
        with self._transactions.read() as tx:
            counted, now = tx.users.count(), tx.now()
            active = sum(counted.values()) - counted.get("suspended", 0)
            self.without_second_factor = active - tx.factors.count_accounts()
            self.owners_without_second_factor = tx.factors.count_owners_without()
            self.imported = tx.accounts.count_imported()
        self.by_sign_in, self.at = counted, now
        ended = time.monotonic()
        self._due = ended + max(_EVERY, _SHARE * (ended - started))
