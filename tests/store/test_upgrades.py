"""Databases of earlier versions open, keep all that they had, and go on."""

import hashlib
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.store.contract.steps import batch_row, rows_of, token_row, user_id_of, user_row
from tests.store.old_databases import (
    OldDatabase,
    all_rows,
    fill_batch_of_schema_4,
    fill_old_schema,
    know_steps,
    open_store,
)
from tests.support.databases.indexed_words import index_next, indexed_words, words_of_accounts
from tests.support.databases.stored_data import execute_sql
from tests.support.paths import ROOT
from tests.support.servers.server_in_process import serve_in_process
from tests.support.users import POLICY

from anyscale.cli.user import batch_create
from anyscale.domain import audit_chain
from anyscale.errors import StoreUnavailable
from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.callers import Principal
from anyscale.server.core.hashing.pool import CHEAPEST
from anyscale.server.core.login.sessions import ClientInfo
from anyscale.server.core.users.search.index import SearchIndex
from anyscale.server.settings import Settings
from anyscale.server.store import schema_versions
from anyscale.server.store.migrations import folded_lastnames, folded_texts
from anyscale.server.store.records.batches import BatchRecord
from anyscale.server.store.records.search import Place
from anyscale.server.store.transaction import Transaction
from anyscale.transport.base import Transport
from anyscale.transport.embedded import EmbeddedTransport
from anyscale.transport.http import HttpTransport

JANE = Principal("local:jane")

TABLES = ("batches", "chunks", "conflicts", "users", "audit", "tokens")

# SHA-256 of the released steps: a database may have run any of them as it was.
RELEASED = {
    "sqlite": [
        "60d0f12ebc7fc651e3ad226bb6f9ea9353eccc56af2b3a8a63a33b7b03662139",
        "d17362364a978513e5023eec65404be86341c062d3d00212c49a538b868f9eed",
        "81151473cbcf58a1cc615a20aecca117079d965f33637022c14c71a783eab0fb",
        "656dce4c96956da71a759801360c8235a07a61300fed0adabb0f01f493378524",
        "81fa8bed6f5daae9e074373be0cf8e65cbda6dda0749970a8cea9d843344de2a",
        "ebd75578e55787399ffec33ad0cada164befbcca086186bf5deb7a18aeeabec7",
    ],
    "postgres": [
        "c88fa72111e225c364d0240700f98f4d29f180094d029c777b4304d8bf90a601",
        "e20ed26817e6ec381b40a0fb9e2fb40cf45e640f1334a8b863a035ec831dbeef",
        "5c0cd721302eb2d0d72658119ac60646524d2b00499a6443aa59ab689dfe97c4",
        "6cb9f4d019a67dd325e3d83cdc641af390ae8857bfafe00c8ddc92cc232cddf7",
        "6ee42160dc33570982112d066ac5a933239a9a484b52a1bf742c3efe9af3bb39",
        "706b97815735fc86c2abc7af71afbd8edb136f189803453cf27d3d078b9bfdd0",
    ],
}


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    """Return the address of an empty database."""
    if request.param == "sqlite":
        return tmp_path / "old" / "anyscale.db"
    url: str = request.getfixturevalue("blank_postgres_url")
    return url


@pytest.mark.parametrize("kind", list(RELEASED))
def test_a_released_migration_is_not_edited(kind: str) -> None:
    folder = Path(schema_versions.__file__).parent / "migrations" / kind
    files = sorted(folder.iterdir())[: len(RELEASED[kind])]
    assert [hashlib.sha256(file.read_bytes()).hexdigest() for file in files] == RELEASED[kind]


# A database of an earlier schema


@pytest.fixture(params=[1, 2, 3, 4])
def version(request: pytest.FixtureRequest) -> int:
    number: int = request.param
    return number


@pytest.fixture
def kept(
    database: Path | str, version: int, monkeypatch: pytest.MonkeyPatch
) -> dict[str, list[dict[str, object]]]:
    """Fill a database of an earlier schema, and return its rows."""
    with monkeypatch.context() as patch:
        know_steps(patch, version)
        with closing(open_store(database)) as store, store.write() as tx:
            fill_old_schema(tx, version)
            tables = {name: name for name in TABLES}
            if version < 4:
                tables["chunks"] = "pages"
            if version == 1:
                del tables["tokens"]
            return all_rows(tx, tables)


