"""Tokens in the console: created, shown once, revoked."""

import re
from html import unescape

import pytest
from tests.server.http.console.conftest import Console
from tests.server.http.pages.requests import create_owner, get, send
from tests.support.callers import OPERATOR
from tests.support.servers.http_client import HttpClient, HttpResponse
from tests.support.users import create_accounts

from anyscale.errors import NotAuthenticated


@pytest.fixture(scope="module")
def console(shared_console: Console) -> Console:
    return shared_console


@pytest.fixture(scope="module")
def jane(console: Console) -> HttpClient:
    return console.browser()


def create(client: HttpClient, name: str, days: str = "30") -> HttpResponse:
    return send(client, "/console/tokens/new", name=name, days=days)


def secret_of(page: HttpResponse) -> str:
    found = re.search(r"mrt_\w+", page.text)
    return found[0] if found else ""


def token_id(client: HttpClient, name: str) -> str:
    found = re.search(
        rf"<bdi translate=no>{name}</bdi>.*?name=\"token_id\" value=\"(tok_\w+)\"",
        get(client, "/console/tokens").text,
        re.DOTALL,
    )
    return found[1] if found else ""


def works(console: Console, secret: str) -> bool:
    try:
        console.control_plane.tokens.authenticate(secret)
    except NotAuthenticated:
        return False
    return True


def test_a_new_token_is_shown_once_with_the_command_that_takes_it(
    console: Console, jane: HttpClient
) -> None:
    page = create(jane, "laptop")
    secret = secret_of(page)
    assert page.headers["cache-control"] == "no-store"
    assert f"anyscale login --host {console.url}" in page.text
    assert console.control_plane.tokens.authenticate(secret).token.name == "laptop"
    assert secret not in get(jane, "/console/tokens").text
    assert secret not in get(jane, "/console/tokens/new").text


def test_a_revoked_token_fails(console: Console, jane: HttpClient) -> None:
    secret = secret_of(create(jane, "old"))
    answer = send(jane, "/console/tokens/revoke", token_id=token_id(jane, "old"))
    assert answer.headers["location"] == "/console/tokens?note=revoked"
    assert "The token is revoked." in get(jane, answer.headers["location"]).text
    assert not works(console, secret)
    assert token_id(jane, "old") == ""


def test_a_token_of_no_user_is_listed_and_revoked(console: Console, jane: HttpClient) -> None:
    secret = console.control_plane.tokens.create(OPERATOR, "robot", "owner", None)
    send(jane, "/console/tokens/revoke", token_id=token_id(jane, "robot"))
    assert not works(console, secret)


def test_the_role_of_a_token_of_no_user_is_shown(console: Console, jane: HttpClient) -> None:
    console.control_plane.tokens.create(OPERATOR, "auditor", "reader", None)
    page = get(jane, "/console/tokens").text
    assert re.search(r">auditor</bdi>.*?Role reader\. Does not expire, never used", page, re.DOTALL)


def test_tokens_of_another_user_are_on_the_page_of_the_account(
    console: Console, jane: HttpClient
) -> None:
    create_accounts(console.control_plane, "kim")
    create_owner(console.control_plane, "kim")
    kim = console.control_plane.sessions.authenticate(
        console.browser("kim").cookies["__Host-session"]
    )
    console.control_plane.tokens.create_personal(kim, "kims", 30)
    assert "kims" not in get(jane, "/console/tokens").text
    page = f"/console/users/{kim.account.user_id}"
    account = get(jane, page).text
    (token_id,) = re.findall(
        r"<bdi translate=no>kims</bdi>.*?value=\"(tok_\w+)\"", account, re.DOTALL
    )
    for _ in range(2):
        answer = send(jane, f"{page}/revoke-token", token_id=token_id)
        assert answer.headers["location"] == f"{page}?note=token_revoked"
    assert "kims" not in get(jane, page).text
    answer = send(jane, "/console/users/%EF%AC%80%0D%0AA:b/revoke-token", token_id=token_id)
    assert answer.headers["location"] == "/console/users/%EF%AC%80%0D%0AA%3Ab?note=token_revoked"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("", "A token's name has 1 to 64 visible characters."),
        ("taken", "You have a token named 'taken': choose another name."),
    ],
)
def test_a_wrong_name_is_named_in_the_words_of_the_command(
    jane: HttpClient, name: str, words: str
) -> None:
    create(jane, "taken")
    page = create(jane, name)
    assert page.status == 400
    assert f'<a href="#name">{words}</a>' in unescape(page.text)
    assert f'value="{name}"' in page.text


def test_a_choice_that_does_not_exist_is_refused(jane: HttpClient) -> None:
    assert create(jane, "odd", "7").status == 400


def test_revoking_twice_changes_nothing(jane: HttpClient) -> None:
    assert send(jane, "/console/tokens/revoke", token_id="tok_none").status == 303
