"""Fill the index of words, which searches use, after the accounts are published."""

import math
import os
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import islice
from typing import NamedTuple

from anyscale.errors import StoreUnavailable
from anyscale.server.core.transactions import Transactions
from anyscale.server.store.records.search import IndexPlace
from anyscale.server.store.transaction import Transaction
from anyscale.server.store.word_rows import SegmentWords, WordRow

#: Accounts of a segment. Their words are written in the order of the table: the more accounts, the
#: more words belong on the same page of the database, and the more memory they take.
_SEGMENT = 10_000

#: Accounts of the segment after a lost lease. A change of an account takes the lease away, and a
#: short segment finishes between two changes.
_SHORT_SEGMENT = 300

#: accounts that are read at once, and words of a slice, which take some milliseconds each
_PART = _SLICE = 2_000

#: While there are requests, parts and slices are so many times smaller: a request that comes
#: during one waits for its end.
_BUSY_DIVISOR = 4

#: Seconds between two slices, for the reason of `pause_between_slices`. There are more slices than
#: those of other work, and they are shorter.
_PAUSE = 0.0005

#: The share of the time in which the index is filled if requests never end: the interpreter runs
#: one or the other. Until then searches list the accounts without words last. How long a million of
#: them take is in docs/decisions/README.md (24).
_BUSY_SHARE = 0.05

#: Seconds that a slice waits at most until the requests end. It is less than `_LEASE_MS`, so
#: that two busy servers do not take the lease from each other.
_LONGEST_PAUSE = 0.2

#: seconds between two checks whether there are still requests
_POLL_SECONDS = 0.01

#: Milliseconds of the lease: for so long after a slice no other process fills the index, unless the
#: lease was returned. It is more than reading a segment takes: some four seconds, with the longest
#: pause after each part.
_LEASE_MS = 10_000

#: How long after a slice of an undo no process fills the index: filling would lock the writer to
#: add words that the next slices remove.
_DEFER_MS = 3_000

#: Seconds that returning the lease waits for each lock of other transactions, about. If they take
#: longer, it runs out. The wait for a connection to PostgreSQL has its own, longer limits.
_RETURN_PATIENCE = 0.5


def defer_filling(tx: Transaction) -> None:
    """Let no process fill the index for some seconds: accounts are being deleted."""
    tx.words.defer(tx.now() + _DEFER_MS)


class Segment(NamedTuple):
    """The accounts after the first place, up to the second one: they get their words together."""

    after: IndexPlace
    end: IndexPlace
    #: whether they may have some of their words, since an earlier segment was left unfinished
    may_have_words: bool


