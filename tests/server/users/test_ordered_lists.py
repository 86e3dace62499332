"""The lists of the console: in each order, in both directions, by sign-in method."""

from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.databases.stored_batches import (
    Account,
    Batch,
    Person,
    batches_of,
    impatient,
    patient,
    store_batches,
)
from tests.support.databases.stored_data import execute_sql

from anyscale.errors import NotFound
from anyscale.server.core.accounts.account_details import AccountDetailsQuery
from anyscale.server.core.accounts.queries import UserQueries
from anyscale.server.core.search import NarrowedQuery, UserListing, listing
from anyscale.server.core.search.pages import BUDGET
from anyscale.server.core.second_factor.policy import SecondFactorPolicy
from anyscale.server.core.transactions import Transactions
from anyscale.server.store.sql.search import users_by_email
from anyscale.server.store.transaction import Store

pytestmark = pytest.mark.both_stores

ORDERS = ["created", "-created", "email", "-email"]
STATES = ["password", "sso", "link", "none", "suspended"]


def sign_in_of(person: Person, *, has_provider: bool) -> str:
    """How a user can sign in, without the code that finds it. Persons called `ab` have a link."""
    if person.is_suspended:
        return "suspended"
    if person.has_password:
        return "password"
    if person.is_sso_user and has_provider:
        return "sso"
    return "link" if person.name == "ab" else "none"


def add_links(store: Store) -> None:
    with store.write() as tx:
        execute_sql(tx, "delete from links")
        found = execute_sql(tx, "select user_id from users where name = 'ab'").fetchall()
        for at, (user_id,) in enumerate(found):
            sql = "insert into links values (?, ?, 'test', 1, 9, 'admin', '')"
            execute_sql(tx, sql, (bytes([at] * 32), user_id))


def batch_ids(store: Store) -> list[str]:
    with store.read() as tx:
        found = execute_sql(tx, "select batch_id from batches order by id").fetchall()
    return [batch_id for (batch_id,) in found]


def pages_of(users: UserListing, query: NarrowedQuery, limit: int, *, backwards: bool) -> list[str]:
    """Read all pages in one direction; give the emails in the order of the list."""
    emails: list[str] = []
    after = ""
    while True:
        page = users.ordered(query, after=after, backwards=backwards, limit=limit)
        found = [user.email for user in page.users]
        emails = found + emails if backwards else emails + found
        edge = query.place_of(page.users[0 if backwards else -1]) if page.users else ""
        if not page.has_more and page.looked_up_to is None:
            return emails
        after = page.looked_up_to or edge


def in_order(accounts: Sequence[Account], order: str) -> list[Account]:
    if order.endswith("email"):
        accounts = sorted(accounts, key=lambda account: account.email)
    return list(accounts[::-1] if order.startswith("-") else accounts)


@settings(max_examples=40, suppress_health_check=list(HealthCheck))
@given(
    layout=st.lists(batches_of(name=st.sampled_from(["a", "ab"])), max_size=5),
    state=st.sampled_from(["", *STATES]),
    batch=st.sampled_from([None, None, 1, 2]),
    limit=st.integers(1, 4),
    blocks_a_page=st.sampled_from([0.5, 2.5, 1000.0]),
    has_provider=st.booleans(),
    backwards=st.booleans(),
    order=st.sampled_from(ORDERS),
    few_rows=st.sampled_from([1, 4, 1_000]),
)
def test_the_pages_of_a_list_have_each_account_once_in_both_directions(
    shared_stores: Sequence[Store],
    monkeypatch: pytest.MonkeyPatch,
    layout: list[Batch],
    state: str,
    batch: int | None,
    limit: int,
    blocks_a_page: float,
    has_provider: bool,
    backwards: bool,
    order: str,
    few_rows: int,
) -> None:
    monkeypatch.setattr(listing, "BLOCK_ROWS", 3)
    monkeypatch.setattr(users_by_email, "FEW_ROWS", few_rows)
    accounts = store_batches(shared_stores[0], layout)
    add_links(shared_stores[0])
    with shared_stores[0].read() as tx:
        rows = execute_sql(tx, "select email, batch_id from live_users").fetchall()
    batch_id = dict(enumerate(batch_ids(shared_stores[0]), 1)).get(batch or 0, "")
    of_batch = {email for email, of in rows if batch_id in ("", of)}
    expected = [
        account.email
        for account in in_order(accounts, order)
        if state in ("", sign_in_of(account.person, has_provider=has_provider))
        and account.email in of_batch
    ]
    query = NarrowedQuery(sign_in=state, batch_id=batch_id, order=order)
    users = impatient(shared_stores[has_provider], BUDGET / blocks_a_page)
    assert pages_of(users, query, limit, backwards=backwards) == expected
    with shared_stores[has_provider].read() as tx:
        counts = tx.users.count()
    assert counts == Counter(
        sign_in_of(account.person, has_provider=has_provider) for account in accounts
    )


def test_accounts_are_found_by_their_ids_and_emails(shared_stores: Sequence[Store]) -> None:
    store_batches(shared_stores[0], [Batch("published", [Person("ab")] * 3), Batch("open", [])])
    add_links(shared_stores[0])
    transactions = Transactions(shared_stores[0])
    queries = UserQueries(transactions)
    details = AccountDetailsQuery(transactions, SecondFactorPolicy())
    found = [queries.find_id(text) for text in ("A10@X.org", "a12@x.org", "nobody", "usr_0", "\0")]
    ids = [user_id for user_id in found if user_id]
    assert [user_id is None for user_id in found] == [False, False, True, True, True]
    assert queries.find_id(ids[0].upper()) == ids[0]
    emails = [user.email for user in queries.with_ids([ids[1], "usr_0", ids[0]])]
    assert emails == ["a10@x.org", "a12@x.org"]
    account = details.get(ids[0])
    assert (account.account.email, account.sign_in, account.sessions) == ("a10@x.org", "link", [])
    assert account.link is None, "it has expired"
    with pytest.raises(NotFound):
        details.get("usr_0")


def test_a_search_has_the_filters_of_a_list(shared_stores: Sequence[Store]) -> None:
    people = [Person("ab"), Person("ab", has_password=True), Person("a"), Person("ab")]
    store_batches(shared_stores[0], [Batch("published", people), Batch("published", people)])
    add_links(shared_stores[0])
    users = patient(shared_stores[0])
    batch_id = batch_ids(shared_stores[0])[1]
    for text in ("ab", "a"):  # as parts, and as the beginning of an email
        found = users.search(NarrowedQuery(search=text, sign_in="link", batch_id=batch_id), "", 9)
        assert [(user.email, user.sign_in) for user in found.users] == [
            ("a20@x.org", "link"),
            ("a23@x.org", "link"),
        ]
    with pytest.raises(ValueError, match="not a search"):
        users.search(NarrowedQuery(), "", 9)
