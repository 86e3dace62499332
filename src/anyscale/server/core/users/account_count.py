"""The number of accounts, for metrics: counted seldom, since that reads the whole table."""

import time

from anyscale.server.store.transaction import Store

__all__ = ["AccountCount"]

#: seconds for which a count is used
_EVERY = 60.0

#: Counting takes at most one part in so many of the time.
_SHARE = 100


class AccountCount:
    """The number of accounts as it was at most a minute ago, or longer if counting is slow."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._due = 0.0
        #: None before the first count
        self.value: int | None = None

    def refresh(self) -> None:
        """Count, if it is time.

        Raises:
            StoreUnavailable: the database fails.
        """
        started = time.monotonic()
        if started < self._due:
            return
        with self._store.read() as tx:
            self.value = tx.users.count()
        ended = time.monotonic()
        self._due = ended + max(_EVERY, _SHARE * (ended - started))
