"""The PostgreSQL store: the rules of every store, and what is asked of a server."""

from collections.abc import Callable, Iterator

import psycopg
import pytest

from anyscale.server.store.base import Store
from anyscale.server.store.postgres import PostgresStore
from anyscale.server.store.testing import StoreContract


class TestPostgres(StoreContract):
    @pytest.fixture
    def store(self, postgres_url: str) -> Iterator[Store]:
        with PostgresStore(postgres_url) as store:
            yield store

    @pytest.fixture
    def set_schema(self, postgres_url: str) -> Callable[[int], None]:
        def write(number: int) -> None:
            with psycopg.connect(postgres_url) as connection:
                connection.execute("update schema_version set version = %s", (number,))

        return write
