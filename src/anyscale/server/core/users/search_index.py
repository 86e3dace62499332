"""Filling the index of words, by which searches find accounts, after they are published."""

import math
import os
import threading
import time
from collections.abc import Callable, Sequence
from itertools import islice
from typing import NamedTuple

from anyscale.server.store.interface import Store, Transaction
from anyscale.server.store.search_records import Place
from anyscale.server.store.word_rows import SegmentWords, WordRow

__all__ = ["SearchIndex", "Segment"]

#: Accounts of a segment, whose words are written in the order of their table: the more, the more of
#: them belong on each page of it, and the more memory they take.
_SEGMENT = 10_000

#: accounts of a segment after one that others have interrupted, so that they cannot do so for long
_SHORT_SEGMENT = 300

#: accounts that are read at once, and words of a slice, which take some milliseconds each
_PART = _SLICE = 2_000

#: While there are requests, these are so many times smaller: a request that comes meanwhile waits
#: for the end of one.
_FINER = 4

#: Seconds between two slices. Threads take turns by themselves, but another process that waits for
#: a SQLite file only looks now and then whether it is free.
_PAUSE = 0.0005

#: The part of the time in which the index is filled if requests never end. Both need the same
#: interpreter. A million accounts then take some ten minutes, in which searches find them last.
_SHARE = 0.05

#: Seconds for which a slice waits for the requests to end, whatever its share, and between two
#: looks at them. It is less than `_LEASE_MS`, so that two busy servers do not take turns.
_LONGEST_PAUSE, _LOOK = 0.2, 0.01

#: Milliseconds for which other processes leave the filling to the one that wrote the last slice. It
#: is more than reading a segment takes: some four seconds, with the longest pause after each part.
_LEASE_MS = 5_000


class Segment(NamedTuple):
    """The accounts behind the first place up to the second one, which get their words together."""

    after: Place
    end: Place
    #: whether an earlier segment was left half done, so that they may have some of their words
    has_words: bool


class SearchIndex:
    """Gives the accounts their words, in the order in which their batches were published.

    Any number of processes may fill at once, and each may be killed. A segment of accounts gets its
    words in several transactions; the last one moves the watermark behind them. A segment that is
    left half done is done again, and the words that it has already stay.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._holder = os.urandom(8).hex()
        self._filling = threading.Lock()
        self._is_interrupted = False

    def fill(
        self, seconds: float = math.inf, *, is_busy: Callable[[], bool] = lambda: False
    ) -> None:
        """Fill the index until all accounts have words, another process fills it, or time is up.

        A segment that is begun is finished, also after that time. It takes half a second, or some
        ten seconds if `is_busy` is true all the time. If another thread fills the index already,
        this returns at once.

        Args:
            seconds: when time is up.
            is_busy: returns whether there are requests, which go first.

        Raises:
            StoreUnavailable: the database fails, others write all the time, or it is closed
                meanwhile.
        """
        deadline = time.monotonic() + seconds
        # By a transaction that locks nothing.
        if self._is_filled() or not self._filling.acquire(blocking=False):
            return
        pace = _Pace(is_busy)
        try:
            while self._fill_segment(deadline, pace) and time.monotonic() < deadline:
                pace.pause()
        finally:
            self._filling.release()

    def count_unindexed(self) -> int:
        """Return how many accounts have no words yet: an estimate, see `Words`."""
        with self._store.read() as tx:
            return tx.words.count_unindexed()

    def _is_filled(self) -> bool:
        with self._store.read() as tx:
            watermark = tx.words.get_state().watermark
            return tx.words.list_unindexed(watermark, 1)[1] == watermark

    def _fill_segment(self, deadline: float, pace: "_Pace") -> bool:
        """Give words to the next accounts; return whether there may be more for this process."""
        segment = self._begin(_patience(deadline))
        if segment is None:
            return False
        rows = self._read(segment, pace).rows()
        is_mine = True
        while is_mine and (part := list(islice(rows, pace.size(_SLICE)))):
            is_mine = self._write(segment, part, _patience(deadline))
            pace.pause()
        is_done = is_mine and self._finish(segment, _patience(deadline))
        self._is_interrupted = not is_done
        return True

    def _begin(self, patience: float | None) -> Segment | None:
        """Take the index, and mark the next accounts as those of the segment."""
        with self._store.write(durable=False, patience=patience, is_slice=True) as tx:
            state, now = tx.words.lock(), tx.now()
            if state.holder != self._holder and state.until > now:
                return None
            length = _SHORT_SEGMENT if self._is_interrupted else _SEGMENT
            end = tx.words.find_end(state.watermark, length)
            if end == state.watermark:
                return None
            # A segment that was left half done may end later than this one.
            tx.words.begin(max(end, state.end), self._holder, now + _LEASE_MS)
            return Segment(state.watermark, end, has_words=state.end > state.watermark)

    def _read(self, segment: Segment, pace: "_Pace") -> SegmentWords:
        # A transaction that changes one of these accounts from now on takes the index from this
        # process, so that no words of old texts are written.
        words, end = SegmentWords(), segment.after
        while end < segment.end:
            with self._store.read() as tx:
                accounts, end = tx.words.list_unindexed(end, pace.size(_PART))
            words.add(account for account in accounts if account.place <= segment.end)
            pace.pause()
        return words

    def _write(self, segment: Segment, rows: Sequence[WordRow], patience: float | None) -> bool:
        """Write words of the segment; return False if others have taken the index."""
        # Slices that a power cut undoes are written again.
        with self._store.write(durable=False, patience=patience, is_slice=True) as tx:
            is_mine = self._lock(tx, segment)
            if is_mine:
                add = tx.words.add_missing if segment.has_words else tx.words.add
                add(rows)
                tx.words.prolong(tx.now() + _LEASE_MS)
        return is_mine

    def _finish(self, segment: Segment, patience: float | None) -> bool:
        with self._store.write(durable=False, patience=patience, is_slice=True) as tx:
            is_mine = self._lock(tx, segment)
            if is_mine:
                tx.words.finish(segment.end)
        return is_mine

    def _lock(self, tx: Transaction, segment: Segment) -> bool:
        """Lock the watermark; return whether the segment is still that of this process."""
        state = tx.words.lock()
        return (state.holder, state.watermark) == (self._holder, segment.after)


def _patience(deadline: float) -> float | None:
    return None if math.isinf(deadline) else max(deadline - time.monotonic(), 0)


class _Pace:
    """Lets requests go before the work of a thread, and gives the thread its share of the time.

    Args:
        is_busy: returns whether there are requests.
    """

    def __init__(self, is_busy: Callable[[], bool]) -> None:
        self._is_busy = is_busy
        self._resumed_at = time.monotonic()

    def size(self, usual: int) -> int:
        """Return how much to do before the next pause."""
        return max(usual // _FINER, 1) if self._is_busy() else usual

    def pause(self) -> None:
        """Wait for the end of the requests, or until the work since the last pause is the share."""
        now = time.monotonic()
        end = now + min((now - self._resumed_at) * (1 / _SHARE - 1), _LONGEST_PAUSE)
        time.sleep(_PAUSE)
        while self._is_busy() and time.monotonic() < end:
            time.sleep(_LOOK)
        self._resumed_at = time.monotonic()
