"""The SQLite store: the rules of every store, who can read its file, and its indexes."""

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from tests.store.contract.steps import batch_row, rows_of, user_row
from tests.store.contract.suite import StoreContract
from tests.store.query_plans import explained
from tests.store.sqlite.steps import add_batch, count_batches, mode
from tests.support.databases.empty_sqlite import place_empty_file

from anyscale.domain.models.audit import AuditFilter
from anyscale.server.store.sqlite.store import SqliteStore
from anyscale.server.store.transaction import Store, Transaction


class TestSqlite(StoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> Iterator[Store]:
        path = tmp_path / "data" / "anyscale.db"
        place_empty_file(path)
        with closing(SqliteStore(path)) as store:
            yield store

    @pytest.fixture
    def store_with_provider(self, store: SqliteStore) -> Iterator[Store]:
        with closing(SqliteStore(store.path, has_provider=True)) as store_with_provider:
            yield store_with_provider

    @pytest.fixture
    def set_schema(self, tmp_path: Path) -> Callable[[int], None]:
        def write(number: int) -> None:
            with sqlite3.connect(tmp_path / "data" / "anyscale.db") as connection:
                connection.execute(f"update schema_version set version = {number}")
            connection.close()

        return write


# Who can read it


def test_the_file_has_an_application_id_of_its_own(path: Path) -> None:
    SqliteStore(path).close()
    assert path.read_bytes()[68:72] == b"must"


def test_only_the_owner_can_read_the_files_whatever_the_umask(path: Path) -> None:
    umask = os.umask(0)
    try:
        with closing(SqliteStore(path)) as store:
            add_batch(store, 1)
            assert mode(path.parent) == 0o700
            assert {mode(file) for file in path.parent.iterdir()} == {0o600}
            assert (path.parent / "anyscale.db-wal").stat().st_size > 0
    finally:
        os.umask(umask)
    assert [file.name for file in path.parent.iterdir()] == ["anyscale.db"]


def test_a_file_that_others_can_read_becomes_private(path: Path) -> None:
    SqliteStore(path).close()
    path.chmod(0o644)

    SqliteStore(path).close()

    assert mode(path) == 0o600


def test_special_characters_of_urls_are_plain_in_a_file_name(tmp_path: Path) -> None:
    path = tmp_path / "a?mode=memory#50%41" / "any scale.db"

    with closing(SqliteStore(path)) as store:
        add_batch(store, 1)

    with closing(SqliteStore(path, create=False)) as store:
        assert count_batches(store) == 1


# What is found by an index


USER = "usr_" + batch_row(1).batch_id[4:] + "00000000"


@pytest.mark.parametrize(
    ("index", "ask"),
    [
        ("sqlite_autoindex_users_1", lambda tx: tx.accounts.get(USER)),
        ("sqlite_autoindex_users_2", lambda tx: tx.accounts.find("a@x.org")),
        ("users_owners", lambda tx: tx.accounts.lock_owners()),
        (
            "sqlite_autoindex_users_1",
            lambda tx: tx.users.list_without_credentials("bat_1", "", 9),
        ),
        (
            "sqlite_autoindex_users_1",
            lambda tx: tx.users.count_accounts("bat_1"),
        ),
        ("sessions_user", lambda tx: tx.sessions.list(USER)),
        ("sessions_user", lambda tx: tx.sessions.delete(USER)),
        ("sessions_user", lambda tx: tx.accounts.delete(USER)),
        ("devices_user", lambda tx: tx.accounts.delete(USER)),
        ("tokens_user", lambda tx: tx.accounts.delete(USER)),
        ("sqlite_autoindex_users_1", lambda tx: tx.accounts.lock([USER, "usr_none"])),
        ("sqlite_autoindex_users_2", lambda tx: tx.users.find_holders(["a@x.org", "b@x.org"])),
        ("users_hash_due", lambda tx: tx.users.list_pending(1, [USER, "usr_none"])),
        ("users_hash_due", lambda tx: tx.users.count_pending(1)),
        ("batches_live_key", lambda tx: tx.batches.find("key-1")),
        ("sqlite_autoindex_tokens_1", lambda tx: tx.tokens.find("tok_1")),
        ("sqlite_autoindex_tokens_1", lambda tx: tx.tokens.touch("tok_1", 7)),
        ("sqlite_autoindex_tokens_1", lambda tx: tx.tokens.revoke("tok_1", "local:joe", 7)),
        ("sqlite_autoindex_tokens_2", lambda tx: tx.tokens.get(bytes(32))),
        ("tokens_name", lambda tx: tx.tokens.find_named("laptop")),
        ("tokens_name", lambda tx: tx.tokens.list_live(USER, 7)),
        ("sqlite_autoindex_users_1", lambda tx: tx.users.list_with_ids([USER])),
        ("audit_actor", lambda tx: tx.audit.list(0, 9, only=AuditFilter(actor="a"))),
        ("audit_event", lambda tx: tx.audit.list(0, 9, only=AuditFilter(event="a"))),
        ("audit_subject", lambda tx: tx.audit.list(0, 9, only=AuditFilter(subject="a"))),
        ("audit_actor_event", lambda tx: tx.audit.list(0, 9, only=AuditFilter("a", "b"))),
        ("audit_subject_actor", lambda tx: tx.audit.list(0, 9, only=AuditFilter("a", "", "c"))),
        ("audit_subject_event", lambda tx: tx.audit.list(0, 9, only=AuditFilter("", "b", "c"))),
        ("audit_at", lambda tx: tx.audit.list(0, 9, only=AuditFilter(since=7))),
        ("audit_event", lambda tx: tx.audit.list_events()),
        (
            "batches_unfinished",
            lambda tx: tx.batches.list(open_only=True, before="", limit=9),
        ),
        ("batches_open", lambda tx: tx.batches.list_idle(7)),
        ("devices_used", lambda tx: tx.devices.purge(7)),
        ("grants_session", lambda tx: tx.grants.delete_all(session_id="ses_1")),
        ("grants_session", lambda tx: tx.grants.move("ses_1", "ses_2")),
        ("grants_expiry", lambda tx: tx.grants.purge(7, 9)),
    ],
    ids=range(36),
)
def test_an_index_finds_the_rows(
    path: Path, index: str, ask: Callable[[Transaction], object]
) -> None:
    with closing(SqliteStore(path)) as store, store.write() as tx:
        batch = tx.batches.add(batch_row(1))
        assert batch
        tx.users.insert(batch.id, rows_of([user_row(batch, 0, "a@x.org")]))
        tx.batches.publish(batch.id, "local:joe", 5_000)
        with explained(tx, "explain query plan") as steps:
            ask(tx)
    assert any(f" INDEX {index}" in step for step in steps)
    # Conflicts have no index by email, and few are kept. The index of owners has no other rows, and
    # the watermark of the index of words is one row.
    small = (
        *("SCAN conflicts", "SCAN json_each", "SCAN search_index"),
        "SCAN found",  # the events that were found so far
        "SCAN CONSTANT ROW",  # the name of a table that has rows of an account
        "SCAN users USING INDEX users_owners",
    )
    assert [step for step in steps if step.startswith("SCAN") and not step.startswith(small)] == []


def test_counting_accounts_sorts_nothing(path: Path) -> None:
    """It is done each minute, and to sort a million accounts would take 80 MiB."""
    with (
        closing(SqliteStore(path)) as store,
        store.read() as tx,
        explained(tx, "explain query plan") as steps,
    ):
        tx.users.count()
    assert steps
    assert [step for step in steps if "TEMP B-TREE" in step] == []
