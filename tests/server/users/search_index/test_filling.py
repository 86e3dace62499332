"""Filling the index of words: behind publishing, by any number of processes, through any crash."""

import itertools
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from operator import itemgetter
from typing import Any

import pytest
from tests.server.users.search_index.accounts import JANE, create, fill_all, ids_of
from tests.support.databases.indexed_words import indexed_words, words_of_accounts
from tests.support.servers.control_planes import Deployment

from anyscale.domain.models.users import UserChanges
from anyscale.domain.user_query import UserQuery
from anyscale.errors import StoreUnavailable
from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.search import index as search_index
from anyscale.server.core.search.index import SearchIndex
from anyscale.server.core.transactions import Transactions
from anyscale.server.store.sql.search.user_words import Words
from anyscale.server.store.transaction import Transaction
from anyscale.server.store.word_rows import WordRow

pytestmark = pytest.mark.both_stores


def test_filling_gives_all_accounts_their_words(control_plane: ControlPlane) -> None:
    for key, count in (("a", 7), ("b", 1), ("c", 3)):
        create(control_plane, count, key)
    control_plane.batches.open(JANE, "open", "fail")
    assert control_plane.search_index.count_unindexed() == 11
    control_plane.search_index.fill()
    assert control_plane.search_index.count_unindexed() == 0
    assert len(indexed_words(control_plane.store)) > 11
    assert indexed_words(control_plane.store) == words_of_accounts(control_plane.store)


def test_each_page_of_a_search_says_how_many_accounts_it_does_not_find_by_words(
    control_plane: ControlPlane,
) -> None:
    create(control_plane, 9)
    query = UserQuery(search="jane")
    first = control_plane.listing.page(query, "", 2)
    control_plane.search_index.fill()
    # It looks where its first page did, whatever has been indexed meanwhile.
    second = control_plane.listing.page(query, str(first.cursor), 2)
    assert (first.unindexed, second.unindexed) == (9, 9)
    assert control_plane.listing.page(query, "", 2).unindexed == 0


def test_filling_stops_when_its_time_is_up_and_goes_on_where_it_stopped(
    control_plane: ControlPlane,
) -> None:
    create(control_plane, 9)
    left = [9]
    while left[-1]:
        control_plane.search_index.fill(0)
        left.append(control_plane.search_index.count_unindexed())
    assert left == [9, 6, 3, 0]
    assert indexed_words(control_plane.store) == words_of_accounts(control_plane.store)


def test_a_slice_waits_for_the_requests_that_are_in_progress(
    control_plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search_index, "_BUSY_SHARE", 1e-9)
    monkeypatch.setattr(search_index, "_LONGEST_PAUSE", 600)
    create(control_plane, 9)
    written = []

    def is_busy() -> bool:
        written.append(len(indexed_words(control_plane.store)))
        return written.count(5) in range(1, 4)  # behind the first slice, until it was asked thrice

    control_plane.search_index.fill(is_busy=is_busy)
    assert written.count(5) == 5  # three looks, the one after which it continues, and the slice's
    assert control_plane.search_index.count_unindexed() == 0


def test_slices_are_smaller_while_there_are_requests(
    control_plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search_index, "_SLICE", 8)
    monkeypatch.setattr(search_index, "_LONGEST_PAUSE", 0)
    sizes: list[int] = []

    def add(words: Words, rows: Sequence[WordRow], original: Any = Words.add) -> None:
        sizes.append(len(rows))
        original(words, rows)

    monkeypatch.setattr(Words, "add", add)
    create(control_plane, 9)
    control_plane.search_index.fill(0)
    assert max(sizes) == 8
    sizes.clear()
    control_plane.search_index.fill(0, is_busy=lambda: True)
    assert max(sizes) == 2


