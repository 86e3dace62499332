"""Filling the index of words: behind publishing, by any number of processes, through any crash."""

import logging
import random
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.databases.indexed_words import indexed_words, words_of_accounts
from tests.support.servers.control_planes import Deployment, new_control_plane
from tests.support.servers.http_client import HttpClient
from tests.support.servers.server_in_process import serve_in_process
from tests.support.users import checked_user
from tests.support.waiting import wait_until

from anyscale.api_schemas import UserQuery
from anyscale.errors import NotFound, StoreUnavailable
from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.authorization import Principal
from anyscale.server.core.batches import undo
from anyscale.server.core.users import search_index
from anyscale.server.core.users.search_index import SearchIndex
from anyscale.server.http.thread_pools import ThreadPools
from anyscale.user.models import UserChanges

JANE = Principal("local:jane")


@pytest.fixture
def plane(store_deployment: Deployment) -> Iterator[ControlPlane]:
    with closing(store_deployment.control_plane()) as plane:
        yield plane


@pytest.fixture(autouse=True)
def _slices_of_three(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search_index, "_SLICE", 3)
    monkeypatch.setattr(search_index, "_PAUSE", 0)
    monkeypatch.setattr(undo, "_DEFER_FILLING_MS", 0)


def create(plane: ControlPlane, count: int, key: str = "key") -> str:
    """Create accounts with a few common and a few rare words; return the id of their batch."""
    users = [
        checked_user(f"u{at}.{key}@example.com", name=f"Jane{at % 3} Ann von {key}{at}")
        for at in range(count)
    ]
    return plane.batches.create(key, users, "fail", JANE).batch.batch_id


def ids_of(plane: ControlPlane, batch_id: str) -> list[str]:
    return [user.user_id for user in plane.batches.created(batch_id, "", 10_000)]


def fill_all(plane: ControlPlane, index: SearchIndex) -> None:
    """Fill the index, also if another process has just filled some of it."""

    def is_filled() -> bool:
        index.fill()
        return plane.search_index.count_unindexed() == 0

    wait_until(is_filled)


def undo_all(plane: ControlPlane, batch_id: str) -> None:
    after: str | None = ""
    while after is not None:
        after = plane.batches.undo(batch_id, after, JANE, force=False, dry_run=False).after


def test_filling_gives_all_accounts_their_words(plane: ControlPlane) -> None:
    for key, count in (("a", 7), ("b", 1), ("c", 3)):
        create(plane, count, key)
    plane.batches.open("open", "fail", JANE)
    assert plane.search_index.count_unindexed() == 11
    plane.search_index.fill()
    assert plane.search_index.count_unindexed() == 0
    assert len(indexed_words(plane.store)) > 11
    assert indexed_words(plane.store) == words_of_accounts(plane.store)


def test_each_page_of_a_search_says_how_many_accounts_it_does_not_find_by_words(
    plane: ControlPlane,
) -> None:
    create(plane, 9)
    query = UserQuery(search="jane")
    first = plane.listing.page(query, "", 2)
    plane.search_index.fill()
    # It looks where its first page did, whatever has been indexed meanwhile.
    second = plane.listing.page(query, str(first.cursor), 2)
    assert (first.unindexed, second.unindexed) == (9, 9)
    assert plane.listing.page(query, "", 2).unindexed == 0


def test_filling_stops_when_its_time_is_up_and_goes_on_where_it_stopped(
    plane: ControlPlane,
) -> None:
    create(plane, 9)
    left = [9]
    while left[-1]:
        plane.search_index.fill(0)
        left.append(plane.search_index.count_unindexed())
    assert left == [9, 6, 3, 0]
    assert indexed_words(plane.store) == words_of_accounts(plane.store)


def test_a_slice_waits_for_the_requests_that_are_in_progress(
    plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search_index, "_LONGEST_PAUSE", 600)
    create(plane, 9)
    left = []

    def is_busy() -> bool:
        left.append(plane.search_index.count_unindexed())
        return len(left) < 4

    plane.search_index.fill(is_busy=is_busy)
    assert left == [6, 6, 6, 6, 3, 0]


def test_requests_without_end_do_not_stop_the_filling(
    plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search_index, "_LONGEST_PAUSE", 0.01)
    create(plane, 9)
    plane.search_index.fill(is_busy=lambda: True)
    assert plane.search_index.count_unindexed() == 0


