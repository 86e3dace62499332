"""Each part of a list or a search reads an index, before the first `analyze` and after it."""

import re
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from tests.store.query_plans import explained
from tests.support.callers import operator
from tests.support.databases.indexed_words import index_next
from tests.support.databases.stored_batches import Batch, Person, open_store, store_batches
from tests.support.databases.stored_data import execute_sql
from tests.support.servers.control_planes import NewDeployment

from anyscale.server.core.batches.batch_details import shown_batch
from anyscale.server.store.postgres.store import PostgresStore
from anyscale.server.store.records.search import Filters, FoundUserRecord, IndexPlace, Scan
from anyscale.server.store.records.users import UserRecord
from anyscale.server.store.sql.search import users_by_email
from anyscale.server.store.transaction import Store, Transaction
from anyscale.server.store.words import LEADING

#: SQLite names an index of a constraint by its number.
BY_ID, BY_EMAIL = "users_pkey", "users_email_key_key"
_SQLITE_NAMES = {"sqlite_autoindex_users_1": BY_ID, "sqlite_autoindex_users_2": BY_EMAIL}

_AFTER = f"usr_{1:024x}{100:08x}"


#: the store of each run, and whether its tables are analyzed
pytestmark = pytest.mark.parametrize(
    ("store_kind", "database"),
    [("sqlite", False), ("postgres", False), ("postgres", True)],
    ids=["sqlite", "postgres", "postgres-analyzed"],
    indirect=True,
    scope="module",
)


@pytest.fixture(scope="module")
def database(request: pytest.FixtureRequest, new_deployment: NewDeployment) -> Iterator[Path | str]:
    """A database with a published batch and an open one, with a few accounts for each filter."""
    with new_deployment() as deployment, closing(deployment.control_plane()) as control_plane:
        usual = Person("Jane", "jane", "Doe", has_password=True, has_second_factor=True)
        special = [
            Person("Joe", is_owner=True),
            Person("Joe", is_suspended=True),
            Person("Joe", is_sso_user=True),
        ]
        people = [usual] * 4_000 + special * 5
        store_batches(control_plane.store, [Batch("published", people), Batch("open", people)])
        with control_plane.store.write() as tx:
            index_next(tx, 9_000)
            if request.param:
                execute_sql(tx, "analyze")
        yield deployment.database


@pytest.fixture(scope="module")
def many(database: Path | str) -> Iterator[Store]:
    """A store on the database, without an identity provider."""
    with closing(open_store(database, has_provider=False)) as store:
        yield store


@pytest.fixture(scope="module")
def many_with_provider(database: Path | str) -> Iterator[Store]:
    """A store on the database, with an identity provider."""
    with closing(open_store(database, has_provider=True)) as store:
        yield store


def plan_of(store: Store, read: Callable[[Transaction], object]) -> str:
    """Run a call; return the plans of its statements."""
    explain = "explain" if isinstance(store, PostgresStore) else "explain query plan"
    with store.read() as tx, explained(tx, explain) as lines:
        read(tx)
    return "\n".join(lines)


def indexes_of(store: Store, read: Callable[[Transaction], object]) -> set[str]:
    """Run a call; return the indexes by which it reads the users."""
    plan = plan_of(store, read)
    assert not re.search(r"Seq Scan on users|SCAN users", plan), plan
    assert not re.search(r"Seq Scan on factors|SCAN factors", plan), plan
    names = re.findall(r"using (\w+) on users|users USING (?:COVERING )?INDEX (\w+)", plan)
    return {_SQLITE_NAMES.get(name, name) for pair in names for name in pair if name}


def read_block(store: Store, filters: Filters, *, newest_first: bool) -> set[str]:
    """Read a block of a list; return the indexes by which it reads the users."""
    scan = Scan(filters, newest_first=newest_first)
    after = f"usr_{2:024x}" if newest_first else _AFTER
    return indexes_of(
        store, lambda tx: tx.user_scan.read(UserRecord, scan, after, rows=200, limit=100)
    )


LISTS = {
    "all": (Filters(), {BY_ID}),
    "owners": (Filters(role="owner"), {"users_owners"}),
    "suspended": (Filters(suspended=True), {"users_suspended"}),
    "sso": (Filters(sso=True), {"users_sso"}),
    "without credentials": (
        Filters(without_credentials=True),
        {"users_without_password", "users_sso"},
    ),
    "suspended owners": (Filters(role="owner", suspended=True), {"users_owners"}),
    "suspended SSO users": (Filters(suspended=True, sso=True), {"users_suspended"}),
    "SSO users by name": (Filters(sso=True, name="x"), {"users_sso"}),
    "by email": (Filters(email="x"), {BY_ID}),
    "with a password": (Filters(sign_in="password"), {BY_ID}),
    "by SSO alone": (Filters(sign_in="sso"), {"users_sso"}),
    "without a link": (Filters(sign_in="none"), {"users_without_password", "users_sso"}),
    "with a link": (Filters(sign_in="link"), {BY_ID}),
    "without a second factor": (Filters(without_second_factor=True), {BY_ID}),
    "owners without one": (Filters(role="owner", without_second_factor=True), {"users_owners"}),
    "of a batch": (Filters(batch_id="bat_1"), {BY_ID}),
    "without a sign-in since": (Filters(not_since=7), {BY_ID}),
    "suspended without one": (Filters(suspended=True, not_since=7), {"users_suspended"}),
}