def test_the_words_of_a_segment_are_written_in_the_order_of_the_table(
    control_plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So many of them belong on each page of it: otherwise a million accounts take minutes."""
    written: list[WordRow] = []

    def add(words: Words, rows: Sequence[WordRow], original: Any = Words.add) -> None:
        written.extend(rows)
        original(words, rows)

    monkeypatch.setattr(Words, "add", add)
    create(control_plane, 9)
    control_plane.search_index.fill(0)
    assert control_plane.search_index.count_unindexed() == 6
    assert len({word for word, *_ in written}) > 3
    assert written == sorted(written, key=itemgetter(1, 0, 2, 3))


@pytest.mark.parametrize("change", ["delete", "rename"])
def test_a_segment_begins_again_if_an_account_is_changed_that_was_read(
    control_plane: ControlPlane, change: str
) -> None:
    ids = ids_of(control_plane, create(control_plane, 9))
    words = []

    def is_busy() -> bool:
        words.append(indexed_words(control_plane.store))
        if words[-1] and not words[-2]:  # in the middle of a segment
            if change == "delete":
                control_plane.lifecycle.delete(JANE, ids[1])
            else:
                control_plane.updates.update(JANE, ids[1], UserChanges(name="Wolke"))
        return False

    control_plane.search_index.fill(is_busy=is_busy)
    assert control_plane.search_index.count_unindexed() == 0
    assert indexed_words(control_plane.store) == words_of_accounts(control_plane.store)


def test_another_thread_leaves_the_filling_to_the_first_one(control_plane: ControlPlane) -> None:
    create(control_plane, 9)
    index, slices = SearchIndex(control_plane.transactions), 0

    def is_busy() -> bool:
        nonlocal slices
        slices += 1
        with ThreadPoolExecutor(1) as pool:
            before = indexed_words(control_plane.store)
            pool.submit(index.fill).result(30)
            assert indexed_words(control_plane.store) == before
        return False

    index.fill(is_busy=is_busy)
    assert slices > 9
    assert indexed_words(control_plane.store) == words_of_accounts(control_plane.store)


class Clock:
    """A clock that only sleeping and working move."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.mark.parametrize(("longest_pause", "share"), [(600, 0.05), (0.2, 1 / 1.2)])
def test_requests_without_end_leave_the_filling_a_share_of_the_time(
    control_plane: ControlPlane, monkeypatch: pytest.MonkeyPatch, longest_pause: float, share: float
) -> None:
    clock, add, slices = Clock(), Words.add, 0

    def add_in_a_second(words: Words, rows: Sequence[WordRow]) -> None:
        nonlocal slices
        add(words, rows)
        clock.sleep(1)
        slices += 1

    monkeypatch.setattr(search_index, "_LONGEST_PAUSE", longest_pause)
    monkeypatch.setattr(search_index, "time", clock)
    monkeypatch.setattr(Words, "add", add_in_a_second)
    create(control_plane, 9)
    control_plane.search_index.fill(is_busy=lambda: True)
    assert control_plane.search_index.count_unindexed() == 0
    assert slices / clock.now == pytest.approx(share, rel=0.05)


def test_another_process_leaves_the_filling_to_the_first_one_until_its_lease_runs_out(
    control_plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search_index, "_LEASE_MS", 600_000)  # they are not over by themselves
    create(control_plane, 9)
    first, second = SearchIndex(control_plane.transactions), SearchIndex(control_plane.transactions)
    left = []

    def is_busy() -> bool:
        second.fill(0)
        with control_plane.store.read() as tx:
            left.append((tx.words.get_state().until - tx.now(), second.count_unindexed()))
        return False

    first.fill(0, is_busy=is_busy)
    assert control_plane.search_index.count_unindexed() == 6
    assert all(0 < lease <= search_index._LEASE_MS for lease, _ in left)
    assert {unindexed for _, unindexed in left} == {9}

    def is_killed() -> bool:
        with control_plane.store.write() as tx:  # as when these seconds are over
            tx.words.renew_lease(tx.now())
        second.fill(0)
        return False

    first.fill(0, is_busy=is_killed)
    assert control_plane.search_index.count_unindexed() == 0
    assert indexed_words(control_plane.store) == words_of_accounts(control_plane.store)


def test_a_process_that_stops_filling_leaves_the_rest_to_the_next_one_at_once(
    control_plane: ControlPlane,
) -> None:
    create(control_plane, 9)
    left = []
    for _ in range(3):
        SearchIndex(control_plane.transactions).fill(0)
        left.append(control_plane.search_index.count_unindexed())
    assert left == [6, 3, 0]


def fail_half_way(control_plane: ControlPlane, error: BaseException) -> None:
    """Create accounts, and fill the index until an error in the middle of the first segment."""
    create(control_plane, 9)

    def is_busy() -> bool:
        if indexed_words(control_plane.store):
            raise error
        return False

    with pytest.raises(type(error)):
        control_plane.search_index.fill(is_busy=is_busy)
    assert control_plane.search_index.count_unindexed() == 9


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ValueError("a bug")])
def test_a_process_whose_filling_is_stopped_leaves_the_rest_to_the_next_one_at_once(
    control_plane: ControlPlane, error: BaseException
) -> None:
    fail_half_way(control_plane, error)
    SearchIndex(control_plane.transactions).fill()
    assert control_plane.search_index.count_unindexed() == 0
    assert indexed_words(control_plane.store) == words_of_accounts(control_plane.store)


