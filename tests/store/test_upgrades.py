"""A database of an earlier schema: it is brought up, and keeps what was in it."""

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.store.contract.steps import batch_row, rows_of, token_row, user_id_of, user_row
from tests.support.stored_data import execute_sql

from anyscale.server.store import schema_versions as steps
from anyscale.server.store.interface import Store, Transaction
from anyscale.server.store.postgres import migrate as postgres_migrate
from anyscale.server.store.postgres import store as postgres
from anyscale.server.store.postgres.store import PostgresStore
from anyscale.server.store.sqlite import migrate
from anyscale.server.store.sqlite import store as sqlite
from anyscale.server.store.sqlite.store import SqliteStore

TABLES = ("batches", "pages", "conflicts", "users", "audit", "tokens")

OPENERS = ("sqlite", "postgres")


@pytest.fixture(params=OPENERS)
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Store]:
    """Give what opens one and the same database, in which nothing was set up."""
    if request.param == "sqlite":
        return lambda: SqliteStore(tmp_path / "data" / "anyscale.db")
    url: str = request.getfixturevalue("blank_postgres_url")
    return lambda: PostgresStore(url)


def know_steps(patch: pytest.MonkeyPatch, newest: int) -> None:
    """Be a version that knows fewer steps."""

    def known(database: str) -> dict[int, str]:
        return {at: step for at, step in steps.steps_of(database).items() if at <= newest}

    for module in (migrate, sqlite, postgres, postgres_migrate):
        patch.setattr(module, "steps_of", known)


def fill(tx: Transaction) -> None:
    """Leave a published and an open batch, and tokens, by statements that schema 2 knows."""
    for number, email in ((1, "Jane@x.org"), (2, "joe@x.org")):
        batch = tx.batches.add(batch_row(number))
        assert batch
        due = user_row(batch, 0, email, lastname="Doe", hash_due=True)
        tx.users.insert(
            batch.id, rows_of([due, user_row(batch, 1, f"sso.{email}", is_sso_user=True)])
        )
        if number == 1:
            assert tx.users.save_hashes(batch.id, [(due.user_id, "hash")]) == 1
            tx.batches.publish(batch.id, "local:joe", 5_000)
    for number, revoked_at in ((1, 7), (2, None)):
        token = token_row(number, "laptop", revoked_at=revoked_at)
        execute_sql(
            tx,
            "insert into tokens (token_id, name, role, hash, created_by, created_at, revoked_at)"
            " values (?, ?, ?, ?, ?, ?, ?)",
            (token.token_id, token.name, token.role, token.hash, "local:jane", 1_000, revoked_at),
        )


def all_rows(tx: Transaction) -> dict[str, list[dict[str, object]]]:
    """Give the rows of the tables that every version has, by the names of their columns."""
    found = {}
    for table in TABLES:
        cursor = execute_sql(tx, f"select * from {table} order by 1, 2")
        names = [column[0] for column in cursor.description]
        found[table] = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    return found


@pytest.fixture
def kept(
    open_store: Callable[[], Store], monkeypatch: pytest.MonkeyPatch
) -> dict[str, list[dict[str, object]]]:
    """Make the database as a version of schema 2 did, and give what it holds."""
    with monkeypatch.context() as patch:
        know_steps(patch, 2)
        store = open_store()
        try:
            store.ready()
            with store.write() as tx:
                fill(tx)
                return all_rows(tx)
        finally:
            store.close()


@pytest.fixture
def upgraded(open_store: Callable[[], Store], kept: object) -> Callable[[], Store]:
    """Bring it up, and give what opens it once more."""
    open_store().close()
    return open_store


def test_people_are_brought_to_a_database_that_keeps_all_that_it_had(
    upgraded: Callable[[], Store], kept: dict[str, list[dict[str, object]]]
) -> None:
    store = upgraded()
    store.ready()
    new = {"users": {"password_set_at", "suspended_at"}, "tokens": {"user_id"}}
    with store.read() as tx:
        found = all_rows(tx)
    store.close()
    assert [len(kept[table]) for table in ("batches", "users", "tokens")] == [2, 4, 2]
    for table in TABLES:
        none = dict.fromkeys(new.get(table, ()))
        assert found[table] == [row | none for row in kept[table]]


def test_the_accounts_of_before_are_accounts_to_which_people_sign_in(
    upgraded: Callable[[], Store],
) -> None:
    store = upgraded()
    batch = batch_row(1)
    with store.write() as tx:
        jane = tx.accounts.find("jane@x.org")
        assert jane
        assert (jane.batch_id, jane.lastname, jane.created_at) == (batch.batch_id, "Doe", 5_000)
        assert (jane.password_hash, jane.password_set_at, jane.suspended_at) == ("hash", None, None)
        assert tx.accounts.find("joe@x.org") is None  # of the open batch
        tx.accounts.set_password(jane.user_id, "new", 7)
        tx.accounts.set_suspended(jane.user_id, 8)
        columns = "user_id, password_set_at, suspended_at"
        live = execute_sql(tx, f"select {columns} from live_users order by 1").fetchall()
    store.close()
    assert live == [(jane.user_id, 7, 8), (user_id_of(batch, 1), None, None)]


def test_the_names_of_tokens_of_before_are_nobodys_and_free_for_a_person(
    upgraded: Callable[[], Store],
) -> None:
    store = upgraded()
    with store.write() as tx:
        assert not tx.tokens.add(token_row(3, "laptop"))
        assert tx.tokens.add(token_row(3, "laptop", user_id="usr_a"))
        assert [token.user_id for token in tx.tokens.list()] == [None, None, "usr_a"]
    store.close()


def test_the_open_batch_of_before_goes_on(upgraded: Callable[[], Store]) -> None:
    store = upgraded()
    with store.write() as tx:
        batch = tx.batches.get(batch_row(2).batch_id)
        assert batch
        assert tx.users.save_hashes(batch.id, [(user_id_of(batch, 0), "hash")]) == 1
        tx.batches.publish(batch.id, "local:joe", 6_000)
        assert tx.accounts.find("joe@x.org")
    store.close()
