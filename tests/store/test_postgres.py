"""The PostgreSQL store: the rules of every store, and what is asked of a database."""

import re
import threading
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from urllib.parse import urlsplit

import psycopg
import pytest
from tests.store.contract.steps import batch_row, list_users, rows_of, user_row
from tests.store.contract.suite import StoreContract
from tests.store.query_plans import explained
from tests.support.databases.postgres import PostgresServer, with_database
from tests.support.databases.stored_data import execute_sql

from anyscale.domain.models.audit import AuditFilter
from anyscale.errors import StoreUnavailable
from anyscale.server.store.postgres.errors import DatabaseAddress
from anyscale.server.store.postgres.store import PostgresStore
from anyscale.server.store.records.audit import AuditRecord
from anyscale.server.store.records.search import Filters
from anyscale.server.store.records.users import NewHash
from anyscale.server.store.transaction import Store, Transaction


class TestPostgres(StoreContract):
    @pytest.fixture
    def store(self, postgres_url: str) -> Iterator[Store]:
        with closing(PostgresStore(postgres_url)) as store:
            yield store

    @pytest.fixture
    def store_with_provider(self, postgres_url: str) -> Iterator[Store]:
        with closing(PostgresStore(postgres_url, has_provider=True)) as store:
            yield store

    @pytest.fixture
    def set_schema(self, postgres_url: str) -> Callable[[int], None]:
        return lambda number: set_schema(postgres_url, number)


@pytest.fixture
def store(postgres_url: str) -> Iterator[PostgresStore]:
    with closing(PostgresStore(postgres_url)) as store:
        yield store


def set_schema(url: str, number: int) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("update schema_version set version = %s", (number,))


def tables(url: str) -> set[str]:
    with psycopg.connect(url) as connection:
        found = connection.execute("select relname from pg_class where relnamespace = 2200")
        return {name for (name,) in found}


def publish_users(store: Store, *names: str) -> None:
    with store.write() as tx:
        batch = tx.batches.add(batch_row(1))
        assert batch
        users = [user_row(batch, at, f"u{at}@x.org", name=name) for at, name in enumerate(names)]
        assert tx.users.insert(batch.id, rows_of(users)) == []
        tx.batches.publish(batch.id, "local:joe", 5_000)


def names_with(store: Store, part: str) -> list[str]:
    with store.read() as tx:
        found = list_users(tx, Filters(name=part), limit=100)
        return [user.name for user in found]


# First use, and other versions


def test_eight_servers_may_be_the_first_at_once(blank_postgres_url: str) -> None:
    start = threading.Barrier(8)

    def use(number: int) -> None:
        start.wait()
        with closing(PostgresStore(blank_postgres_url)) as store, store.write() as tx:
            assert tx.batches.add(batch_row(number))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(use, range(8)))
    with closing(PostgresStore(blank_postgres_url)) as store, store.read() as tx:
        assert len(tx.batches.list(open_only=False, before="", limit=100)) == 8


def test_a_step_that_fails_leaves_nothing_of_itself(blank_postgres_url: str) -> None:
    with psycopg.connect(blank_postgres_url) as connection:
        connection.execute("create table audit (number bigint)")  # the last table of the first step

    with pytest.raises(StoreUnavailable, match='relation "audit" already exists'):
        PostgresStore(blank_postgres_url)

    assert tables(blank_postgres_url) == {"audit"}


def test_a_newer_schema_is_refused_by_readers_and_writers(postgres_url: str) -> None:
    set_schema(postgres_url, 99)
    for create in (True, False):
        with pytest.raises(StoreUnavailable, match="schema 99, and this version knows"):
            PostgresStore(postgres_url, create=create)


def test_only_reading_makes_nothing(blank_postgres_url: str) -> None:
    with closing(PostgresStore(blank_postgres_url, create=False)) as store:
        assert store.is_blank
        with pytest.raises(StoreUnavailable, match="start a server of this version"):
            store.ready()
        with pytest.raises(StoreUnavailable, match="it is not set up"), store.read() as tx:
            tx.tokens.list()
    assert tables(blank_postgres_url) == set()
    with closing(PostgresStore(blank_postgres_url)) as store:
        assert not store.is_blank


def test_a_database_that_cannot_store_every_name_is_refused(
    postgres_server: PostgresServer,
) -> None:
    postgres_server.execute(
        "create database ascii encoding 'SQL_ASCII' locale 'C' template template0"
    )
    with pytest.raises(StoreUnavailable, match="encoding SQL_ASCII, which does not hold"):
        PostgresStore(with_database(postgres_server.url, "ascii"))
    postgres_server.execute("drop database ascii with (force)")