def test_a_database_of_an_earlier_schema_keeps_all_rows(
    database: Path | str, version: int, kept: dict[str, list[dict[str, object]]]
) -> None:
    open_store(database).close()
    new: dict[str, dict[str, object]] = {"users": {"lastname_folded": None}}
    if version < 4:
        new["users"] |= {"used_at": None, "email_folded": None, "name_folded": "strasse"}
    if version < 3:
        new["users"] |= {"password_set_at": None, "suspended_at": None}
        new["tokens"] = {"user_id": None}
    with closing(open_store(database)) as store:
        store.ready()
        with store.read() as tx:
            found = all_rows(tx, {name: name for name in kept})
    for row in kept["conflicts"] if version < 4 else []:
        row["chunk"] = row.pop("page")
    for row in kept["batches"]:
        row["publication"] = 1 if row["state"] == "published" else None
    assert [len(kept[table]) for table in ("batches", "users")] == [2, 4]
    for table, rows in kept.items():
        assert found[table] == [row | new.get(table, {}) for row in rows]


@pytest.mark.usefixtures("kept")
def test_the_accounts_of_an_earlier_schema_can_be_used(database: Path | str) -> None:
    batch = batch_row(1)
    with closing(open_store(database)) as store, store.write() as tx:
        user = tx.accounts.find("user1@x.org")
        assert user
        assert (user.batch_id, user.lastname, user.created_at) == (batch.batch_id, "Doe", 5_000)
        assert (user.password_hash, user.password_set_at, user.suspended_at) == ("hash", None, None)
        assert tx.accounts.find("user2@x.org") is None  # of the open batch
        tx.accounts.set_password(user.user_id, "new", 7)
        tx.accounts.set_suspended(user.user_id, 8)
        columns = "user_id, password_set_at, suspended_at"
        live = execute_sql(tx, f"select {columns} from live_users order by 1").fetchall()
        found = tx.users.list(email="", name="strasse", after="", limit=9)
    assert live == [(user.user_id, 7, 8), (user_id_of(batch, 1), None, None)]
    assert [account.user_id for account in found] == [user_id_of(batch, at) for at in range(2)]


@pytest.mark.usefixtures("kept")
def test_the_names_of_tokens_of_an_earlier_schema_are_free_for_users(
    database: Path | str, version: int
) -> None:
    owners = [None, None] if version > 1 else []
    with closing(open_store(database)) as store, store.write() as tx:
        assert tx.tokens.add(token_row(3, "laptop")) == (version == 1)
        assert tx.tokens.add(token_row(4, "laptop", user_id="usr_a"))
        found = [token.user_id for token in tx.tokens.list()]
    assert found == [*(owners or [None]), "usr_a"]


@pytest.mark.usefixtures("kept")
def test_an_open_batch_of_an_earlier_schema_goes_on(database: Path | str) -> None:
    with closing(open_store(database)) as store, store.write() as tx:
        batch = tx.batches.get(batch_row(2).batch_id)
        assert batch
        assert [chunk.users for chunk in tx.chunks.list(batch.id)] == [2]
        assert tx.users.save_hashes(batch.id, [(user_id_of(batch, 0), "hash")]) == 1
        tx.batches.publish(batch.id, "local:joe", 6_000)
        assert tx.accounts.find("user2@x.org")


@pytest.fixture
def published_before(database: Path | str, monkeypatch: pytest.MonkeyPatch) -> list[BatchRecord]:
    """Fill a database of schema 4 with batches; return them in the order of their publishing."""
    times = [3_000, None, 1_000, 2_000, 2_000]
    lastnames = ["STRASSE", "Doe", "Stra\u00dfe", None, "\u0130", "J\u00d6RG"]
    with monkeypatch.context() as patch:
        know_steps(patch, 4)
        with closing(open_store(database)) as store, store.write() as tx:
            for number, published_at in enumerate(times, 1):
                fill_batch_of_schema_4(tx, number, published_at, lastnames)
    return [batch_row(number) for number in (3, 4, 5, 1)]


def test_the_batches_of_before_have_publications_in_the_order_of_their_times(
    database: Path | str, published_before: list[BatchRecord]
) -> None:
    with closing(open_store(database)) as store:
        with store.write() as tx:
            tx.batches.publish(2, "local:joe", 1_500)
        with store.read() as tx:
            found = tx.batches.list(open_only=False, before="", limit=9)
    batches = sorted(found, key=lambda batch: batch.publication or 0)
    ids = [batch.batch_id for batch in (*published_before, batch_row(2))]
    assert [batch.batch_id for batch in batches] == ids
    assert [batch.publication for batch in batches] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("slice_size", [1, 2, 10_000])
