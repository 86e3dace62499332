"""GET /v1/users: pages by cursor, filters and refused parameters."""

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
from tests.support.servers.control_planes import HttpDeployment, NewDeployment
from tests.support.servers.http_client import HttpClient, HttpResponse
from tests.support.users import checked_users

List = Callable[..., HttpResponse]


@pytest.fixture(scope="module")
def list_users(new_deployment: NewDeployment) -> Iterator[List]:
    """List users of a server that has five."""
    with new_deployment(over_http=True) as deployment:
        assert isinstance(deployment, HttpDeployment)
        transport = deployment.transport()
        for letter in "abcde":
            transport.batches.create(letter, checked_users(letter), "fail")
        transport.close()
        client, headers = (
            HttpClient(deployment.url()),
            {"Authorization": f"Bearer {deployment.token}"},
        )
        yield lambda **query: client.request(
            "GET", f"/v1/users?{urlencode(query, doseq=True)}", headers=headers
        )


def letters(response: HttpResponse) -> str:
    return "".join(user["email"][0] for user in response.json["users"])


def test_each_page_has_the_cursor_of_the_next_one(list_users: List) -> None:
    for order, expected in (("created", "abcde"), ("-created", "edcba")):
        pages = [list_users(order=order, cursor="", limit=2)]
        while cursor := pages[-1].json["cursor"]:
            pages.append(list_users(order=order, cursor=cursor, limit=2))
        assert [set(page.json) for page in pages] == [{"users", "cursor"}] * 3
        assert "".join(map(letters, pages)) == expected


@pytest.mark.parametrize(
    "query", [{}, {"role": "owner"}, {"sso": "true"}, {"match": "exact", "name": "Jane"}]
)
def test_each_list_begins_without_a_cursor_and_has_one(
    list_users: List, query: dict[str, str]
) -> None:
    first = list_users(**query)
    assert set(first.json) == {"users", "cursor"}
    assert list_users(cursor="", **query).json == first.json


def test_an_exact_match_is_of_an_email_in_any_spelling_or_of_a_name(list_users: List) -> None:
    assert letters(list_users(match="exact", email="A@Example.com")) == "a"
    assert letters(list_users(match="exact", email="a@example.co")) == ""
    first = list_users(match="exact", name="Jane", limit=3)
    assert letters(first) == "abc"
    last = list_users(match="exact", name="Jane", limit=3, cursor=first.json["cursor"])
    assert (letters(last), last.json["cursor"]) == ("de", None)
    assert letters(list_users(match="exact", name="jane")) == ""


def test_a_search_answers_with_a_cursor_and_what_is_not_indexed(list_users: List) -> None:
    response = list_users(search="A@example.com", limit=2)
    assert set(response.json) == {"users", "cursor", "unindexed"}
    assert letters(response) == "a"
    assert letters(list_users(search="a@ex", cursor="")) == "a"


@pytest.mark.parametrize("search", ["😀" * 256, "?!", "%", "हिन्दी", "q\nz", "\x7f", "+ +"])
def test_a_search_for_any_text_is_answered(list_users: List, search: str) -> None:
    assert list_users(search=search).json["users"] == []


@pytest.mark.parametrize(
    "query",
    [
        {"search": "a", "email": "a"},
        {"search": "a", "order": "-created"},
        {"search": "a" * 257},
        {"search": ""},
        {"search": " ", "cursor": ""},
        {"search": "", "cursor": ""},
        {"search": "a", "match": "exact"},
        {"search": "a\0"},
        {"after": "usr_1"},
        {"match": "exact"},
        {"match": "exact", "email": "a@example.com", "name": "Jane"},
        {"match": "exact", "email": "a@example.com", "role": "owner"},
        {"match": "exact", "name": "Jane", "order": "-created"},
        {"match": "exact", "name": "Jane", "suspended": "true"},
        {"role": "admin"},
        {"order": "name"},
        {"cursor": "x"},
        {"cursor": "A" * 5_000},
        {"cursor": "", "limit": 5_001},
    ],
)
def test_contradictory_parameters_are_refused(list_users: List, query: dict[str, Any]) -> None:
    refused = list_users(**query)
    assert (refused.status, refused.json["code"]) == (400, "request_invalid")


@pytest.mark.parametrize("name", ["serach", "Search", "search ", "chosen", "users", "", "é" * 99])
def test_a_parameter_that_no_list_has_is_refused(list_users: List, name: str) -> None:
    refused = list_users(**{"limit": 1, name: "a"})
    assert (refused.status, refused.json["code"]) == (400, "request_invalid")
    assert refused.json["detail"] == (
        f"this call has no query parameter {name[:64]!r}: it has cursor, email, limit, "
        "match, name, not_since, order, role, search, sso, suspended, "
        "without_credentials, without_second_factor"
    )


def test_a_parameter_that_is_there_twice_is_refused(list_users: List) -> None:
    refused = list_users(limit=1, email=["a@", "b@"])
    assert (refused.status, refused.json["code"]) == (400, "request_invalid")
    assert refused.json["detail"] == "this call accepts the query parameter 'email' only once"


def test_the_message_says_how_to_go_on(list_users: List) -> None:
    refused = list_users(match="exact", email="a@example.com", role="owner")
    assert "of either an email or a name, and of nothing else" in refused.json["detail"]
    assert "start again with an empty cursor" in list_users(cursor="x").json["detail"]


def test_not_since_takes_a_day(list_users: List) -> None:
    assert letters(list_users(not_since="2026-09-30")) == "abcde"  # nobody has signed in
    assert list_users(not_since="2026-09-30").json["users"][0]["last_sign_in_on"] is None
    refused = list_users(not_since="90")
    assert (refused.status, refused.json["code"]) == (400, "request_invalid")
    assert "not_since" in refused.json["detail"]
