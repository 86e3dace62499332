"""The locks of tokens in PostgreSQL, where many calls use one token at the same time."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
from tests.store.contract.steps import token_row
from tests.support.databases.locks import wait_until_blocked

from anyscale.server.store.postgres.store import PostgresStore

TOKEN = token_row(1)


@pytest.fixture
def store(postgres_url: str) -> Iterator[PostgresStore]:
    with closing(PostgresStore(postgres_url)) as store:
        yield store


def lock(store: PostgresStore, *, exclusive: bool) -> Callable[[], None]:
    def run() -> None:
        with store.write() as tx:
            tx.tokens.lock(TOKEN.hash, exclusive=exclusive)

    return run


def test_shared_locks_on_a_token_do_not_wait_for_each_other(store: PostgresStore) -> None:
    with ThreadPoolExecutor(1) as pool, store.write() as tx:
        tx.tokens.lock(TOKEN.hash, exclusive=False)
        pool.submit(lock(store, exclusive=False)).result(30)


def test_a_flood_of_calls_with_a_token_does_not_delay_its_revocation(store: PostgresStore) -> None:
    with ThreadPoolExecutor(2) as pool:
        with store.write() as tx:
            tx.tokens.lock(TOKEN.hash, exclusive=False)
            revoking = pool.submit(lock(store, exclusive=True))
            wait_until_blocked(store, tx)
            later = pool.submit(lock(store, exclusive=False))
            wait_until_blocked(store, tx, 2)
            assert not later.done()
        revoking.result(30)
        later.result(30)


def test_a_token_is_used_while_calls_have_it_locked(store: PostgresStore) -> None:
    with store.write() as tx:
        tx.tokens.add(TOKEN)
    with store.write() as tx:
        tx.tokens.lock(TOKEN.hash, exclusive=False)
        with store.write() as other:
            other.tokens.touch(TOKEN.token_id, 7)
        found = tx.tokens.get(TOKEN.hash)
        assert found
        assert found.used_at == 7
