"""Tokens in the console: created, shown once, revoked."""

import re
from html import unescape

import pytest
from tests.server.http.console.conftest import Console
from tests.server.http.pages.requests import get, send
from tests.support.callers import OPERATOR
from tests.support.servers.http_client import HttpClient, HttpResponse

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
        rf"<bdi>{name}</bdi>.*?name=\"token_id\" value=\"(tok_\w+)\"",
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
    secret = console.control_plane.tokens.create("robot", "owner", None, OPERATOR)
    send(jane, "/console/tokens/revoke", token_id=token_id(jane, "robot"))
    assert not works(console, secret)


def test_tokens_of_other_users_are_not_listed(console: Console, jane: HttpClient) -> None:
    bob = console.control_plane.sessions.authenticate(
        console.browser("bob").cookies["__Host-session"]
    )
    console.control_plane.tokens.create_personal(bob, "bobs", 30)
    assert "bobs" not in get(jane, "/console/tokens").text


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
