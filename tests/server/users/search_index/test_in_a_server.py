"""A server fills the index by itself, and lets requests go first."""

import logging
import re
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial

import pytest
from tests.server.users.search_index.accounts import create
from tests.support.callers import operator
from tests.support.databases.indexed_words import indexed_words, words_of_accounts
from tests.support.servers.control_planes import Deployment
from tests.support.servers.http_client import HttpClient
from tests.support.servers.server_in_process import serve_in_process
from tests.support.waiting import wait_until

from anyscale.errors import StoreUnavailable
from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.search import index as search_index
from anyscale.server.http import thread_pools
from anyscale.server.http.thread_pools import ThreadPools

pytestmark = pytest.mark.both_stores


def test_a_server_fills_the_index_by_itself_and_reports_the_rest(
    control_plane: ControlPlane,
) -> None:
    create(control_plane, 20)
    with serve_in_process(control_plane) as url:

        def is_filled() -> bool:
            text = HttpClient(url).request("GET", "/metrics").text
            return re.search(r"^anyscale_unindexed_accounts 0.0$", text, re.MULTILINE) is not None

        wait_until(is_filled)
        create(control_plane, 5, "later")
        wait_until(is_filled)
        assert indexed_words(control_plane.store) == words_of_accounts(control_plane.store)


def test_a_server_lets_requests_go_before_the_filling(
    control_plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search_index, "_BUSY_SHARE", 1e-9)
    monkeypatch.setattr(search_index, "_LONGEST_PAUSE", 600)
    monkeypatch.setattr("anyscale.server.background.periodic._INDEXING_SECONDS", 0.01)
    has_request, is_answered = threading.Event(), threading.Event()
    waited: list[bool] = []

    def are_busy(pools: ThreadPools, original: Callable[..., bool] = ThreadPools.are_busy) -> bool:
        waited.append(original(pools))
        return waited[-1]

    def find_late(*_: Sequence[str]) -> Sequence[None]:
        has_request.set()
        assert is_answered.wait(60)
        return []

    monkeypatch.setattr(ThreadPools, "are_busy", are_busy)
    monkeypatch.setattr(control_plane.users, "find", find_late)
    token = control_plane.tokens.create(operator("jane"), "jane", "owner", None)
    headers = {"Authorization": f"Bearer {token}"}
    with serve_in_process(control_plane) as url, ThreadPoolExecutor(1) as pool:
        ask = partial(HttpClient(url).request, "POST", "/v1/users:find", headers=headers)
        answer = pool.submit(ask, {"emails": []})
        assert has_request.wait(30)
        create(control_plane, 30)
        wait_until(lambda: waited.count(True) > 50)
        assert control_plane.search_index.count_unindexed() == 30
        is_answered.set()
        assert answer.result(30).status == 200
        wait_until(lambda: control_plane.search_index.count_unindexed() == 0)


def has_started(control_plane: ControlPlane) -> bool:
    with control_plane.store.read() as tx:
        state = tx.words.get_state()
    return state.end > state.watermark


def test_the_filling_also_waits_between_requests_that_follow_each_other(
    control_plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search_index, "_BUSY_SHARE", 1e-9)
    monkeypatch.setattr(search_index, "_LONGEST_PAUSE", 600)
    monkeypatch.setattr(thread_pools, "_LULL", 600)
    monkeypatch.setattr("anyscale.server.background.periodic._INDEXING_SECONDS", 0.01)
    token = control_plane.tokens.create(operator("jane"), "jane", "owner", None)
    headers = {"Authorization": f"Bearer {token}"}
    with serve_in_process(control_plane) as url:
        ask = partial(HttpClient(url).request, "POST", "/v1/users:find", headers=headers)
        assert ask({"emails": []}).status == 200
        create(control_plane, 30)
        wait_until(lambda: has_started(control_plane))
        assert ask({"emails": []}).status == 200
        assert control_plane.search_index.count_unindexed() == 30
        monkeypatch.setattr(thread_pools, "_LULL", 0)
        wait_until(lambda: control_plane.search_index.count_unindexed() == 0)


def test_a_server_that_shuts_down_stops_the_filling(
    store_deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search_index, "_PAUSE", 0.2)
    control_plane = store_deployment.control_plane()
    create(control_plane, 600)
    with serve_in_process(control_plane):
        wait_until(lambda: control_plane.search_index.count_unindexed() < 600)
        started = time.monotonic()
    assert time.monotonic() - started < 10  # all slices would take 40 seconds
    with closing(store_deployment.control_plane()) as control_plane:
        assert control_plane.search_index.count_unindexed() > 300


def test_a_filling_that_fails_is_logged_without_the_text_of_a_bug_and_tried_again(
    control_plane: ControlPlane, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    create(control_plane, 3)
    errors = [StoreUnavailable("no disk"), ValueError("jane@example.com")]
    fill, is_filled = control_plane.search_index.fill, threading.Event()

    def failing(**_: object) -> None:
        if errors:
            raise errors.pop(0)
        fill()
        is_filled.set()

    monkeypatch.setattr(control_plane.search_index, "fill", failing)
    monkeypatch.setattr("anyscale.server.background.periodic._INDEXING_SECONDS", 0.01)
    with caplog.at_level(logging.ERROR, "anyscale.server"), serve_in_process(control_plane):
        assert is_filled.wait(30)
    logged = [record for record in caplog.records if record.getMessage() == "indexing failed"]
    assert [vars(record)["code"] for record in logged] == ["store_unavailable", "ValueError"]
    assert "jane@example.com" not in caplog.text