class SearchIndex:
    """Gives the accounts their words, in the order in which their batches were published.

    Any number of processes may try to fill the index, and each may be killed: one of them has the
    lease, and returns it when it stops filling, unless the database fails. A segment of accounts
    gets its words in several transactions; the last one moves the watermark past them. A segment
    that was left unfinished is filled again, and the words that it has already stay.
    """

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions
        self._holder = os.urandom(8).hex()
        self._filling = threading.Lock()
        #: whether the previous segment was left unfinished, since its lease was lost
        self._lost_lease = False

    def fill(
        self, seconds: float = math.inf, *, is_busy: Callable[[], bool] = lambda: False
    ) -> None:
        """Fill the index until all accounts have words, another process fills it, or time is up.

        It also finishes the segment in which the time ends: that takes half a second, or some ten
        seconds if `is_busy` is true all the time. If another thread fills the index already, this
        returns at once.

        Args:
            seconds: after these, it begins no more segments.
            is_busy: returns whether there are requests, which go first.

        Raises:
            StoreUnavailable: the database fails, other transactions write all the time, or the
                store is closed.
        """
        deadline = time.monotonic() + seconds
        # `_is_filled` only reads: a full index costs no write lock.
        if self._is_filled() or not self._filling.acquire(blocking=False):
            return
        try:
            self._fill_segments(deadline, _Throttle(is_busy))
        finally:
            self._filling.release()

    def count_unindexed(self) -> int:
        """Return how many accounts have no words yet: an estimate, see `UnindexedAccounts`."""
        with self._transactions.read() as tx:
            return tx.unindexed.count(tx.words.get_state().watermark)

    def _is_filled(self) -> bool:
        with self._transactions.read() as tx:
            watermark = tx.words.get_state().watermark
            return tx.unindexed.find_end(watermark, 1) == watermark

    def _fill_segments(self, deadline: float, throttle: "_Throttle") -> None:
        is_failing = False
        try:
            while self._fill_segment(deadline, throttle) and time.monotonic() < deadline:
                throttle.pause()
        except StoreUnavailable:
            # Another transaction may wait a minute until it fails too, and a shutdown for its end.
            is_failing = True
            raise
        finally:  # also after another error or an interrupt
            if not is_failing:
                self._return_lease()

    def _return_lease(self) -> None:
        """Let the next process fill the index at once, if this one still has the lease."""
        with suppress(StoreUnavailable):
            with self._transactions.read() as tx:
                if tx.words.get_state().holder != self._holder:
                    return
            with self._transactions.write_unattended(
                "search index", durable=False, patience=_RETURN_PATIENCE, is_slice=True
            ) as tx:
                if tx.words.lock().holder == self._holder:
                    tx.words.defer(0)

    def _fill_segment(self, deadline: float, throttle: "_Throttle") -> bool:
        """Give words to the next accounts; return whether there may be more for this process."""
        segment = self._lease_segment(_patience(deadline))
        if segment is None:
            return False
        rows = self._read(segment, throttle).rows()
        has_lease = True
        while has_lease and (part := list(islice(rows, throttle.size(_SLICE)))):
            has_lease = self._write(segment, part, _patience(deadline))
            throttle.pause()
        is_done = has_lease and self._finish(segment, _patience(deadline))
        self._lost_lease = not is_done
        return True

    def _lease_segment(self, patience: float | None) -> Segment | None:
        """Take the lease, and the next accounts as the segment; return None if there are none.

        It is also None if another process has the lease.
        """
        with self._transactions.write_unattended(
            "search index", durable=False, patience=patience, is_slice=True
        ) as tx:
            state, now = tx.words.lock(), tx.now()
            # A lease that is longer than any was written while the clock was ahead.
            if state.holder != self._holder and now < state.until <= now + _LEASE_MS:
                return None
            length = _SHORT_SEGMENT if self._lost_lease else _SEGMENT
            end = tx.unindexed.find_end(state.watermark, length)
            if end == state.watermark:
                return None
            # A segment that was left unfinished may end later than this one.
            tx.words.lease(max(end, state.end), self._holder, now + _LEASE_MS)
            return Segment(state.watermark, end, may_have_words=state.end > state.watermark)

    def _read(self, segment: Segment, throttle: "_Throttle") -> SegmentWords:
        # A transaction that changes one of these accounts from now on ends the lease, so that no
        # words of old texts are written.
        words, end = SegmentWords(), segment.after
        while end < segment.end:
            with self._transactions.read() as tx:
                accounts, end = tx.unindexed.list(end, throttle.size(_PART))
            words.add(account for account in accounts if account.place <= segment.end)
            throttle.pause()
        return words

    def _write(self, segment: Segment, rows: Sequence[WordRow], patience: float | None) -> bool:
        """Write words of the segment; return False if this process has lost the lease."""
        # Not durable: slices that a power cut undoes are written again.
        with self._transactions.write_unattended(
            "search index", durable=False, patience=patience, is_slice=True
        ) as tx:
            has_lease = self._lock(tx, segment)
            if has_lease:
                add = tx.words.add_missing if segment.may_have_words else tx.words.add
                add(rows)
                tx.words.renew_lease(tx.now() + _LEASE_MS)
        return has_lease

    def _finish(self, segment: Segment, patience: float | None) -> bool:
        with self._transactions.write_unattended(
            "search index", durable=False, patience=patience, is_slice=True
        ) as tx:
            has_lease = self._lock(tx, segment)
            if has_lease:
                tx.words.finish(segment.end)
        return has_lease

    def _lock(self, tx: Transaction, segment: Segment) -> bool:
        """Lock the watermark; return whether this process still has the lease of the segment."""
        state = tx.words.lock()
        return (state.holder, state.watermark) == (self._holder, segment.after)


def _patience(deadline: float) -> float | None:
    return None if math.isinf(deadline) else max(deadline - time.monotonic(), 0)


class _Throttle:
    """Slows the filling down while there are requests, but not below its share of the time.

    Args:
        is_busy: returns whether there are requests.
    """

    def __init__(self, is_busy: Callable[[], bool]) -> None:
        self._is_busy = is_busy
        self._resumed_at = time.monotonic()

    def size(self, usual: int) -> int:
        """Return how much to do before the next pause."""
        return max(usual // _BUSY_DIVISOR, 1) if self._is_busy() else usual

    def pause(self) -> None:
        """Wait until the requests end, or until the work since the last pause is its share."""
        now = time.monotonic()
        end = now + min((now - self._resumed_at) * (1 / _BUSY_SHARE - 1), _LONGEST_PAUSE)
        time.sleep(_PAUSE)
        while self._is_busy() and time.monotonic() < end:
            time.sleep(_POLL_SECONDS)
        self._resumed_at = time.monotonic()
