"""Lists of accounts in pages: each account once, in order, whatever the pages and their time."""

from collections.abc import Sequence
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import structs
from tests.support.databases.stored_batches import (
    DAYS,
    Batch,
    Person,
    batches_of,
    impatient,
    read_all,
    repeated,
    store_batches,
)
from tests.support.databases.stored_data import execute_sql

from anyscale.domain.user_query import UserQuery
from anyscale.errors import RequestInvalid
from anyscale.server.core.search import listing, pages
from anyscale.server.core.search.cursor import PagePosition, encode_cursor
from anyscale.server.core.search.listing import UserListing
from anyscale.server.core.search.pages import BUDGET
from anyscale.server.core.transactions import Transactions
from anyscale.server.store.records.search import Filters, Scan
from anyscale.server.store.records.users import UserRecord
from anyscale.server.store.sql.search.user_scan import UserScan
from anyscale.server.store.transaction import Store

pytestmark = pytest.mark.both_stores

batches = batches_of(
    name=st.text("abß", min_size=1, max_size=3),
    email=st.text("abÄ", min_size=1, max_size=2),
)
queries = st.builds(
    UserQuery,
    email=st.sampled_from(["", "", "A", "bä", "2@x", "A10@X.org", "ä11@x.org"]),
    name=st.sampled_from(["", "", "a", "SS", "ab"]),
    suspended=st.booleans(),
    role=st.sampled_from([None, None, "owner", "collaborator"]),
    sso=st.booleans(),
    without_credentials=st.booleans(),
    without_second_factor=st.booleans(),
    not_since=st.none() | DAYS,
    newest_first=st.booleans(),
)


def matches(person: Person, email: str, query: UserQuery, *, has_provider: bool) -> bool:
    """Whether an account is in a list, without any of the code that makes lists."""
    can_use_sso = has_provider and person.is_sso_user
    return (
        (query.email or "").casefold() in email.casefold()
        and (query.name or "").casefold() in person.name.casefold()
        and (person.is_suspended or not query.suspended)
        and (query.role is None or person.is_owner == (query.role == "owner"))
        and (person.is_sso_user or not query.sso)
        and (
            not query.without_credentials
            or not (person.has_password or person.is_suspended or can_use_sso)
        )
        and (
            not query.without_second_factor or not (person.has_second_factor or person.is_suspended)
        )
        and not (query.not_since and person.last_day and person.last_day >= query.not_since)
    )


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(
    layout=st.lists(batches, max_size=6),
    query=queries,
    limits=st.lists(st.integers(1, 7), min_size=1, max_size=3),
    rows=st.integers(1, 5),
    blocks_a_page=st.sampled_from([0.5, 2.5, 1000.0]),
    has_provider=st.booleans(),
)
def test_the_pages_of_a_list_have_each_account_once_and_in_order(
    shared_stores: Sequence[Store],
    monkeypatch: pytest.MonkeyPatch,
    layout: list[Batch],
    query: UserQuery,
    limits: list[int],
    rows: int,
    blocks_a_page: float,
    has_provider: bool,
) -> None:
    monkeypatch.setattr(listing, "BLOCK_ROWS", rows)
    accounts = store_batches(shared_stores[0], layout)
    users = impatient(shared_stores[has_provider], BUDGET / blocks_a_page)

    found = [user.email for user in read_all(users, query, repeated(limits))]

    expected = [
        account.email
        for account in accounts
        if matches(account.person, account.email, query, has_provider=has_provider)
    ]
    if query.newest_first:
        expected.reverse()
    if not query.name:  # stable: the account with exactly the email comes first
        expected.sort(key=lambda email: email.casefold() != (query.email or "").casefold())
    assert found == expected


A = Person("a")


def test_a_page_ends_when_its_time_is_over_and_the_next_one_goes_on(
    shared_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "BLOCK_ROWS", 2)
    monkeypatch.setattr(pages, "LATER", 3)
    store_batches(shared_store, [Batch("published", [A] * 9 + [structs.replace(A, name="b")])])
    slow, fast = impatient(shared_store, BUDGET), impatient(shared_store, BUDGET / 100)
    query = UserQuery(name="b")
    found = [slow.page(query, "", 5)]
    while found[-1].cursor:
        found.append(slow.page(query, str(found[-1].cursor), 5))
    # Five blocks of two accounts, and a sixth one, which finds that none is left: the first page
    # reads one of them, and each later one three.
    assert [len(page.users) for page in found] == [0, 0, 1]
    page = fast.page(query, "", 5)
    assert [len(page.users), page.cursor] == [1, None]