@pytest.mark.parametrize("newest_first", [False, True])
@pytest.mark.parametrize("what", LISTS)
def test_a_block_of_a_list_reads_the_index_of_one_filter(
    many: Store, what: str, newest_first: bool
) -> None:
    filters, expected = LISTS[what]
    # The batch of the last row is found by its id.
    assert expected <= read_block(many, filters, newest_first=newest_first) <= expected | {BY_ID}


@pytest.mark.parametrize("is_reverse", [False, True])
@pytest.mark.parametrize("what", LISTS)
@pytest.mark.parametrize("few_rows", [0, 1_000_000])
def test_a_block_by_email_reads_the_index_of_one_filter_or_that_of_the_emails(
    many: Store, monkeypatch: pytest.MonkeyPatch, few_rows: int, what: str, is_reverse: bool
) -> None:
    monkeypatch.setattr(users_by_email, "FEW_ROWS", few_rows)
    filters, expected = LISTS[what]
    is_of_index = expected != {BY_ID} or filters.sign_in == "link" or filters.batch_id

    def read(tx: Transaction) -> object:
        return tx.users_by_email.read(
            filters, "jane1100@x.org", is_reverse=is_reverse, rows=200, limit=100
        )

    plan = plan_of(many, read)
    assert not re.search(r"Seq Scan on users|SCAN users(?! USING)", plan), plan
    by_email = {BY_EMAIL} if not few_rows or not is_of_index else set()
    read_indexes = indexes_of(many, read)
    assert by_email <= read_indexes, plan
    if not by_email:
        assert expected <= read_indexes <= expected | {BY_ID}, plan


@pytest.mark.parametrize("newest_first", [False, True])
def test_with_a_provider_one_index_has_the_accounts_without_credentials(
    many_with_provider: Store, newest_first: bool
) -> None:
    filters, expected = Filters(without_credentials=True), {"users_without_password"}
    read = read_block(many_with_provider, filters, newest_first=newest_first)
    assert expected <= read <= expected | {BY_ID}


def test_a_block_is_in_order_without_a_sort(many: Store) -> None:
    plan = plan_of(
        many, lambda tx: tx.user_scan.read(UserRecord, Scan(), _AFTER, rows=200, limit=100)
    )
    assert "Sort" not in plan
    assert "TEMP B-TREE" not in plan


def test_a_part_of_a_text_is_looked_for_by_id(many: Store) -> None:
    scan = Scan(parts=["x", "y"])
    read = indexes_of(
        many, lambda tx: tx.user_scan.read(FoundUserRecord, scan, _AFTER, rows=200, limit=100)
    )
    assert read == {BY_ID}


@pytest.mark.parametrize("after", ["", "jane1100@x.org"])
def test_emails_are_found_by_their_index(many: Store, after: str) -> None:
    read = indexes_of(many, lambda tx: tx.searched_users.by_email("jane", "janf", after, 200))
    assert read == {BY_EMAIL}


def test_many_emails_are_found_by_their_index(many: Store) -> None:
    emails = [f"jane{at}@x.org" for at in range(100)]
    assert indexes_of(many, lambda tx: tx.users.list_with_emails(emails)) == {BY_EMAIL}


def test_an_email_and_an_id_are_found_by_their_indexes(many: Store) -> None:
    assert indexes_of(many, lambda tx: tx.searched_users.get("a@x.org", "usr_1")) == {
        BY_EMAIL,
        BY_ID,
    }


def test_a_batch_with_its_counts_reads_its_accounts_once(many: Store) -> None:
    with many.read() as tx:
        batches = tx.batches.list(open_only=False, before="", limit=9)
    batch = next(one for one in batches if one.published_at)
    caller = operator("jane")
    plan = plan_of(many, lambda tx: shown_batch(tx, batch, caller))
    # its accounts, and those of the users that it has skipped, by their emails and external ids
    found = re.findall(r"on users\b|(?:SEARCH|SCAN) (?:users|by_email|by_external_id)\b", plan)
    assert len(found) == 3, plan
    assert not re.search(r"(?:Seq Scan on|SCAN) (?:users|by_)", plan), plan


@pytest.mark.parametrize("after", [None, ("jane", 1, 100)])
def test_words_are_found_by_their_index(many: Store, after: tuple[str, int, int] | None) -> None:
    plan = plan_of(
        many,
        lambda tx: tx.words.range(
            kind=LEADING,
            first="jane",
            end="janf",
            after=after,
            watermark=IndexPlace(1, 10_000),
            limit=200,
        ),
    )
    # PostgreSQL reads all of so few users, and the index of a hundred thousand.
    assert re.search(r"using user_words_pkey|user_words USING PRIMARY KEY", plan), plan


@pytest.mark.parametrize("after", [IndexPlace(0, 0), IndexPlace(1, 100), IndexPlace(1, 4_000)])
def test_accounts_without_words_are_found_by_their_ids(many: Store, after: IndexPlace) -> None:
    assert indexes_of(many, lambda tx: tx.unindexed.list(after, 300)) == {BY_ID}
