"""Lists of accounts in pages: each account once, in order, whatever the pages and their time."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import Struct, structs
from tests.store.contract.steps import batch_row, rows_of, user_id_of, user_row
from tests.support.control_planes import STORE_DEPLOYMENTS, new_deployment
from tests.support.postgres import PostgresDatabases
from tests.support.stored_data import execute_sql

from anyscale.api_schemas import UserQuery
from anyscale.errors import RequestInvalid
from anyscale.server.core.users import listing
from anyscale.server.core.users.cursor import Position, encode_cursor
from anyscale.server.core.users.listing import BUDGET, UserListing
from anyscale.server.store.interface import Store
from anyscale.user.models import User


class Person(Struct, frozen=True):
    """A user of a batch, with what filters look at."""

    name: str
    email: str
    is_sso_user: bool
    is_owner: bool
    is_suspended: bool
    has_password: bool
    #: whether it is there after an undo of its batch
    stays: bool


class Batch(Struct, frozen=True):
    """A batch, and how it ended."""

    state: str
    people: Sequence[Person]


_STATES = ("published", "published", "open", "dropped", "expired", "undoing", "undone")

people = st.builds(
    Person,
    name=st.text("abß", min_size=1, max_size=3),
    email=st.text("abÄ", min_size=1, max_size=2),
    is_sso_user=st.booleans(),
    is_owner=st.booleans(),
    is_suspended=st.booleans(),
    has_password=st.booleans(),
    stays=st.booleans(),
)
batches = st.builds(Batch, state=st.sampled_from(_STATES), people=st.lists(people, max_size=6))
queries = st.builds(
    UserQuery,
    email=st.sampled_from(["", "", "A", "bä", "2@x"]),
    name=st.sampled_from(["", "", "a", "SS", "ab"]),
    suspended=st.booleans(),
    role=st.sampled_from([None, None, "owner", "collaborator"]),
    sso=st.booleans(),
    without_credentials=st.booleans(),
    newest_first=st.booleans(),
)


def is_account(batch: Batch, person: Person) -> bool:
    return batch.state == "published" or (batch.state in ("undoing", "undone") and person.stays)


def matches(person: Person, email: str, query: UserQuery, *, has_provider: bool) -> bool:
    """Whether an account is in a list, without any of the code that makes lists."""
    can_use_sso = has_provider and person.is_sso_user
    return (
        query.email.casefold() in email.casefold()
        and query.name.casefold() in person.name.casefold()
        and (person.is_suspended or not query.suspended)
        and (query.role is None or person.is_owner == (query.role == "owner"))
        and (person.is_sso_user or not query.sso)
        and (
            not query.without_credentials
            or not (person.has_password or person.is_suspended or can_use_sso)
        )
    )


def store_batches(store: Store, layout: Sequence[Batch]) -> list[tuple[Person, str]]:
    """Replace everything in the store by batches; return the accounts, each with its email."""
    accounts = []
    with store.write() as tx:
        for table in ("users", "batches"):
            execute_sql(tx, f"delete from {table}")
        for number, batch in enumerate(layout, 1):
            row = tx.batches.add(batch_row(number))
            assert row
            rows = [
                user_row(
                    row,
                    at,
                    f"{person.email}{number}{at}@x.org",
                    name=person.name,
                    is_sso_user=person.is_sso_user,
                )
                for at, person in enumerate(batch.people)
            ]
            assert tx.users.insert(row.id, rows_of(rows)) == []
            for at, person in enumerate(batch.people):
                _set_flags(tx, user_id_of(row, at), person)
            _end(tx, row.id, batch.state)
            pairs = list(zip(batch.people, rows, strict=True))
            accounts += [(one, user.email) for one, user in pairs if is_account(batch, one)]
            gone = [user.user_id for one, user in pairs if not is_account(batch, one)]
            if batch.state in ("undoing", "undone"):
                tx.accounts.delete_many(gone)
    return accounts


def _set_flags(tx: Any, user_id: str, person: Person) -> None:
    role = "owner" if person.is_owner else "collaborator"
    hash_ = "hash" if person.has_password else None
    execute_sql(
        tx,
        "update users set permission_level = ?, suspended_at = ?, password_hash = ?"
        " where user_id = ?",
        (role, 7 if person.is_suspended else None, hash_, user_id),
    )


def _end(tx: Any, batch: int, state: str) -> None:
    if state in ("published", "undoing", "undone"):
        tx.batches.publish(batch, "local:joe", 5_000)
    if state in ("undoing", "undone"):
        tx.batches.set_undone(batch, state)
    if state in ("dropped", "expired"):
        tx.batches.set_state(batch, state)


@pytest.fixture(scope="module", params=STORE_DEPLOYMENTS)
def store(request: pytest.FixtureRequest, postgres_databases: PostgresDatabases) -> Iterator[Store]:
    """A store of each kind, which the tests of this module share."""
    with (
        new_deployment(request.param, postgres_databases) as deployment,
        closing(deployment.control_plane()) as plane,
    ):
        yield plane.store


def impatient(store: Store, seconds_a_block: float, *, has_provider: bool = False) -> UserListing:
    """Lists of a control plane on which each block takes a time."""
    ticks = count()
    return UserListing(
        store, has_provider=has_provider, clock=lambda: next(ticks) * seconds_a_block
    )


def read_all(users: UserListing, query: UserQuery, limits: Iterator[int]) -> list[User]:
    """Read all pages, with a limit for each."""
    found: list[User] = []
    cursor = ""
    for limit in limits:
        page = users.page(query, cursor, limit)
        assert len(page.users) <= limit
        found += page.users
        if page.cursor is None:
            return found
        assert isinstance(page.cursor, str)
        assert page.cursor != cursor  # each page gets further, also without accounts
        cursor = page.cursor
    raise AssertionError


def repeated(limits: Sequence[int]) -> Iterator[int]:
    return (limits[number % len(limits)] for number in range(10_000))


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    layout=st.lists(batches, max_size=6),
    query=queries,
    limits=st.lists(st.integers(1, 7), min_size=1, max_size=3),
    rows=st.integers(1, 5),
    blocks_a_page=st.sampled_from([0.5, 2.5, 1000.0]),
    has_provider=st.booleans(),
)
def test_the_pages_of_a_list_have_each_account_once_and_in_order(
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
    layout: list[Batch],
    query: UserQuery,
    limits: list[int],
    rows: int,
    blocks_a_page: float,
    has_provider: bool,
) -> None:
    monkeypatch.setattr(listing, "BLOCK_ROWS", rows)
    accounts = store_batches(store, layout)
    users = impatient(store, BUDGET / blocks_a_page, has_provider=has_provider)

    found = [user.email for user in read_all(users, query, repeated(limits))]

    expected = [
        email
        for person, email in accounts
        if matches(person, email, query, has_provider=has_provider)
    ]
    assert found == (expected[::-1] if query.newest_first else expected)


A = Person("a", "a", False, False, False, False, True)


def test_a_page_ends_when_its_time_is_over_and_the_next_one_goes_on(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "BLOCK_ROWS", 2)
    store_batches(store, [Batch("published", [A] * 9 + [structs.replace(A, name="b")])])
    slow, fast = impatient(store, BUDGET), impatient(store, BUDGET / 100)
    query = UserQuery(name="b")
    pages = [slow.page(query, "", 5)]
    while pages[-1].cursor:
        pages.append(slow.page(query, str(pages[-1].cursor), 5))
    # Five blocks of two accounts, and a sixth one, which finds that none is left.
    assert [len(page.users) for page in pages] == [0, 0, 0, 0, 1, 0]
    page = fast.page(query, "", 5)
    assert [len(page.users), page.cursor] == [1, None]


@pytest.mark.parametrize("newest_first", [False, True])
@pytest.mark.parametrize("state", ["open", "dropped", "expired"])
def test_a_batch_that_is_not_published_costs_one_block_however_large_it_is(
    store: Store, monkeypatch: pytest.MonkeyPatch, state: str, newest_first: bool
) -> None:
    monkeypatch.setattr(listing, "BLOCK_ROWS", 10)
    one = Batch("published", [A])
    store_batches(store, [one, Batch(state, [A] * 500), one])
    blocks = count()
    users = UserListing(store, has_provider=False, clock=lambda: next(blocks) * 1e-9)
    query = UserQuery(name="a", newest_first=newest_first)
    assert len(users.page(query, "", 10).users) == 2
    assert next(blocks) <= 5


def test_an_account_that_was_created_meanwhile_comes_in_its_place(store: Store) -> None:
    store_batches(store, [Batch("published", [A, A]), Batch("open", [A, A])])
    users = UserListing(store, has_provider=False)
    first = users.page(UserQuery(), "", 1)
    with store.write() as tx:
        (number,) = execute_sql(tx, "select id from batches where state = 'open'").fetchone()
        tx.batches.publish(number, "local:joe", 6_000)
    found = users.page(UserQuery(), str(first.cursor), 9).users
    assert [user.email for user in found] == ["a11@x.org", "a20@x.org", "a21@x.org"]


@pytest.mark.parametrize("key", [(1,), ("usr_", 1), ("usr_", "usr_"), ()])
def test_a_forged_key_is_refused_or_begins_at_the_start(
    store: Store, key: tuple[str | int, ...]
) -> None:
    store_batches(store, [Batch("published", [A])])
    users = UserListing(store, has_provider=False)
    forged = encode_cursor(Position(0, key), UserQuery())
    if key:
        with pytest.raises(RequestInvalid, match="start again without it"):
            users.page(UserQuery(), forged, 5)
    else:
        assert len(users.page(UserQuery(), forged, 5).users) == 1


def test_a_forged_step_is_the_end(store: Store) -> None:
    store_batches(store, [Batch("published", [A])])
    users = UserListing(store, has_provider=False)
    page = users.page(UserQuery(), encode_cursor(Position(99), UserQuery()), 5)
    assert (page.users, page.cursor) == ([], None)
