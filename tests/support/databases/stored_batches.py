"""Batches in a store that ended in different ways, and lists that read them page by page."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import date
from itertools import count
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import strategies as st
from msgspec import Struct
from tests.store.contract.steps import batch_row, rows_of, user_id_of, user_row
from tests.support.databases.stored_data import execute_sql
from tests.support.servers.control_planes import NewDeployment

from anyscale.domain.times import start_of
from anyscale.domain.user_query import UserQuery
from anyscale.server.core.search.listing import UserListing
from anyscale.server.core.transactions import Transactions
from anyscale.server.store.postgres.store import PostgresStore
from anyscale.server.store.records.batches import BatchRecord
from anyscale.server.store.records.users import NewUserRecord
from anyscale.server.store.sqlite.store import SqliteStore
from anyscale.server.store.transaction import Store, Transaction
from anyscale.user.models import User


class Person(Struct, frozen=True):
    """A user of a batch, with what filters look at."""

    name: str
    #: how the email begins
    email: str = "a"
    lastname: str | None = None
    is_sso_user: bool = False
    is_owner: bool = False
    is_suspended: bool = False
    has_password: bool = False
    has_second_factor: bool = False
    #: of the last sign-in
    last_day: date | None = None
    #: whether it is there after an undo of its batch
    stays: bool = True


class Batch(Struct, frozen=True):
    """A batch, and how it ended."""

    state: str
    people: Sequence[Person]


class Account(NamedTuple):
    """An account, with its place in the order of publishing."""

    person: Person
    email: str
    publication: int
    position: int


_PUBLISHED = ("published", "undoing", "undone")
#: of sign-ins, and of filters
DAYS = st.dates(date(2026, 9, 29), date(2026, 10, 1))
STATES = (*_PUBLISHED, "published", "open", "dropped", "expired")


def batches_of(**texts: st.SearchStrategy[str | None]) -> st.SearchStrategy[Batch]:
    """Return batches that ended in any way, of people with any flags and some texts."""
    people = st.builds(
        Person,
        is_sso_user=st.booleans(),
        is_owner=st.booleans(),
        is_suspended=st.booleans(),
        has_password=st.booleans(),
        has_second_factor=st.booleans(),
        last_day=st.none() | DAYS,
        stays=st.booleans(),
        **texts,
    )
    return st.builds(Batch, state=st.sampled_from(STATES), people=st.lists(people, max_size=6))


def store_batches(store: Store, layout: Sequence[Batch]) -> list[Account]:
    """Replace all batches of a store; return the accounts in the order of their creation."""
    accounts: list[Account] = []
    with store.write() as tx:
        for table in ("users", "batches", "user_words", "factors"):
            execute_sql(tx, f"delete from {table}")
        execute_sql(tx, "update search_index set publication = 0, position = 0")
        publications = count(1)
        for number, batch in enumerate(layout, 1):
            rows = _insert(tx, number, batch)
            if batch.state in _PUBLISHED:
                accounts += _accounts(batch, rows, next(publications))
        _remove_undone(tx, _emails(tx) - {account.email for account in accounts})
    return accounts


def _insert(tx: Transaction, number: int, batch: Batch) -> list[NewUserRecord]:
    record = tx.batches.add(batch_row(number))
    assert record
    rows = [
        user_row(
            record,
            at,
            f"{person.email}{number}{at}@x.org",
            name=person.name,
            lastname=person.lastname,
            is_sso_user=person.is_sso_user,
        )
        for at, person in enumerate(batch.people)
    ]
    assert tx.users.insert(record.id, rows_of(rows)) == []
    users = defaultdict(list)
    for at, person in enumerate(batch.people):
        users[person].append(user_id_of(record, at))
    for person, user_ids in users.items():
        _set_flags(tx, user_ids, person)
    _end(tx, record, batch.state)
    return rows


def _set_flags(tx: Transaction, user_ids: Sequence[str], person: Person) -> None:
    role = "owner" if person.is_owner else "collaborator"
    password_hash = "hash" if person.has_password else None
    suspended_at = 7 if person.is_suspended else None
    last_sign_in = person.last_day and start_of(person.last_day)
    sql = (
        "update users set permission_level = ?, suspended_at = ?, password_hash = ?,"
        " last_sign_in = ?"
        f" where user_id in ({', '.join('?' * len(user_ids))})"
    )
    execute_sql(tx, sql, (role, suspended_at, password_hash, last_sign_in, *user_ids))
    if person.has_second_factor or person.has_password:
        confirmed_at = "7" if person.has_second_factor else "null"
        sql = (
            "insert into factors (factor_id, user_id, kind, name, created_at, confirmed_at)"
            f" select user_id, user_id, 'totp', '', 7, {confirmed_at} from users"
            f" where user_id in ({', '.join('?' * len(user_ids))})"
        )
        execute_sql(tx, sql, tuple(user_ids))


def _end(tx: Transaction, batch: BatchRecord, state: str) -> None:
    if state in _PUBLISHED:
        tx.batches.publish(batch.id, "local:joe", 5_000)
    if state in ("undoing", "undone"):
        tx.batches.set_undone(batch.id, state)
    if state in ("dropped", "expired"):
        tx.batches.set_state(batch.id, state)


def _accounts(batch: Batch, rows: Sequence[NewUserRecord], publication: int) -> Iterator[Account]:
    for at, (person, row) in enumerate(zip(batch.people, rows, strict=True)):
        if batch.state == "published" or person.stays:
            yield Account(person, row.email, publication, at)


def _emails(tx: Transaction) -> set[str]:
    found = execute_sql(tx, "select email from live_users").fetchall()
    return {email for (email,) in found}


def _remove_undone(tx: Transaction, emails: set[str]) -> None:
    for email in emails:
        execute_sql(tx, "delete from users where email = ?", (email,))


@pytest.fixture(scope="module")
def shared_store(new_deployment: NewDeployment) -> Iterator[Store]:
    """A store that the tests of a module share."""
    with new_deployment() as deployment, closing(deployment.control_plane()) as control_plane:
        yield control_plane.store


@pytest.fixture(scope="module")
def shared_stores(new_deployment: NewDeployment) -> Iterator[Sequence[Store]]:
    """Two stores on one database: without an identity provider, and with one."""
    with (
        new_deployment() as deployment,
        closing(deployment.control_plane()) as control_plane,
        closing(open_store(deployment.database, has_provider=True)) as with_provider,
    ):
        yield control_plane.store, with_provider


def open_store(database: Path | str, *, has_provider: bool) -> Store:
    """Open a store on a database that exists."""
    if isinstance(database, Path):
        return SqliteStore(database, has_provider=has_provider)
    return PostgresStore(database, has_provider=has_provider)


def impatient(store: Store, seconds_a_block: float) -> UserListing:
    """Lists of a control plane on which each block takes a time."""
    ticks = count()
    return UserListing(Transactions(store), clock=lambda: next(ticks) * seconds_a_block)


def patient(store: Store) -> UserListing:
    """Lists of a control plane on which no time passes, however busy the machine is."""
    return UserListing(Transactions(store), clock=lambda: 0.0)


def read_all(
    users: UserListing, query: UserQuery, limits: Iterator[int], cursor: str = ""
) -> list[User]:
    """Read all pages behind a cursor, with a limit for each."""
    found: list[User] = []
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
    """Generate limits for many pages."""
    return (limits[number % len(limits)] for number in range(10_000))