# What is found, and how


def test_names_are_found_without_regard_to_case_in_any_locale(
    postgres_server: PostgresServer,
) -> None:
    postgres_server.execute("create database plain encoding 'UTF8' locale 'C' template template0")
    with closing(PostgresStore(with_database(postgres_server.url, "plain"))) as store:
        publish_users(store, "JÖRG", "Straße", "ΣΊΣΥΦΟΣ")
        for name in ("Jörg", "STRASSE", "σίσυφος"):
            assert len(names_with(store, name.casefold())) == 1
    postgres_server.execute("drop database plain with (force)")


def test_a_search_for_a_text_that_postgresql_cannot_store_finds_nothing(
    store: PostgresStore,
) -> None:
    publish_users(store, "Jane")
    assert names_with(store, "a\0") == []
    with store.read() as tx:
        assert list_users(tx, Filters(email="\0"), limit=1) == []
        assert tx.users.list_named("\0", "", 1) == []
        assert tx.accounts.find("\0") is None


def test_the_last_page_of_accounts_is_found_as_quickly_as_the_first(store: PostgresStore) -> None:
    publish_users(store, *["Jane"] * 5_000)
    with store.read() as tx:
        after = user_row(batch_row(1), 4_000, "").user_id
        with explained(tx, "explain") as plans:
            list_users(tx, after=after, limit=100)
    plan = "\n".join(plans)
    assert "using users_pkey" in plan
    assert "Sort" not in plan


FILTERS_BY_INDEX = {
    "audit_actor": AuditFilter(actor="a7"),
    "audit_event": AuditFilter(event="e7"),
    "audit_subject": AuditFilter(subject="s7"),
    "audit_actor_event": AuditFilter(actor="a7", event="e7"),
    "audit_subject_actor": AuditFilter(actor="a7", subject="s7"),
    "audit_subject_event": AuditFilter(event="e7", subject="s7"),
}


def test_a_filter_of_the_audit_log_reads_its_index_in_the_order_of_the_page(
    store: PostgresStore,
) -> None:
    entries = [
        AuditRecord(at, at, f"a{at % 500}", f"e{at % 500}", f"s{at % 500}", "{}", bytes(32))
        for at in range(1, 5_001)
    ]
    with store.write() as tx:
        tx.audit.add(*entries)
    for index, only in FILTERS_BY_INDEX.items():
        with store.read() as tx, explained(tx, "explain") as plans:
            found = tx.audit.list(0, 3, before=4_000, newest_first=True, only=only)
        assert [entry.number for entry in found] == [3_507, 3_007, 2_507]
        plan = "\n".join(plans)
        assert re.search(rf"\b{index}\b", plan), (index, plan)
        assert "Sort" not in plan, (index, plan)


def test_a_period_of_the_audit_log_is_found_by_the_index_of_times(store: PostgresStore) -> None:
    with store.write() as tx:
        tx.audit.add(
            *(AuditRecord(at, at, "a", "e", f"usr_{at}", "{}", bytes(32)) for at in range(1, 5_001))
        )
    only = AuditFilter(account="usr_2500", since=1_000, until=4_000)
    with store.read() as tx, explained(tx, "explain") as plans:
        (found,) = tx.audit.list(0, 50, newest_first=True, only=only)
    assert found.number == 2_500
    plan = "\n".join(plans)
    assert plan.count("Index Only Scan Backward using audit_at") == 2
    assert "Seq Scan" not in plan


def test_of_two_hashes_in_one_call_the_first_stays(store: PostgresStore) -> None:
    with store.write() as tx:
        batch = tx.batches.add(batch_row(1))
        assert batch
        user = user_row(batch, 0, "a@x.org", hash_due=True)
        tx.users.insert(batch.id, rows_of([user]))
        hashes = [NewHash(user.user_id, text) for text in ("first", "later")]
        assert tx.users.save_hashes(batch.id, hashes) == 1
        found = execute_sql(tx, "select password_hash from users")
        assert found.fetchone() == ("first",)


# What a connection is set to


def test_every_connection_writes_to_the_disk_whatever_the_server_is_set_to(
    postgres_url: str,
) -> None:
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("set synchronous_commit = off")
        connection.execute(
            "do $$begin execute format('alter database %I set synchronous_commit = off',"
            " current_database()); end$$"
        )
    with closing(PostgresStore(postgres_url)) as store, store.write() as tx:
        for setting, value in [
            ("synchronous_commit", "on"),
            ("application_name", "musterroll"),
            ("transaction_isolation", "read committed"),
        ]:
            assert execute_sql(tx, f"show {setting}").fetchone() == (value,)


