"""The overview: numbers of accounts, unfinished batches, the last entries of the audit log."""

import re

from tests.server.http.console.conftest import Console, OpenConsole
from tests.server.http.pages.requests import get
from tests.support.callers import OPERATOR
from tests.support.users import create_accounts, find_accounts

PART = re.compile(r'href="/console/users\?state=(\w+)">[\w -]+</a></th>\s*<td[^>]*>(\d+)<')


def counts_of(text: str) -> dict[str, int]:
    return {state: int(count) for state, count in PART.findall(text)}


def test_accounts_are_counted_by_how_their_users_sign_in(open_console: OpenConsole) -> None:
    console = open_console(public_url="https://accounts.example.com")
    control_plane = console.control_plane
    create_accounts(control_plane, "sue")
    create_accounts(control_plane, "linus", "nora", "nils", password=None)
    ids = {user.email: user.user_id for user in find_accounts(control_plane)}
    control_plane.lifecycle.suspend(ids["sue@example.com"], OPERATOR)
    control_plane.links.create([ids["linus@example.com"]], OPERATOR)
    jane = console.browser()
    page = get(jane, "/console")
    numbers = {"password": 2, "sso": 0, "link": 1, "none": 2, "suspended": 1}
    assert counts_of(page.text) == numbers
    assert "6 accounts, by how their users sign in" in page.text
    for state, number in numbers.items():
        emails = re.findall(r'aria-label="Select', get(jane, f"/console/users?state={state}").text)
        assert len(emails) == number, "each part links to its list"


def test_accounts_are_counted_once_a_minute(console: Console) -> None:
    jane = console.browser()
    before = counts_of(get(jane, "/console").text)
    create_accounts(console.control_plane, "late")
    assert counts_of(get(jane, "/console").text) == before


def test_the_last_entries_name_people(console: Console) -> None:
    text = get(console.browser(), "/console").text
    assert re.search(
        r'href="/console/users/usr_\w+"><bdi>\w+</bdi></a> changed their password', text
    )


def test_the_newest_entries_are_shown(open_console: OpenConsole) -> None:
    console = open_console()
    tokens = console.control_plane.tokens
    for number in range(30):
        tokens.create(f"token-{number}", "owner", None, OPERATOR)
    tokens.revoke("token-0", OPERATOR)
    assert "revoked the token token-0" in get(console.browser(), "/console").text


def test_each_word_of_the_console_is_explained_where_it_is_first_met(console: Console) -> None:
    jane = console.browser()
    assert "There you create and manage accounts." in get(jane, "/").text
    assert "A batch is a file of users" in get(jane, "/console").text
    assert "An owner may manage all accounts" in get(jane, "/console/users").text


def test_unfinished_batches_are_listed(console: Console) -> None:
    batch = console.control_plane.batches.open("key", "fail", OPERATOR)
    text = get(console.browser(), "/console").text
    assert f'href="/console/batches/{batch.batch_id}"' in text
