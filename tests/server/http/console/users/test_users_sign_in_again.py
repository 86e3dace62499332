"""What an owner does with accounts after signing in again, and what without it."""

import io
import json
import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import IncompleteRead
from typing import Any

import pytest
from tests.server.http.console.conftest import Console, OpenConsole
from tests.server.http.pages.requests import BROWSER, PUBLIC, create_owner, get, send
from tests.support.servers.http_client import HttpClient
from tests.support.sign_in.sign_ins import let_time_pass
from tests.support.users import NEW_PASSWORD, create_accounts

from anyscale.server.core.search import FoundPage, UserListing
from anyscale.server.core.time_units import MINUTE_MS
from anyscale.server.http.console.users import download
from anyscale.server.logging_config import log_handler

SIGN_IN_AGAIN = "/sign-in-again?to="


@pytest.fixture
def console(open_console: OpenConsole) -> Console:
    return open_console(public_url=PUBLIC)


@pytest.fixture
def old(console: Console) -> HttpClient:
    """A browser in which jane signed in more than 15 minutes ago."""
    client = console.browser()
    let_time_pass(console.control_plane, 16 * MINUTE_MS)
    return client


@contextmanager
def logged() -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """Let the block read the log lines that a server writes."""
    stream = io.StringIO()
    handler, root = log_handler(stream), logging.getLogger()
    root.addHandler(handler)
    try:
        yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    finally:
        root.removeHandler(handler)


def new_user(console: Console, name: str) -> str:
    create_accounts(console.control_plane, name)
    (user,) = console.control_plane.users.find([f"{name}@example.com"])
    assert user
    return user.user_id


def test_the_pages_that_ask_need_a_recent_sign_in_and_those_of_a_collaborator_do_not(
    console: Console, old: HttpClient
) -> None:
    user_id, owner = new_user(console, "sue"), new_user(console, "kim")
    create_owner(console.control_plane, "kim")
    page = f"/console/users/{user_id}"
    for path in (
        f"{page}/delete",
        f"{page}/role",
        f"/console/users/{owner}/correct",
        f"/console/users/suspend?user_id={user_id}&user_id={owner}",
        f"/console/users/links?user_id={user_id}",
        "/console/batches/bat_00/links",
        "/console/batches/bat_00/undo",
    ):
        assert get(old, path).headers.get("location", "").startswith(SIGN_IN_AGAIN), path
    for path in (
        page,
        f"/console/users/{owner}",
        f"{page}/correct",
        f"/console/users/suspend?user_id={user_id}",
    ):
        assert get(old, path).status == 200
    assert send(old, f"{page}/suspend").headers["location"] == f"{page}?note=suspended"


def test_no_selected_account_is_suspended_if_one_of_them_is_an_owner(
    console: Console, old: HttpClient
) -> None:
    chosen = [new_user(console, "sue"), new_user(console, "kim")]
    create_owner(console.control_plane, "kim")
    answer = old.request(
        "POST",
        "/console/users/suspend",
        form=[("user_id", user_id) for user_id in chosen],
        headers=BROWSER,
    )
    assert "sign-in" in answer.headers["location"]
    users = console.control_plane.users.with_ids(chosen)
    assert [user.suspended_at for user in users] == [None, None]


def test_a_link_for_one_account_needs_a_recent_sign_in_too(
    console: Console, old: HttpClient
) -> None:
    page = f"/console/users/{new_user(console, 'zac')}"
    answer = send(old, f"{page}/link", newest="0")
    to = answer.headers["location"].removeprefix(SIGN_IN_AGAIN)
    answer = send(old, "/sign-in-again", to=to, password=NEW_PASSWORD)
    assert answer.headers["location"] == f"{page}?restored=yes"
    assert "/set-password#mrl_" in send(old, f"{page}/link", newest="0").text


def test_the_selection_of_links_stays_after_signing_in_again(
    console: Console, old: HttpClient
) -> None:
    ids = [new_user(console, name) for name in ("ann", "ben")]
    query = "&".join(f"user_id={user_id}" for user_id in ids)
    answer = get(old, f"/console/users/links?q=x&{query}")
    to = answer.headers["location"].removeprefix(SIGN_IN_AGAIN)
    answer = send(old, "/sign-in-again", to=to, password=NEW_PASSWORD)
    shown = get(old, answer.headers["location"]).text
    assert re.findall(r'name="user_id" value="(\w+)"', shown) == sorted(ids)


def test_a_form_that_was_not_accepted_leads_to_its_page_with_the_selection(
    old: HttpClient,
) -> None:
    answer = send(old, "/console/users/links?q=x", user_id="usr_00", format="csv")
    to = answer.headers["location"].removeprefix(SIGN_IN_AGAIN)
    answer = send(old, "/sign-in-again", to=to, password=NEW_PASSWORD)
    assert answer.headers["location"] == ("/console/users/links?q=x&user_id=usr_00&restored=yes")


def test_an_owner_who_loses_the_role_in_the_middle_changes_nothing_more(console: Console) -> None:
    jane, user_id = console.browser(), new_user(console, "tom")
    (own,) = console.control_plane.users.find(["jane@example.com"])
    assert own
    with console.control_plane.store.write() as tx:
        tx.accounts.set_role(own.user_id, "collaborator")
    for path in ("suspend", "link", "correct", "sign-out"):
        assert send(jane, f"/console/users/{user_id}/{path}", name="Tim").status == 403
    assert get(jane, "/console/users/download").status == 403


def test_a_download_breaks_off_when_its_owner_loses_the_role(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    jane = console.browser()
    (own,) = console.control_plane.users.find(["jane@example.com"])
    assert own
    ordered = UserListing.ordered

    def last_page(*arguments: Any, **options: Any) -> FoundPage:
        with console.control_plane.store.write() as tx:
            tx.accounts.set_role(own.user_id, "collaborator")
        return ordered(*arguments, **options)

    monkeypatch.setattr(UserListing, "ordered", last_page)
    monkeypatch.setattr(download, "_PAGE", 1)
    with logged() as lines, pytest.raises(IncompleteRead):
        get(jane, "/console/users/download?format=jsonl")
    (line,) = [one for one in lines() if one["level"] != "info"]
    assert (line["level"], line["event"]) == ("warning", "response broke off")
    assert (line["code"], line["actor"]) == ("not_permitted", f"user:{own.user_id}")