def test_more_threads_than_connections_take_turns(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("anyscale.server.store.postgres.pool.MAX_CONNECTIONS", 2)
    with closing(PostgresStore(postgres_url)) as store:

        def connection(_: int) -> int:
            with store.read() as tx:
                found = execute_sql(tx, "select pg_backend_pid() from pg_sleep(0.01)")
                return int(found.fetchone()[0])

        with ThreadPoolExecutor(8) as pool:
            assert len(set(pool.map(connection, range(32)))) <= 3  # and the one that set it up


def test_the_error_says_that_all_connections_are_in_use(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("anyscale.server.store.postgres.pool.MAX_CONNECTIONS", 1)
    monkeypatch.setattr("anyscale.server.store.postgres.pool._WAIT", 0.05)
    with closing(PostgresStore(postgres_url)) as store:
        with store.read(), pytest.raises(StoreUnavailable, match="are in use") as caught:
            store.ready()
        assert not caught.value.outcome_unknown
        store.ready()


# What is said


def test_a_transaction_with_a_failed_statement_does_not_commit(store: PostgresStore) -> None:
    def fail(number: int) -> None:
        with store.write() as tx:
            tx.batches.add(batch_row(number))
            for _ in range(2):
                with suppress(psycopg.Error):
                    tx.audit.add(AuditRecord(1, 1, "a", "e", "s", "{}", b""))

    with pytest.raises(StoreUnavailable, match="a statement had failed before") as caught:
        fail(1)
    assert caught.value.outcome_unknown
    with store.read() as tx:
        assert tx.batches.get(batch_row(1).batch_id) is None


SECRET = "s3cr3tw0rd"


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://jane:{}@127.0.0.1:1/db",
        "postgresql://jane:{}@host.invalid/db",
        "postgresql://jane@127.0.0.1:1/db?password={}",
        "postgresql://jane:a/{}@127.0.0.1/db",
        "postgresql://jane:12/{}@127.0.0.1/db",
        "postgresql://jane:{}/b@127.0.0.1/db",
        "postgresql://jane:a@{}@127.0.0.1/db",
        "postgresql://jane:%zz{}@127.0.0.1/db",
        "postgresql://jane:[{}@127.0.0.1/db",
        "postgresql://jane:{}@127.0.0.1:port/db",
        "postgresql://jane:{}@127.0.0.1/db?sslmode=never",
        "postgresql://jane:{}@127.0.0.1/db?unknown=1",
        "host=127.0.0.1 port=1 password='{}",
        "{}",
    ],
)
def test_the_password_reaches_no_message(url: str) -> None:
    with pytest.raises(StoreUnavailable) as caught:
        PostgresStore(url.format(SECRET))

    text = "".join(traceback.format_exception(caught.value))
    assert SECRET not in text.replace(url.format(SECRET), "")
    assert not caught.value.outcome_unknown


def test_the_password_is_removed_from_a_message_of_the_server() -> None:
    place = DatabaseAddress(f"postgresql://jane:{SECRET}@db.example/users")
    text = place.message(psycopg.OperationalError(f"no {SECRET}\n  here"))
    assert text == "the database users at db.example: no *** here"


def test_the_message_for_an_unknown_error_cites_no_row(postgres_url: str) -> None:
    address = DatabaseAddress(postgres_url)
    with psycopg.connect(postgres_url) as connection:
        connection.execute("create temp table t (name text not null, n int not null)")
        with pytest.raises(psycopg.IntegrityError) as caught:
            connection.execute("insert into t (name) values ('Jane')")
        connection.rollback()
    assert "Jane" in str(caught.value)
    assert address.message(caught.value) == (
        f'{address}: null value in column "n" of relation "t" violates not-null constraint'
    )


def test_the_error_for_a_refused_user_has_no_password(postgres_url: str) -> None:
    parts = urlsplit(postgres_url)
    host = parts.netloc.rpartition("@")[2]
    url = parts._replace(netloc=f"nobody_of_ours:{SECRET}@{host}").geturl()
    with pytest.raises(StoreUnavailable, match=r"^the database test_") as caught:
        PostgresStore(url)
    assert SECRET not in str(caught.value)


# Transactions that are not durable


def test_only_a_transaction_that_is_not_durable_does_not_wait_for_the_disk(
    store: PostgresStore,
) -> None:
    def setting(tx: Transaction) -> object:
        return execute_sql(tx, "show synchronous_commit").fetchone()[0]

    with store.write() as tx:
        assert setting(tx) == "on"
    with store.write(durable=False) as tx:
        assert setting(tx) == "off"
    with store.write() as tx:
        assert setting(tx) == "on"