@pytest.mark.usefixtures("published_before")
def test_lastnames_of_before_are_folded_unless_they_are_ascii(
    database: Path | str, monkeypatch: pytest.MonkeyPatch, slice_size: int
) -> None:
    monkeypatch.setattr(folded_lastnames, "_SLICE", slice_size)
    sql = "select distinct lastname, lastname_folded from users order by 1"
    with closing(open_store(database)) as store, store.read() as tx:
        found = dict(execute_sql(tx, sql).fetchall())
    folded = {"Stra\u00dfe": "strasse", "\u0130": "i\u0307", "J\u00d6RG": "j\u00f6rg"}
    assert found == {"STRASSE": None, "Doe": None, None: None} | folded


# What docs/operations/upgrade.md describes


def documented_statements() -> list[str]:
    """Return the SQL of the page: mending the index, and the way back on SQLite and PostgreSQL."""
    text = (ROOT / "docs" / "operations" / "upgrade.md").read_text(encoding="utf-8")
    return re.findall(r"^```sql\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def way_back(database: Path | str) -> str:
    _, for_sqlite, for_postgres = documented_statements()
    return for_sqlite if isinstance(database, Path) else for_postgres


def schema_of(database: Path | str) -> list[tuple[str, ...]]:
    """Return all tables, columns, indexes and views of a database."""
    if isinstance(database, Path):
        with closing(sqlite3.connect(database)) as sqlite:
            return sqlite.execute("select name, sql from sqlite_master order by name").fetchall()
    with psycopg.connect(database) as postgres:
        return postgres.execute(
            "select table_name, column_name, data_type from information_schema.columns"
            " where table_schema = 'public' union all select tablename, indexname, indexdef"
            " from pg_indexes where schemaname = 'public' order by 1, 2"
        ).fetchall()


def fill_again(database: Path | str) -> None:
    """Run the documented statements while no server runs, and fill the index by a new one."""
    statements, *_ = documented_statements()
    with closing(open_store(database)) as store:
        with store.write() as tx:
            for statement in statements.split(";")[:-1]:
                execute_sql(tx, statement)
        SearchIndex(store).fill()


def publish_batch(tx: Transaction, number: int, published_at: int) -> None:
    batch = batch_row(number)
    tx.batches.add(batch)
    users = [user_row(batch, at, f"u{at}@b{number}.org") for at in range(3)]
    tx.users.insert(number, rows_of(users))
    tx.batches.publish(number, "local:joe", published_at)


def test_the_documented_statements_fill_the_index_again_without_words_of_deleted_accounts(
    database: Path | str,
) -> None:
    with closing(open_store(database)) as store, store.write() as tx:
        publish_batch(tx, 1, 5_000)
        index_next(tx, 9)
        # As a server of schema 5 does during the filling: it leaves the words.
        execute_sql(tx, "delete from users where email = 'u1@b1.org'")
    fill_again(database)
    with closing(open_store(database)) as store:
        found = indexed_words(store)
        assert found == words_of_accounts(store)
        assert {row[3] for row in found} == {0, 2}


def test_the_documented_statements_give_words_to_batches_that_an_old_server_published(
    database: Path | str,
) -> None:
    with closing(open_store(database)) as store, store.write() as tx:
        for number, published_at in enumerate([5_000, 8_000, 7_000, 8_000], 1):
            publish_batch(tx, number, published_at)
        tx.batches.add(batch_row(5))  # open
        # As a server of schema 4 does after the migration: it knows no publications.
        execute_sql(tx, "update batches set publication = null where id > 1")
    fill_again(database)
    with closing(open_store(database)) as store:
        with store.read() as tx:
            sql = "select id, publication from batches order by id"
            publications = dict(execute_sql(tx, sql).fetchall())
        assert publications == {1: 1, 3: 2, 2: 3, 4: 4, 5: None}
        found = indexed_words(store)
        assert found == words_of_accounts(store)
        assert {row[2:4] for row in found} == {
            (publication, position) for publication in range(1, 5) for position in range(3)
        }


def test_the_documented_way_back_keeps_all_data_and_the_next_upgrade_works(
    database: Path | str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        know_steps(patch, 4)
        open_store(database).close()
        before = schema_of(database)
    with closing(open_store(database)) as store, store.write() as tx:
        tx.batches.add(batch_row(1))
        users = [user_row(batch_row(1), at, f"u{at}@x.org", lastname="JÖRG") for at in range(3)]
        tx.users.insert(1, rows_of(users))
        tx.batches.publish(1, "local:joe", 5_000)
        index_next(tx, 9)
    if isinstance(database, Path):
        with closing(sqlite3.connect(database, isolation_level=None)) as sqlite:
            sqlite.executescript(way_back(database))
    else:
        with psycopg.connect(database) as postgres:
            postgres.execute(way_back(database).encode())
    assert schema_of(database) == before
    with monkeypatch.context() as patch:
        know_steps(patch, 4)
        with closing(open_store(database)) as store:
            store.ready()
            with store.read() as tx:
                sql = "select email, lastname, created_at from live_users order by 1"
                rows = [tuple(row) for row in execute_sql(tx, sql).fetchall()]
    assert rows == [(f"u{at}@x.org", "JÖRG", 5_000) for at in range(3)]
    with closing(open_store(database)) as store, store.read() as tx:
        store.ready()
        assert len(tx.unindexed.list(Place(0, 0), 9)[0]) == 3


def test_the_documented_way_back_leaves_no_word_in_the_free_pages_of_the_file(
    tmp_path: Path,
) -> None:
    database = tmp_path / "anyscale.db"
    with closing(open_store(database)) as store, store.write() as tx:
        tx.batches.add(batch_row(1))
        users = [user_row(batch_row(1), 0, "u@x.org", lastname="Wolkenkuckuck")]
        tx.users.insert(1, rows_of(users))
        tx.batches.publish(1, "local:joe", 5_000)
        index_next(tx, 9)
    assert b"wolkenkuckuck" in database.read_bytes()
    with closing(sqlite3.connect(database, isolation_level=None)) as sqlite:
        sqlite.execute("pragma secure_delete = off")  # as some builds of SQLite have it
        sqlite.executescript(way_back(database))
    assert b"wolkenkuckuck" not in database.read_bytes()


# A database of commit f2874bc


@pytest.fixture
def old(database: Path | str, monkeypatch: pytest.MonkeyPatch) -> OldDatabase:
    return OldDatabase(database, monkeypatch)


def control_plane(old: OldDatabase) -> ControlPlane:
    settings = Settings(
        database=old.database, policy=POLICY, public_url="https://accounts.example.com"
    )
    return ControlPlane(settings, profile=CHEAPEST)


class CheapTransport(EmbeddedTransport):
    """The embedded transport, with the cheapest hashing profile."""

    def __init__(self, old: OldDatabase) -> None:
        super().__init__(control_plane(old).settings)
        self._old = old

    def _open(self, *, create: bool) -> ControlPlane:
        return control_plane(self._old) if create else super()._open(create=False)


@pytest.fixture
def transport(old: OldDatabase) -> Iterator[Transport]:
    """Return a client: in this process on SQLite, over HTTP with the old token on PostgreSQL."""
    if isinstance(old.database, Path):
        yield CheapTransport(old)
    else:
        with serve_in_process(control_plane(old)) as url:
            yield HttpTransport(url, old.details["token"])


def test_the_client_finishes_the_open_batch_with_its_state_file(
    old: OldDatabase,
    transport: Transport,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    data, users_file = tmp_path / "client", tmp_path / "users.yaml"
    monkeypatch.setenv("ANYSCALE_DATA_DIR", str(data))
    old.place_run(data, getattr(transport, "where"), users_file)  # noqa: B009 - of both classes
    batch_id: str = old.details["open_batch"]
    first = f"usr_{batch_id[4:]}00000000"
    sql = f"select password_hash from users where user_id = '{first}'"
    with closing(open_store(old.database)) as store, store.read() as tx:
        (hash_before,) = execute_sql(tx, sql).fetchone()

    monkeypatch.setattr(batch_create, "open_control_plane", lambda _: nullcontext(transport))
    # This process goes on after the command, and its child processes would ignore signals too.
    monkeypatch.setattr(batch_create, "ignore_signals", lambda: None)
    batch_create.batch_create(["-f", str(users_file)], standalone_mode=False)

    assert "5 users created." in capsys.readouterr().err
    assert list(data.rglob("*.run")) == []
    with closing(control_plane(old)) as plane:
        batch = plane.batches.show(batch_id, JANE)
        assert (batch.state, batch.users, batch.hashes_due) == ("published", 5, 0)
        created = plane.batches.created(batch_id, "", 9)
        assert [user.name for user in created] == ["Ada", "Bob", "Cem", "Dora", "Eve"]
        with plane.store.read() as tx:
            hashes = [tx.accounts.get(user.user_id) for user in created]
        assert hashes[0]
        assert hashes[0].password_hash == hash_before
        passwords = [f"seven quiet herons {verb}" for verb in ("wade", "swim", "rest", "nest")]
        for account, password in zip(hashes, passwords, strict=False):
            assert account
            assert plane.hashing.verify(account.password_hash, password)


def test_the_audit_log_goes_on_from_the_noted_head(old: OldDatabase) -> None:
    with closing(control_plane(old)) as plane:
        plane.tokens.create("new", "owner", None, "local:root")
        entries = plane.audit_log.list(0, 1_000)
    verdict = audit_chain.verify(entries, old.details["head"])
    assert verdict.fault is None
    events = [entry.event for entry in entries]
    assert {"session.begun", "access.refused", "batch.dropped"} <= set(events)
    assert events[-1] == "token.created"


def test_tokens_sessions_and_links_still_work(old: OldDatabase) -> None:
    # As if all of it had happened a moment ago.
    with closing(open_store(old.database)) as store, store.write() as tx:
        now = tx.now()
        execute_sql(tx, "update sessions set used_at = ?, expires_at = ?", (now, now + 60_000))
        execute_sql(tx, "update links set expires_at = ?", (now + 60_000,))
    with closing(control_plane(old)) as plane:
        jane = plane.users.with_email("jane.doe@example.com")[0].user_id
        for name, actor in (("token", "token:laptop"), ("personal_token", f"user:{jane}")):
            principal, token = plane.tokens.authenticate(old.details[name])
            assert (principal.actor, token.role) == (actor, "owner")
        for name, method in (("session", "password"), ("sso_session", "sso")):
            user = plane.sessions.authenticate(old.details[name])
            assert (user.session.auth_method, user.session.user_agent) == (method, "Firefox")
        secret = old.details["link"].rpartition("#")[2]
        client = ClientInfo("192.0.2.1", "Firefox")
        plane.passwords.by_link(secret, "nine small owls read", client)


@pytest.mark.parametrize(
    ("spelling", "email"),
    [
        ("νικος@example.com", "νικος@example.com"),
        ("ΝΙΚΟΣ@example.com", "νικος@example.com"),
        ("νικοσ@example.com", "νικος@example.com"),
        ("σίσυφοσ@Example.com", "ΣΊΣΥΦΟΣ@example.com"),
        ("joerg@xn--bcher-kva.example", "joerg@bücher.example"),
        ("jane.doe@example.com", "Jane.Doe@Example.com"),
    ],
)
def test_a_final_sigma_is_a_sigma_in_emails_of_before(
    old: OldDatabase, spelling: str, email: str
) -> None:
    with closing(control_plane(old)) as plane:
        assert [user.email for user in plane.users.with_email(spelling)] == [email]


@pytest.mark.parametrize("slice_size", [1, 2, 10_000])
def test_names_and_emails_of_before_are_found_in_any_case(
    old: OldDatabase, monkeypatch: pytest.MonkeyPatch, slice_size: int
) -> None:
    monkeypatch.setattr(folded_texts, "_SLICE", slice_size)
    with closing(control_plane(old)) as plane:

        def named(name: str) -> list[str]:
            users = plane.users.page(email="", name=name, after="", limit=99)
            return [user.name for user in users]

        def with_email(email: str) -> list[str]:
            users = plane.users.page(email=email, name="", after="", limit=99)
            return [user.name for user in users]

        assert named("STRASSE") == ["Straße"]
        assert named("jörg") == named("JÖR") == ["JÖRG"]
        assert named("ΣΊΣΥΦΟΣ") == named("σίσυφος") == ["Σίσυφος"]
        assert named("jan") == ["Jane"]
        assert with_email("BÜCHER") == ["JÖRG"]
        assert with_email("XN--") == ["JÖRG"]
        assert with_email("ΝΙΚΟΣ") == ["Straße"]


def test_accounts_that_were_used_before_are_marked_as_used(old: OldDatabase) -> None:
    with closing(open_store(old.database)) as store, store.read() as tx:
        sql = "select name, used_at is not null from live_users"
        used = {name: bool(is_used) for name, is_used in execute_sql(tx, sql).fetchall()}
    assert used == {
        "Jane": True,  # signed in, is an owner
        "JÖRG": True,  # signed in by SSO
        "Straße": False,
        "Σίσυφος": False,  # has a link that nobody has used
        "Mallory": False,
        "Quiet": False,
        "Zoe": False,
    }


def test_a_user_whose_session_is_gone_is_marked_as_used_by_the_audit_log(old: OldDatabase) -> None:
    for table in ("sessions", "devices", "identities", "tokens"):
        old.execute(f"delete from {table}")
    with closing(open_store(old.database)) as store, store.read() as tx:
        account = tx.accounts.find("joerg@xn--bcher-kva.example")
        (first,) = execute_sql(
            tx, "select min(at) from audit where actor = ?", (f"user:{_id_of(account)}",)
        ).fetchone()
    assert account
    assert account.used_at == first


def _id_of(account: Any) -> str:
    user_id: str = account.user_id
    return user_id


# Two emails that become one

SIGMA = "update users set email = 'νικοσ@example.com', email_key = 'νικοσ@example.com'"


def test_two_accounts_that_would_have_one_email_stop_the_migration(old: OldDatabase) -> None:
    old.execute(f"{SIGMA} where name = 'Quiet'")
    for _ in range(2):
        with pytest.raises(StoreUnavailable) as caught:
            open_store(old.database)
        message = str(caught.value)
        assert "νικος@example.com (usr_" in message
        assert "νικοσ@example.com (usr_" in message
        assert "`anyscale user delete EMAIL`" in message
    # Nothing was changed: the version of before goes on.
    with pytest.MonkeyPatch.context() as patch:
        know_steps(patch, 3)
        with closing(open_store(old.database)) as store, store.write() as tx:
            store.ready()
            sql = "select email_key from users where name in ('Straße', 'Quiet') order by name"
            keys = {key for (key,) in execute_sql(tx, sql).fetchall()}
            assert keys == {"νικοσ@example.com", "νικος@example.com"}
            execute_sql(tx, "delete from users where name = 'Quiet'")
    with closing(control_plane(old)) as plane:
        assert [user.name for user in plane.users.with_email("νικοσ@example.com")] == ["Straße"]


def test_an_open_batch_with_the_email_of_an_account_is_named(old: OldDatabase) -> None:
    old.execute(f"{SIGMA} where name = 'Bob'")
    with pytest.raises(StoreUnavailable) as caught:
        open_store(old.database)
    assert f"(of the open batch {old.details['open_batch']})" in str(caught.value)
    assert "`anyscale batch drop BATCH_ID`" in str(caught.value)


@pytest.mark.parametrize("name", ["Straße", "Quiet"])
def test_a_row_of_a_dropped_batch_stops_no_migration(old: OldDatabase, name: str) -> None:
    old.execute(f"{SIGMA} where name = 'Quiet'")
    dropped = "select id from batches where state = 'dropped'"
    old.execute(f"update users set batch = ({dropped}) where name = '{name}'")
    with closing(control_plane(old)) as plane:
        (user,) = plane.users.with_email("ΝΙΚΟΣ@example.com")
    assert user.name == ("Quiet" if name == "Straße" else "Straße")


# A migration that is killed

KILLED_WHILE_FOLDING = """
import os, sys
from pathlib import Path
from tests.store.old_databases import open_store
from anyscale.server.store.sql.connection import Connection

import anyscale.server.store.migrations.folded_texts as folded_texts

column = Connection.column

def killed(connection, sql, *values):
    if values[0]:  # the second slice
        os.kill(os.getpid(), 9)
    return column(connection, sql, *values)

folded_texts._SLICE = 2
Connection.column = killed
url = sys.argv[1]
open_store(url if "://" in url else Path(url))
"""


def test_a_migration_that_is_killed_is_done_by_the_next_start(old: OldDatabase) -> None:
    for _ in range(2):
        killed = subprocess.run(
            [sys.executable, "-c", KILLED_WHILE_FOLDING, str(old.database)], check=False
        )
        assert killed.returncode == -9
    with closing(control_plane(old)) as plane:
        assert [user.name for user in plane.users.with_email("νικοσ@example.com")] == ["Straße"]
        assert plane.batches.show(old.details["open_batch"], JANE).hashes_due == 2
    with closing(open_store(old.database)) as store:
        store.ready()
