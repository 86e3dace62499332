"""The PostgreSQL store when a server stops, a connection is lost, or others are in the way."""

import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from typing import Any

import psycopg
import pytest
from tests.store.contract.steps import batch_row, chunk_row, delete_chunk, rows_of, user_row
from tests.support.databases.postgres import PostgresServer
from tests.support.databases.stored_data import execute_sql
from tests.support.waiting import wait_until

from anyscale.errors import StoreUnavailable
from anyscale.server.store.postgres import pool as postgres_pool
from anyscale.server.store.postgres.insert_users import PostgresUsers
from anyscale.server.store.postgres.store import PostgresStore
from anyscale.server.store.records.batches import BatchRecord, EmailHolder
from anyscale.server.store.transaction import Store


@pytest.fixture
def store(postgres_url: str) -> Iterator[PostgresStore]:
    with closing(PostgresStore(postgres_url)) as store:
        yield store


def add(store: Store, number: int) -> BatchRecord:
    with store.write() as tx:
        batch = tx.batches.add(batch_row(number))
    assert batch
    return batch


def reserve(
    store: Store, batch: BatchRecord, emails: Sequence[str], first: int = 0
) -> Sequence[EmailHolder]:
    with store.write() as tx:
        users = [user_row(batch, at, email) for at, email in enumerate(emails, first)]
        return tx.users.insert(batch.id, rows_of(users))


def drop(store: Store, batch: BatchRecord) -> None:
    with store.write() as tx:
        tx.batches.lock(batch.batch_id, exclusive=True)
        tx.batches.set_state(batch.id, "dropped")


def clear(store: Store, batch: BatchRecord) -> None:
    with store.write() as tx:
        delete_chunk(tx, batch.id, 0, user_row(batch, 0, "").user_id, f"usr_{batch.batch_id[4:]}g")


def is_there(store: Store, number: int) -> bool:
    with store.read() as tx:
        return tx.batches.get(batch_row(number).batch_id) is not None


def sessions(url: str) -> int:
    """Count the sessions of stores in a database."""
    count = "select count(*) from pg_stat_activity where datname = current_database()"
    with psycopg.connect(url) as connection:
        row = connection.execute(f"{count} and application_name = 'musterroll'").fetchone()
    assert row
    return int(row[0])


# A server that goes and comes back


@pytest.mark.parametrize(
    "end", [lambda s: s.stop("immediate"), lambda s: s.stop("fast"), PostgresServer.kill]
)
def test_the_next_call_works_when_the_server_is_back(
    postgres_server: PostgresServer,
    stoppable_postgres_url: str,
    end: Callable[[PostgresServer], None],
) -> None:
    with closing(PostgresStore(stoppable_postgres_url)) as store:
        with store.read(), store.read(), store.write() as tx:  # three that will be idle
            tx.batches.add(batch_row(1))
        end(postgres_server)
        try:
            for begin in (store.read, store.write):
                with pytest.raises(StoreUnavailable) as caught, begin():
                    pass
                assert not caught.value.outcome_unknown
            with pytest.raises(StoreUnavailable):
                store.ready()
        finally:
            postgres_server.start()
        store.ready()
        assert is_there(store, 1)
        add(store, 2)


def test_a_server_that_stops_in_a_transaction_leaves_nothing_of_it(
    postgres_server: PostgresServer, stoppable_postgres_url: str
) -> None:
    with closing(PostgresStore(stoppable_postgres_url)) as store:

        def stop() -> None:
            with store.write() as tx:
                tx.batches.add(batch_row(1))
                postgres_server.stop("immediate")

        with pytest.raises(StoreUnavailable) as caught:
            stop()
        postgres_server.start()
        assert caught.value.outcome_unknown
        assert not is_there(store, 1)


# A connection that is lost


def backend_pid(tx: Any) -> int:
    return int(execute_sql(tx, "select pg_backend_pid()").fetchone()[0])


def lose(url: str, tx: Any) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("select pg_terminate_backend(%s, 5000)", (backend_pid(tx),))


@pytest.mark.parametrize("when", ["before a statement", "before the end"])
def test_a_connection_that_is_lost_in_a_transaction_leaves_nothing_of_it(
    store: PostgresStore, postgres_url: str, when: str
) -> None:
    def write() -> None:
        with store.write() as tx:
            tx.batches.add(batch_row(1))
            lose(postgres_url, tx)
            if when == "before a statement":
                tx.batches.add(batch_row(2))

    with pytest.raises(StoreUnavailable) as caught:
        write()
    assert caught.value.outcome_unknown
    assert not is_there(store, 1)
    add(store, 1)


