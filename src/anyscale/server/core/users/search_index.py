"""Filling the index of words, by which searches find accounts, behind publishing."""

import math
import os
import time
from collections.abc import Callable

from anyscale.server.store.interface import Store

__all__ = ["SearchIndex"]

#: accounts of a slice, which takes the writer for a few milliseconds
_SLICE = 300

#: Seconds between two slices. Threads take turns by themselves, but another process that waits for
#: a SQLite file only looks now and then whether it is free.
_PAUSE = 0.0005

#: Seconds for which a slice waits for the requests to end, and between two looks at them. Both need
#: the same interpreter, and an index may be filled later. It is less than `_LEASE_MS`, so that two
#: busy servers do not take turns.
_LONGEST_PAUSE, _LOOK = 0.5, 0.01

#: for which other processes leave the filling to the one that filled the last slice
_LEASE_MS = 1_000


class SearchIndex:
    """Gives the accounts their words, in the order in which their batches were published.

    Any number of processes may fill at once, and each may be killed: a slice of accounts gets its
    words in one transaction, which also moves the watermark behind them.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._holder = os.urandom(8).hex()

    def fill(
        self, seconds: float = math.inf, *, is_busy: Callable[[], bool] = lambda: False
    ) -> None:
        """Fill the index until all accounts have words, another process fills it, or time is up.

        Args:
            seconds: when time is up.
            is_busy: returns whether there are requests, which go first.

        Raises:
            StoreUnavailable: the database fails, others write all the time, or it is closed
                meanwhile.
        """
        deadline = time.monotonic() + seconds
        if self._is_filled():  # by a transaction that locks nothing
            return
        while self._fill_slice(deadline) and time.monotonic() < deadline:
            _pause(is_busy)

    def count_unindexed(self) -> int:
        """Return how many accounts have no words yet: an estimate, see `Words`."""
        with self._store.read() as tx:
            return tx.words.count_unindexed()

    def _is_filled(self) -> bool:
        with self._store.read() as tx:
            watermark = tx.words.get_state().watermark
            return tx.words.list_unindexed(watermark, 1)[1] == watermark

    def _fill_slice(self, deadline: float) -> bool:
        """Give words to the next accounts; return whether there may be more for this process."""
        patience = None if math.isinf(deadline) else max(deadline - time.monotonic(), 0)
        # Slices that a power cut undoes are filled again.
        with self._store.write(durable=False, patience=patience, is_slice=True) as tx:
            state, now = tx.words.lock(), tx.now()
            if state.holder != self._holder and state.until > now:
                return False
            accounts, end = tx.words.list_unindexed(state.watermark, _SLICE)
            if end == state.watermark:
                return False
            tx.words.fill(accounts, end, self._holder, now + _LEASE_MS)
        return True


def _pause(is_busy: Callable[[], bool]) -> None:
    end = time.monotonic() + _LONGEST_PAUSE
    time.sleep(_PAUSE)
    while is_busy() and time.monotonic() < end:
        time.sleep(_LOOK)
