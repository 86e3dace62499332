"""Lists, searches and look-ups of accounts by every transport."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec import structs
from tests.client.transports.steps import suspended
from tests.support.servers.control_planes import NewDeployment
from tests.support.users import (
    PASSWORD,
    checked_user,
    checked_users,
    list_accounts,
    passwords_for,
)

from anyscale.domain.user_query import UserQuery
from anyscale.errors import (
    NotFound,
    RequestInvalid,
)
from anyscale.transport.base import Transport
from anyscale.user.lookup import find_user


@pytest.fixture(scope="module", params=["embedded", "http"])
def one_account(
    request: pytest.FixtureRequest, new_deployment: NewDeployment
) -> Iterator[Transport]:
    """A transport of each kind to a control plane with one account, which no test changes."""
    with (
        new_deployment(over_http=request.param == "http") as deployment,
        closing(deployment.transport()) as transport,
    ):
        transport.batches.create("key", checked_users("a"), "fail")
        yield transport


@pytest.mark.parametrize("text", ["", "x" * 257, "Ja\0ne", "\udcff", "a\nb"])
def test_a_text_that_no_account_has_finds_no_user(one_account: Transport, text: str) -> None:
    for email, name in ((text, None), (None, text)):
        with pytest.raises(NotFound, match="there is no user with the"):
            find_user(one_account, email=email, name=name)


def test_names_are_found_exactly_and_in_part_in_every_script(transport: Transport) -> None:
    names = ["ŉguyen", "ΐος", "ᾳδω", "Straße", "ﬁnn"]
    for number, name in enumerate(names):
        transport.batches.create(
            f"key-{number}", [checked_user(f"u{number}@example.com", name=name)], "fail"
        )
    for name in names:
        assert [user.name for user in list_accounts(transport, name=name, exact=True)] == [name]
        for text in (name, name.upper(), name.casefold()):
            found = list_accounts(transport, name=text)
            assert [user.name for user in found] == [name]
    finn = list_accounts(transport, name="fi")
    assert [user.name for user in finn] == ["ﬁnn"]


def test_users_are_found_by_parts_and_exactly(transport: Transport) -> None:
    transport.batches.create("key", checked_users("Jane.Doe", "joe"), "fail")

    def found(email: str = "", name: str = "", limit: int = 10) -> list[str]:
        users = list_accounts(transport, limit, email=email, name=name)
        return [user.email for user in users]

    assert found(email="JANE.") == ["Jane.Doe@example.com"]
    assert found(name="jAN") == ["Jane.Doe@example.com", "joe@example.com"]
    assert found(name="nobody") == []
    assert found(limit=1) == ["Jane.Doe@example.com"]
    (jane,) = list_accounts(transport, email="jane.doe@EXAMPLE.com", exact=True)
    assert (jane.email, jane.permission_level) == ("Jane.Doe@example.com", "collaborator")
    assert list_accounts(transport, email="jane.doe@example.org", exact=True) == []
    assert list_accounts(transport, email="no email", exact=True) == []
    assert len(list_accounts(transport, name="Jane", exact=True)) == 2
    assert list_accounts(transport, name="jane", exact=True) == []


def test_suspended_users_are_listed_with_the_time(transport: Transport) -> None:
    transport.batches.create("key", checked_users("jane", "joe"), "fail")
    transport.batches.create("other", checked_users("ann"), "fail")
    jane, _, ann = list_accounts(transport)
    assert (jane.suspended_at, suspended(transport)) == (None, [])

    for user in (jane, ann):
        transport.users.suspend(user.user_id)

    (found,) = list_accounts(transport, email="jane@example.com", exact=True)
    assert found.suspended_at
    assert found.suspended_at.tzinfo is UTC
    assert abs(datetime.now(UTC) - found.suspended_at) < timedelta(minutes=1)
    assert found.suspended_at >= found.created_at
    assert found == structs.replace(jane, suspended_at=found.suspended_at)
    for users in (
        list_accounts(transport),
        list_accounts(transport, name="Jane", exact=True),
    ):
        moments = {user.email.split("@")[0]: user.suspended_at for user in users}
        assert (moments["jane"], moments["joe"]) == (found.suspended_at, None)
    assert suspended(transport) == ["jane@example.com", "ann@example.com"]
    assert suspended(transport, limit=1) == ["jane@example.com"]
    assert suspended(transport, email="ann") == ["ann@example.com"]
    assert suspended(transport, email="joe") == []
    transport.users.restore(jane.user_id)
    assert list_accounts(transport, email="jane@example.com", exact=True) == [jane]
    assert suspended(transport) == ["ann@example.com"]


def test_accounts_are_listed_in_pages_from_either_end(transport: Transport) -> None:
    for letter in "abcde":
        transport.batches.create(letter, checked_users(letter), "fail")
    transport.batches.drop(transport.batches.open("dropped", "fail").batch_id)
    listed = []
    for newest_first in (False, True):
        query = UserQuery(newest_first=newest_first)
        first = transport.users.list(query, "", 2)
        second = transport.users.list(query, str(first.cursor), 2)
        last = transport.users.list(query, str(second.cursor), 2)
        listed.append([user.email[0] for page in (first, second, last) for user in page.users])
        assert last.cursor is None
        assert (
            transport.users.list(query, str(first.cursor), 2) == second
        )  # again, as after a timeout
    from_the_oldest, from_the_newest = listed
    assert sorted(from_the_oldest) == list("abcde")  # batches of one millisecond are in any order
    assert from_the_newest == from_the_oldest[::-1]


def test_accounts_are_listed_by_role_sso_and_credentials(transport: Transport) -> None:
    users = [
        checked_user("owner@example.com"),
        structs.replace(checked_user("sso@example.com"), is_sso_user=True),
    ]
    transport.batches.create("one", users, "fail")
    users = [checked_user("none@example.com"), checked_user("has@example.com", PASSWORD)]
    transport.batches.create("two", users, "fail", passwords_for(users))
    transport.users.set_role(list_accounts(transport, email="owner")[0].user_id, "owner")

    def found(**query: Any) -> list[str]:
        return [user.email.partition("@")[0] for user in list_accounts(transport, **query)]

    assert found(role="owner") == ["owner"]
    assert found(role="collaborator") == ["sso", "none", "has"]
    assert found(sso=True) == ["sso"]
    # There is no identity provider here, so SSO users cannot sign in either.
    assert found(without_credentials=True) == ["owner", "sso", "none"]
    assert found(without_credentials=True, newest_first=True) == ["none", "sso", "owner"]
    assert found(without_credentials=True, role="collaborator") == ["sso", "none"]
    assert found(without_credentials=True, sso=True, email="SSO") == ["sso"]
    assert found(suspended=True, sso=True) == []


def test_accounts_are_searched_by_email_id_names_and_parts(transport: Transport) -> None:
    users = [
        structs.replace(checked_user("joanna@example.com", name="Joanna"), lastname="Straße"),
        structs.replace(checked_user("x@example.com", name="Anna"), lastname="Lee"),
    ]
    transport.batches.create("one", users, "fail")
    transport.batches.create("two", checked_users("anna"), "fail")

    def found(search: str, **query: Any) -> list[str]:
        users = list_accounts(transport, page_size=1, search=search, **query)
        return [user.email.partition("@")[0] for user in users]

    assert found("ANNA@example.com")[0] == "anna"
    assert found(list_accounts(transport, email="x@")[0].user_id) == ["x"]
    assert found("lee anna") == ["x"]
    assert found("strasse") == ["joanna"]
    assert sorted(found("ann")) == ["anna", "joanna", "x"]
    assert found("ann")[0] == "anna"  # whose email begins so
    assert found("ann", sso=True) == []
    assert found("?") == found("nobody") == []
    page = transport.users.list(UserQuery(search="lee"), "", 9)
    assert isinstance(page.unindexed, int)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (UserQuery(search=" "), "at least one character"),
        (UserQuery(search="a " * 25), "at most 24 words, not 25: leave some out"),
        (UserQuery(search="a", newest_first=True), "lists the best matches first: leave out order"),
    ],
)
def test_a_search_that_makes_no_sense_is_refused(
    one_account: Transport, query: UserQuery, message: str
) -> None:
    with pytest.raises(RequestInvalid, match=message):
        one_account.users.list(query, "", 9)


def test_a_cursor_of_another_query_or_of_nobody_is_refused(transport: Transport) -> None:
    transport.batches.create("key", checked_users("a", "b"), "fail")
    cursor = str(transport.users.list(UserQuery(), "", 1).cursor)
    with pytest.raises(RequestInvalid, match="belongs to other filters or another search: start"):
        transport.users.list(UserQuery(sso=True), cursor, 1)
    for wrong in ("x", "é", cursor[:-4], f"{cursor}AA", "A" * 4_096):
        with pytest.raises(RequestInvalid, match=r"is not one that a control plane has returned"):
            transport.users.list(UserQuery(), wrong, 1)


def test_a_page_without_accounts_is_not_the_end_if_it_has_a_cursor(
    transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("anyscale.server.core.search.pages.BUDGET", -1.0)
    monkeypatch.setattr("anyscale.server.core.search.listing.BLOCK_ROWS", 2)
    for letter in "abcdef":
        transport.batches.create(letter, checked_users(letter), "fail")
    page = transport.users.list(UserQuery(email="f@"), "", 10)
    assert page.users == []
    assert page.cursor
    assert [user.email for user in list_accounts(transport, email="f@")] == ["f@example.com"]


def test_an_export_has_each_account_once_and_nothing_of_its_password(transport: Transport) -> None:
    users = checked_users("a", "b", password=PASSWORD)
    transport.batches.create("key", users, "fail", passwords_for(users))
    transport.batches.create("other", checked_users("c"), "fail")

    pages = [transport.users.export("", 2)]
    while pages[-1].after:
        pages.append(transport.users.export(pages[-1].after, 2))

    exported = [user for page in pages for user in page.users]
    assert [user.email for user in exported] == [f"{name}@example.com" for name in "abc"]
    assert [user.password_initial for user in exported] == [False, False, False]
    assert {user.password_hash for user in exported} == {None}
    assert [(page.total, page.hashes_left_out) for page in pages] == [(3, 2), (None, 0)]