def test_the_error_of_a_connection_lost_in_a_read_says_that_nothing_had_begun(
    store: PostgresStore, postgres_url: str
) -> None:
    def read() -> None:
        with store.read() as tx:
            lose(postgres_url, tx)
            tx.tokens.list()

    with pytest.raises(StoreUnavailable) as caught:
        read()
    assert not caught.value.outcome_unknown


# A store that is closed


def test_a_connection_in_use_is_closed_when_its_store_was_closed_meanwhile(
    store: PostgresStore, postgres_url: str
) -> None:
    with store.read():
        store.close()
        assert sessions(postgres_url) == 1
    deadline = time.monotonic() + 10  # PostgreSQL needs a moment to end one
    while sessions(postgres_url):
        assert time.monotonic() < deadline


def test_a_call_that_waits_for_a_connection_fails_when_the_store_is_closed(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_pool, "MAX_CONNECTIONS", 1)
    with closing(PostgresStore(postgres_url)) as store, ThreadPoolExecutor(1) as pool:
        with store.read():
            waiting = pool.submit(is_there, store, 1)
            with pytest.raises(TimeoutError):
                waiting.result(timeout=0.2)
            store.close()
        with pytest.raises(StoreUnavailable, match="is closed"):
            waiting.result()


# Others in the way


@pytest.mark.parametrize("taken", [[], ["m@x.org"]], ids=["all-free", "one-taken"])
def test_users_are_inserted_in_the_order_of_their_emails(
    store: PostgresStore, taken: Sequence[str]
) -> None:
    """Else two pages that overlap could each wait for the other, which takes a second to find."""
    reserve(store, add(store, 1), taken)
    emails = ["m@x.org", "a@x.org", "z@x.org", "B@x.org"]
    reserve(store, add(store, 2), emails)
    with store.read() as tx:
        sql = "select email_key from users where email <> 'm@x.org' order by ctid"
        found = execute_sql(tx, sql).fetchall()
        assert [key for (key,) in found] == ["a@x.org", "b@x.org", "z@x.org"]


@pytest.mark.parametrize("what", ["reservations", "clears"])
def test_users_are_deleted_in_the_order_of_their_emails(
    store: PostgresStore, postgres_url: str, what: str
) -> None:
    """Whatever the order of their ids and their places in the table."""
    ended = add(store, 1)
    emails = ["c@x.org", "b@x.org", "a@x.org"]
    for position, email in enumerate(emails):
        reserve(store, ended, [email], position)
    drop(store, ended)
    lock = "select 1 from users where email_key = %s for update"
    with ThreadPoolExecutor(1) as pool:
        with psycopg.connect(postgres_url) as other:
            other.execute(lock, ("b@x.org",))
            deleting: Future[Any] = (
                pool.submit(reserve, store, add(store, 2), emails)
                if what == "reservations"
                else pool.submit(clear, store, ended)
            )
            wait_until_blocked(other)
            other.execute(f"{lock} nowait", ("c@x.org",))
            with pytest.raises(psycopg.errors.LockNotAvailable):
                other.execute(f"{lock} nowait", ("a@x.org",))
        assert not deleting.result(30)


def test_of_chunks_that_overlap_in_opposite_order_each_email_is_inserted_once(
    store: PostgresStore,
) -> None:
    """While batches of before, which have all of the emails, are dropped and cleared."""
    emails = [f"u{number}@x.org" for number in range(60)]
    start = threading.Barrier(3)

    def reserve_in(order: Sequence[str], number: int) -> Sequence[EmailHolder]:
        batch = add(store, number)
        start.wait()
        return reserve(store, batch, order)

    def clear_at_once(batch: BatchRecord) -> None:
        start.wait()
        time.sleep(random.random() * 0.005)
        clear(store, batch)

    with ThreadPoolExecutor(3) as pool:
        for turn in range(0, 600, 3):
            ended = add(store, turn)
            reserve(store, ended, emails[::2])
            drop(store, ended)
            clearing = pool.submit(clear_at_once, ended)
            reservations = [
                pool.submit(reserve_in, emails, turn + 1),
                pool.submit(reserve_in, emails[::-1], turn + 2),
            ]
            clearing.result()
            taken = [len(reserving.result()) for reserving in reservations]
            assert sum(taken) == len(emails)
            for number in (turn + 1, turn + 2):
                with store.read() as tx:
                    batch = tx.batches.get(batch_row(number).batch_id)
                assert batch
                drop(store, batch)
                clear(store, batch)


#: whether another transaction waits for a lock of this one
BLOCKS = """
    exists (
        select from pg_locks where not granted and pg_backend_pid() = any(pg_blocking_pids(pid))
    )
"""