def test_a_process_whose_database_fails_leaves_the_rest_until_its_lease_runs_out(
    control_plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Returning the lease would wait for the database once more."""
    monkeypatch.setattr(search_index, "_LEASE_MS", 600_000)
    fail_half_way(control_plane, StoreUnavailable("no disk"))
    SearchIndex(control_plane.transactions).fill()
    assert control_plane.search_index.count_unindexed() == 9
    with control_plane.store.write() as tx:  # its lease runs out
        tx.words.renew_lease(tx.now())
    SearchIndex(control_plane.transactions).fill()
    assert control_plane.search_index.count_unindexed() == 0
    assert indexed_words(control_plane.store) == words_of_accounts(control_plane.store)


def test_a_process_that_stops_does_not_end_the_pause_for_an_undo(
    control_plane: ControlPlane,
) -> None:
    create(control_plane, 9)

    def is_busy() -> bool:
        with control_plane.store.write() as tx:  # as an undo does
            tx.words.defer(tx.now() + 9_000)
        return False

    control_plane.search_index.fill(0, is_busy=is_busy)
    SearchIndex(control_plane.transactions).fill()
    assert control_plane.search_index.count_unindexed() == 9


def test_processes_that_fill_at_once_give_each_account_its_words_once(
    store_deployment: Deployment, control_plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four threads take each segment from one another, until one of them may finish them all."""
    monkeypatch.setattr(search_index, "_LEASE_MS", -1_000)  # nobody leaves it to another one
    leases = itertools.count(1)

    def lease(words: Words, *values: Any, original: Any = Words.lease) -> None:
        if next(leases) == 300:  # on PostgreSQL it may take thousands until they finish by luck
            monkeypatch.setattr(search_index, "_LEASE_MS", 10_000)
        original(words, *values)

    monkeypatch.setattr(Words, "lease", lease)
    create(control_plane, 30)
    with closing(store_deployment.control_plane()) as other, ThreadPoolExecutor(4) as pool:
        indexes = [SearchIndex(one.transactions) for one in (control_plane, other) * 2]
        list(pool.map(SearchIndex.fill, indexes))
    assert indexed_words(control_plane.store) == words_of_accounts(control_plane.store)


# Kills itself in front of a statement, or after the commit of a slice, as a power cut would.
KILLED_WHILE_FILLING = """
import os, sys
from pathlib import Path
from anyscale.server.core.search import index as search_index
from anyscale.server.core.transactions import Transactions
from anyscale.server.databases import open_store
from anyscale.server.settings import Settings
from anyscale.server.store.sql.search.unindexed_accounts import UnindexedAccounts
from anyscale.server.store.sql.search.user_words import Words

search_index._SEGMENT, search_index._SLICE = 3, 4
search_index._LEASE_MS = 100  # a short one, so that the next process need not wait for long
left, place = int(sys.argv[2]), sys.argv[3]

def killing(method, before):
    def call(self, *values):
        global left
        left -= 1
        if left == 0 and before:
            os.kill(os.getpid(), 9)
        found = method(self, *values)
        if left == 0:
            os.kill(os.getpid(), 9)
        return found
    return call

if place == "read":
    UnindexedAccounts.list = killing(UnindexedAccounts.list, True)
elif place == "leased":
    Words.lease = killing(Words.lease, False)
elif place == "written":
    Words.add = killing(Words.add, False)
elif place == "finished":
    Words.finish = killing(Words.finish, False)
else:
    index = search_index.SearchIndex
    name = "_fill_segment" if place == "committed" else "_write"
    setattr(index, name, killing(getattr(index, name), False))
url = sys.argv[1]
database = url if "://" in url else Path(url)
store = open_store(Settings(database=database), create=False)
search_index.SearchIndex(Transactions(store)).fill()
"""


@pytest.mark.parametrize(
    ("place", "when"),
    [("leased", 2), ("read", 3), ("written", 7), ("half", 8), ("finished", 2), ("committed", 2)],
)
def test_an_index_whose_filling_is_killed_is_filled_by_the_next_process(
    store_deployment: Deployment, place: str, when: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(store_deployment.control_plane()) as control_plane:
        create(control_plane, 20)
    address = str(store_deployment.database)
    script = [sys.executable, "-c", KILLED_WHILE_FILLING, address, str(when), place]
    assert subprocess.run(script, check=False).returncode == -9
    with closing(store_deployment.control_plane()) as control_plane:
        count = 20 - control_plane.search_index.count_unindexed()
        assert 3 <= count <= 6
        # Accounts up to the watermark have all their words, and those of one segment may have some.
        found, expected = indexed_words(control_plane.store), words_of_accounts(control_plane.store)
        assert [row for row in found if row[3] < count] == [
            row for row in expected if row[3] < count
        ]
        assert set(found) <= {row for row in expected if row[3] < count + 3}
        assert (len(found) > count * len(expected) / 20) == (place in {"half", "finished"})
        monkeypatch.setattr(search_index, "_LEASE_MS", 0)
        fill_all(control_plane, control_plane.search_index)
        assert indexed_words(control_plane.store) == words_of_accounts(control_plane.store)


def test_a_lease_that_was_written_by_a_clock_ahead_has_expired(
    control_plane: ControlPlane,
) -> None:
    create(control_plane, 3)
    with control_plane.store.write() as tx:
        tx.words.defer(tx.now() + 5_000)
    control_plane.search_index.fill()
    assert control_plane.search_index.count_unindexed() == 3  # an undo of now
    with control_plane.store.write() as tx:
        tx.words.defer(tx.now() + 3_600_000)
    control_plane.search_index.fill()
    assert control_plane.search_index.count_unindexed() == 0


def test_a_lease_has_run_out_at_its_end(
    control_plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    create(control_plane, 3)
    store, now = control_plane.store, 1_000_000
    write = store.write

    @contextmanager
    def write_now(**options: Any) -> Iterator[Transaction]:
        with write(**options) as tx:
            monkeypatch.setattr(tx, "now", lambda: now)
            yield tx

    monkeypatch.setattr(store, "write", write_now)
    assert SearchIndex(Transactions(store))._lease_segment(None)
    now += search_index._LEASE_MS - 1
    assert SearchIndex(Transactions(store))._lease_segment(None) is None
    now += 1
    assert SearchIndex(Transactions(store))._lease_segment(None)


def test_a_lease_that_another_process_takes_meanwhile_is_not_returned(
    control_plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    create(control_plane, 3)
    store = control_plane.store
    index, write = SearchIndex(Transactions(store)), store.write
    assert index._lease_segment(None)

    def write_after_another(**options: Any) -> Any:
        with write() as tx:
            state = tx.words.lock()
            tx.words.lease(state.end, "another", tx.now() + 9_000)
        return write(**options)

    monkeypatch.setattr(store, "write", write_after_another)
    index._return_lease()
    with store.read() as tx:
        state = tx.words.get_state()
        assert (state.holder, state.until > tx.now()) == ("another", True)


def test_the_segment_after_a_lost_lease_is_short(control_plane: ControlPlane) -> None:
    create(control_plane, 9)
    index = SearchIndex(control_plane.transactions)

    def is_busy() -> bool:
        with control_plane.store.write() as tx:  # as a change of an account of the segment
            tx.words.lock()
            tx.words.defer(0)
        return False

    index.fill(0, is_busy=is_busy)
    segment = index._lease_segment(None)
    assert segment
    with control_plane.store.read() as tx:
        accounts, _ = tx.unindexed.list(segment.after, 9)
    within = [account for account in accounts if account.place <= segment.end]
    assert len(within) == search_index._SHORT_SEGMENT