@pytest.mark.parametrize("newest_first", [False, True])
def test_a_whole_email_finds_its_account_without_a_look_at_the_others(
    shared_store: Store, monkeypatch: pytest.MonkeyPatch, newest_first: bool
) -> None:
    store_batches(shared_store, [Batch("published", [A] * 30)])
    query = UserQuery(email="A129@X.org", newest_first=newest_first)
    users = UserListing(Transactions(shared_store))
    with monkeypatch.context() as patched:
        patched.setattr(UserScan, "read", None)  # a page that looks at the others fails
        first = users.page(query, "", 9)
        exact = users.page(UserQuery(email="A129@X.org", exact=True), "", 9)
    assert [user.email for user in first.users] == ["a129@x.org"]
    assert exact.users == first.users
    assert exact.cursor is None
    rest = users.page(query, str(first.cursor), 9)
    assert (rest.users, rest.cursor) == ([], None)


def test_a_whole_email_that_others_contain_comes_first_and_once(shared_store: Store) -> None:
    nobody = Batch("published", [])
    containing = Batch("published", [Person("a", email="xa")] * 21)  # the last is xa120@x.org
    store_batches(shared_store, [containing, *[nobody] * 10, Batch("published", [A])])
    query = UserQuery(email="A120@x.org")
    found = read_all(UserListing(Transactions(shared_store)), query, repeated([1]))
    assert [user.email for user in found] == ["a120@x.org", "xa120@x.org"]


@pytest.mark.parametrize("newest_first", [False, True])
@pytest.mark.parametrize("state", ["open", "dropped", "expired"])
def test_a_batch_that_is_not_published_costs_one_block_however_large_it_is(
    shared_store: Store, monkeypatch: pytest.MonkeyPatch, state: str, newest_first: bool
) -> None:
    monkeypatch.setattr(listing, "BLOCK_ROWS", 10)
    one = Batch("published", [A])
    store_batches(shared_store, [one, Batch(state, [A] * 500), one])
    blocks = count()
    users = UserListing(Transactions(shared_store), clock=lambda: next(blocks) * 1e-9)
    query = UserQuery(name="a", newest_first=newest_first)
    assert len(users.page(query, "", 10).users) == 2
    assert next(blocks) <= 5


@pytest.mark.parametrize("newest_first", [False, True])
def test_a_block_of_two_indexes_ends_where_the_first_of_them_does(
    shared_store: Store, newest_first: bool
) -> None:
    sso = structs.replace(A, is_sso_user=True)
    store_batches(shared_store, [Batch("published", [*[A] * 5, *[sso] * 5, *[A] * 5])])
    scan = Scan(Filters(without_credentials=True), newest_first=newest_first)
    with shared_store.read() as tx:
        block = tx.user_scan.read(UserRecord, scan, "", rows=3, limit=9)
    assert len(block.users) == 3


def test_a_small_page_finds_the_only_account_of_two_filters_in_a_few_blocks(
    shared_store: Store,
) -> None:
    suspended = Person("a", is_suspended=True)
    both = structs.replace(suspended, is_sso_user=True)
    store_batches(shared_store, [Batch("published", [suspended] * 300 + [both])])
    blocks = count()
    users = UserListing(Transactions(shared_store), clock=lambda: next(blocks) * 1e-9)
    assert len(users.page(UserQuery(suspended=True, sso=True), "", 1).users) == 1
    assert next(blocks) <= 5


def test_an_account_that_was_created_meanwhile_comes_in_its_place(shared_store: Store) -> None:
    store_batches(shared_store, [Batch("published", [A, A]), Batch("open", [A, A])])
    users = UserListing(Transactions(shared_store))
    first = users.page(UserQuery(), "", 1)
    with shared_store.write() as tx:
        (number,) = execute_sql(tx, "select id from batches where state = 'open'").fetchone()
        tx.batches.publish(number, "local:joe", 6_000)
    found = users.page(UserQuery(), str(first.cursor), 9).users
    assert [user.email for user in found] == ["a11@x.org", "a20@x.org", "a21@x.org"]


@pytest.mark.parametrize("key", [(1,), ("usr_", 1), ("usr_", "usr_"), ()])
def test_a_forged_key_is_refused_or_begins_at_the_start(
    shared_store: Store, key: tuple[str | int, ...]
) -> None:
    store_batches(shared_store, [Batch("published", [A])])
    users = UserListing(Transactions(shared_store))
    forged = encode_cursor(PagePosition(0, key), UserQuery())
    if key:
        with pytest.raises(RequestInvalid, match="start again with an empty cursor"):
            users.page(UserQuery(), forged, 5)
    else:
        assert len(users.page(UserQuery(), forged, 5).users) == 1


def test_a_forged_step_is_the_end(shared_store: Store) -> None:
    store_batches(shared_store, [Batch("published", [A])])
    users = UserListing(Transactions(shared_store))
    page = users.page(UserQuery(), encode_cursor(PagePosition(99), UserQuery()), 5)
    assert (page.users, page.cursor) == ([], None)