def wait_until_blocked(connection: psycopg.Connection[Any]) -> None:
    """Wait until a transaction waits for a lock of a connection."""
    wait_until(lambda: connection.execute(f"select {BLOCKS}").fetchone() == (True,))


def wait_until_waiting(connection: psycopg.Connection[Any], other: psycopg.Connection[Any]) -> None:
    """Wait until another connection waits for a lock."""
    sql = "select count(*) > 0 from pg_locks where not granted and pid = %s"
    pid = other.info.backend_pid
    wait_until(lambda: connection.execute(sql, (pid,)).fetchone() == (True,))


@pytest.mark.parametrize("what", ["reservations", "clears"])
def test_statements_that_a_deadlock_undid_are_repeated(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    lock = "select 1 from users where email_key = %s for update"
    emails = ["a@x.org", "b@x.org", "c@x.org", "d@x.org"]
    with closing(PostgresStore(postgres_url)) as store:
        ended, batch = add(store, 1), add(store, 2)
        reserve(store, ended, emails[:3])
        drop(store, ended)
    # This side finds the deadlock first, and is the one that PostgreSQL undoes.
    monkeypatch.setitem(settings(), "deadlock_timeout", "10ms")
    with closing(PostgresStore(postgres_url)) as store, ThreadPoolExecutor(2) as pool:
        with psycopg.connect(postgres_url) as other, psycopg.connect(postgres_url) as third:
            other.execute("set deadlock_timeout = '60s'")
            other.execute(lock, ("c@x.org",))
            third.execute(lock, ("b@x.org",))
            waiting: Future[Any] = (
                pool.submit(reserve, store, batch, emails[::-1])
                if what == "reservations"
                else pool.submit(clear, store, ended)
            )
            wait_until_blocked(third)  # and has locked the first row
            locking = pool.submit(other.execute, lock, ("a@x.org",))
            wait_until_waiting(third, other)
            # PostgreSQL looks for a deadlock once, `deadlock_timeout` after a wait began: now this
            # side begins the wait that closes the circle.
            third.rollback()
            locking.result(60)
        assert not waiting.result(60)
        with store.read() as tx:
            owners = tx.users.find_holders(emails)
        assert len(owners) == (4 if what == "reservations" else 0)


def settings() -> dict[str, str]:
    from anyscale.server.store.postgres import pool as postgres_pool

    return postgres_pool._SETTINGS


def test_an_email_is_inserted_if_its_holder_is_deleted_meanwhile(
    store: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended, batch = add(store, 1), add(store, 2)
    reserve(store, ended, ["a@x.org"])
    look = PostgresUsers._find_holders
    times: list[int] = []

    def vanish(self: PostgresUsers) -> list[tuple[Any, ...]]:
        if not times:
            clear(store, ended)
        times.append(1)
        return look(self)

    monkeypatch.setattr(PostgresUsers, "_find_holders", vanish)
    assert reserve(store, batch, ["a@x.org", "b@x.org"]) == []
    assert len(times) == 1


def test_an_insert_fails_if_holders_never_stop_vanishing(
    store: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    holder, batch = add(store, 1), add(store, 2)
    reserve(store, holder, ["a@x.org"])
    monkeypatch.setattr(PostgresUsers, "_find_holders", lambda _: [("a@x.org", *[None] * 5)])
    with pytest.raises(StoreUnavailable, match="keep taking and freeing") as caught:
        reserve(store, batch, ["a@x.org"])
    assert caught.value.outcome_unknown


def test_touching_a_batch_neither_waits_nor_makes_others_wait(
    store: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = add(store, 1)
    with store.write() as one, store.write() as other:
        execute_sql(other, "set local lock_timeout = '1s'")
        assert one.batches.lock(batch.batch_id, exclusive=False)
        one.batches.touch(batch.id, 7)
        assert other.batches.lock(batch.batch_id, exclusive=False)
        other.batches.touch(batch.id, 8)
        users = [user_row(batch, 0, "a@x.org")]
        assert other.users.insert(batch.id, rows_of(users)) == []
        other.chunks.save(batch.id, chunk_row(0, users=1), [])
    with store.read() as tx:
        found = tx.batches.get(batch.batch_id)
    assert found
    assert found.touched_at == 7


def test_the_error_says_that_another_transaction_has_locked_the_rows(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(settings(), "lock_timeout", "50ms")
    with closing(PostgresStore(postgres_url)) as store:
        batch = add(store, 1)
        with store.write() as tx:
            tx.batches.lock(batch.batch_id, exclusive=True)
            with pytest.raises(StoreUnavailable, match="holding the same rows"):
                drop(store, batch)
        drop(store, batch)