def test_another_process_leaves_the_filling_to_the_first_one_for_a_second(
    plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    create(plane, 9)
    first, second = SearchIndex(plane.store), SearchIndex(plane.store)
    first.fill(0)
    second.fill(0)
    assert plane.search_index.count_unindexed() == 6
    first.fill(0)
    assert plane.search_index.count_unindexed() == 3
    monkeypatch.setattr(search_index, "_LEASE_MS", 0)
    fill_all(plane, second)


def test_processes_that_fill_at_once_give_each_account_its_words_once(
    store_deployment: Deployment, plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search_index, "_LEASE_MS", -1_000)  # nobody leaves it to another one
    create(plane, 90)
    with closing(store_deployment.control_plane()) as other, ThreadPoolExecutor(4) as pool:
        indexes = [SearchIndex(one.store) for one in (plane, other) * 2]
        list(pool.map(SearchIndex.fill, indexes))
    assert indexed_words(plane.store) == words_of_accounts(plane.store)


# Kills itself in front of a statement, or after the commit of a slice, as a power cut would.
KILLED_WHILE_FILLING = """
import os, sys
from pathlib import Path
from tests.store.old_databases import open_store
from anyscale.server.core.users import search_index
from anyscale.server.store.sql.user_words import Words

search_index._SLICE = 3
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
    Words.list_unindexed = killing(Words.list_unindexed, True)
elif place == "written":
    Words.fill = killing(Words.fill, False)
else:
    index = search_index.SearchIndex
    index._fill_slice = killing(index._fill_slice, False)
url = sys.argv[1]
search_index.SearchIndex(open_store(url if "://" in url else Path(url))).fill()
"""


@pytest.mark.parametrize("place", ["read", "written", "committed"])
def test_an_index_whose_filling_is_killed_is_filled_by_the_next_process(
    store_deployment: Deployment, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(store_deployment.control_plane()) as plane:
        create(plane, 20)
    address = str(store_deployment.database)
    script = [sys.executable, "-c", KILLED_WHILE_FILLING, address, "3", place]
    assert subprocess.run(script, check=False).returncode == -9
    with closing(store_deployment.control_plane()) as plane:
        # No account has half of its words, and none beyond the watermark has any.
        count = 20 - plane.search_index.count_unindexed()
        assert 3 <= count <= 9
        expected = [row for row in words_of_accounts(plane.store) if row[3] < count]
        assert indexed_words(plane.store) == expected
        monkeypatch.setattr(search_index, "_LEASE_MS", 0)
        fill_all(plane, plane.search_index)
        assert indexed_words(plane.store) == words_of_accounts(plane.store)


def test_undoing_an_indexed_batch_removes_its_words_and_no_others(plane: ControlPlane) -> None:
    stays, gone = create(plane, 4, "stays"), create(plane, 8, "gone")
    plane.search_index.fill()
    plane.tokens.create_personal(ids_of(plane, gone)[3], "laptop", None)  # is kept
    undo_all(plane, gone)
    kept = {(row[2], row[3]) for row in indexed_words(plane.store)}
    assert kept == {(1, 0), (1, 1), (1, 2), (1, 3), (2, 3)}
    assert indexed_words(plane.store) == words_of_accounts(plane.store)
    assert len(ids_of(plane, stays)) == 4


def test_filling_waits_while_a_batch_is_undone_and_goes_on_if_the_undo_is_abandoned(
    plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(undo, "_SLICE", 5)
    monkeypatch.setattr(undo, "_SECONDS_A_CALL", 0)
    monkeypatch.setattr(undo, "_DEFER_FILLING_MS", 600_000)
    gone, _ = create(plane, 9, "gone"), create(plane, 4, "stays")
    plane.search_index.fill(0)
    plane.batches.undo(gone, "", JANE, force=False, dry_run=False)  # a call; no other one follows
    plane.search_index.fill()
    assert indexed_words(plane.store) == []
    with plane.store.write() as tx:
        tx.words.defer(tx.now())  # as after the 600 seconds
    plane.search_index.fill()
    assert len(ids_of(plane, gone)) == 4
    assert indexed_words(plane.store) == words_of_accounts(plane.store)


@pytest.mark.parametrize("seed", range(6))
def test_no_word_of_a_deleted_or_renamed_account_stays_whatever_races_with_the_filling(
    plane: ControlPlane, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(undo, "_SLICE", 5)
    undone, changed = create(plane, 40, "undone"), create(plane, 60, "changed")
    ids = ids_of(plane, changed)

    def fill() -> None:
        while plane.search_index.count_unindexed():
            plane.search_index.fill()

    def delete(numbers: random.Random) -> None:
        for user_id in numbers.sample(ids, 20):
            plane.lifecycle.delete(user_id, JANE)

    def rename(numbers: random.Random) -> None:
        for user_id in numbers.choices(ids, k=40):
            changes = UserChanges(
                name=f"Renamed {numbers.random()}", lastname=numbers.choice("xyz")
            )
            try:
                plane.updates.update(user_id, changes, JANE)
            except NotFound:
                continue

    with ThreadPoolExecutor(4) as pool:
        work = [
            pool.submit(delete, random.Random(seed)),
            pool.submit(rename, random.Random(-seed)),
            pool.submit(undo_all, plane, undone),
            pool.submit(fill),
        ]
        for done in work:
            done.result(60)
    fill()
    assert indexed_words(plane.store) == words_of_accounts(plane.store)
    assert {row[2] for row in indexed_words(plane.store)} == {2}
    assert len(ids_of(plane, changed)) == 40


_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("create"), st.integers(1, 5)),
        st.tuples(st.just("fill"), st.just(0)),
        st.tuples(st.sampled_from(["delete", "rename", "undo"]), st.integers(0, 99)),
    ),
    max_size=25,
)


@settings(max_examples=60)
@given(_STEPS)
def test_after_any_steps_the_words_are_those_of_the_accounts_up_to_the_watermark(
    steps: list[tuple[str, int]],
) -> None:
    with (
        TemporaryDirectory() as folder,
        closing(new_control_plane(Path(folder))) as plane,
    ):
        batches: list[str] = []
        for number, (step, value) in enumerate(steps):
            ids = [user_id for batch_id in batches for user_id in ids_of(plane, batch_id)]
            if step == "create":
                batches.append(create(plane, value, f"key{number}"))
            elif step == "fill":
                plane.search_index.fill(0)
            elif step == "undo" and batches:
                undo_all(plane, batches[value % len(batches)])
            elif step == "delete" and ids:
                plane.lifecycle.delete(ids[value % len(ids)], JANE)
            elif step == "rename" and ids:
                changes = UserChanges(name=f"New {number}", lastname="Ann")
                plane.updates.update(ids[value % len(ids)], changes, JANE)
            with plane.store.read() as tx:
                watermark = tx.words.get_state().watermark
            words = words_of_accounts(plane.store)
            assert indexed_words(plane.store) == [row for row in words if row[2:] <= watermark]


# In a server


def test_a_server_fills_the_index_by_itself_and_reports_the_rest(plane: ControlPlane) -> None:
    create(plane, 20)
    with serve_in_process(plane) as url:

        def is_filled() -> bool:
            text = HttpClient(url).request("GET", "/metrics").text
            return re.search(r"^anyscale_unindexed_accounts 0.0$", text, re.MULTILINE) is not None

        wait_until(is_filled)
        create(plane, 5, "later")
        wait_until(is_filled)
        assert indexed_words(plane.store) == words_of_accounts(plane.store)


def test_a_server_lets_requests_go_before_the_filling(
    plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search_index, "_LONGEST_PAUSE", 600)
    monkeypatch.setattr("anyscale.server.http.app._INDEXING_SECONDS", 0.01)
    is_asked, is_answered = threading.Event(), threading.Event()
    waited: list[bool] = []

    def are_busy(pools: ThreadPools, original: Callable[..., bool] = ThreadPools.are_busy) -> bool:
        waited.append(original(pools))
        return waited[-1]

    def find_late(_: Sequence[str]) -> Sequence[None]:
        is_asked.set()
        assert is_answered.wait(60)
        return []

    monkeypatch.setattr(ThreadPools, "are_busy", are_busy)
    monkeypatch.setattr(plane.users, "with_emails", find_late)
    headers = {"Authorization": f"Bearer {plane.tokens.create('jane', 'owner', None, 'jane')}"}
    with serve_in_process(plane) as url, ThreadPoolExecutor(1) as pool:
        ask = partial(HttpClient(url).request, "POST", "/v1/users:find", headers=headers)
        asked = pool.submit(ask, {"emails": []})
        assert is_asked.wait(30)
        create(plane, 30)
        wait_until(lambda: waited.count(True) > 50)
        assert plane.search_index.count_unindexed() == 27
        is_answered.set()
        assert asked.result(30).status == 200
        wait_until(lambda: plane.search_index.count_unindexed() == 0)


def test_a_server_that_shuts_down_stops_the_filling(
    store_deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search_index, "_PAUSE", 0.2)
    plane = store_deployment.control_plane()
    create(plane, 600)
    with serve_in_process(plane):
        wait_until(lambda: plane.search_index.count_unindexed() < 600)
        started = time.monotonic()
    assert time.monotonic() - started < 10  # all slices would take 40 seconds
    with closing(store_deployment.control_plane()) as plane:
        assert plane.search_index.count_unindexed() > 300


def test_a_filling_that_fails_is_logged_without_the_text_of_a_bug_and_tried_again(
    plane: ControlPlane, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    create(plane, 3)
    errors = [StoreUnavailable("no disk"), ValueError("jane@example.com")]
    fill, is_filled = plane.search_index.fill, threading.Event()

    def failing(**_: object) -> None:
        if errors:
            raise errors.pop(0)
        fill()
        is_filled.set()

    monkeypatch.setattr(plane.search_index, "fill", failing)
    monkeypatch.setattr("anyscale.server.http.app._INDEXING_SECONDS", 0.01)
    with caplog.at_level(logging.ERROR, "anyscale.server"), serve_in_process(plane):
        assert is_filled.wait(30)
    logged = [record for record in caplog.records if record.getMessage() == "indexing failed"]
    assert [vars(record)["code"] for record in logged] == ["store_unavailable", "ValueError"]
    assert "jane@example.com" not in caplog.text
