"""A store in PostgreSQL: many writers at once, on any number of hosts."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg

from anyscale.server.store.postgres.connection import PostgresConnection
from anyscale.server.store.postgres.errors import DatabaseAddress, translated
from anyscale.server.store.postgres.insert_users import PostgresUsers
from anyscale.server.store.postgres.migrate import migrate, schema_version
from anyscale.server.store.postgres.pool import BEGIN_READ, Pool
from anyscale.server.store.schema_versions import refuse_newer, require_current, steps_of
from anyscale.server.store.transaction import Transaction

# They name each property, because a database may have other defaults.
WRITE = "begin isolation level read committed read write"
_WRITE_BEHIND = f"{WRITE}; set local synchronous_commit = off"

# Without a synchronous standby, each durable commit waits for one. A user without the rights of a
# monitor sees that there is a standby, and not of which kind.
_WRITES_GO_ON = (
    "select current_setting('synchronous_standby_names') = '' or exists (select 1"
    " from pg_stat_replication where coalesce(sync_state, 'sync') in ('sync', 'quorum'))"
)


class PostgresStore:
    """A store in a database of PostgreSQL 14 or later.

    Args:
        url: `postgresql://...`, as libpq takes it. Its password reaches no message.
        create: whether to create or migrate the schema.
        has_provider: whether SSO users can sign in at an identity provider.

    Raises:
        StoreUnavailable: it cannot be reached, or a newer version has migrated it.
    """

    def __init__(self, url: str, *, create: bool = True, has_provider: bool = False) -> None:
        self._has_provider = has_provider
        self._address = DatabaseAddress(url)
        self._pool = Pool(self._address)
        try:
            self._set_up(create=create)
        except BaseException:
            self.close()
            raise

    @property
    def is_blank(self) -> bool:
        return self.schema() == 0

    def close(self) -> None:
        self._pool.close()

    def schema(self) -> int:
        with self._transaction(BEGIN_READ) as cursor:
            return schema_version(cursor.connection)

    def ready(self) -> bool:
        require_current(self.schema(), max(steps_of("postgres")))
        with self._transaction(BEGIN_READ) as cursor:
            (goes_on,) = cursor.execute(_WRITES_GO_ON).fetchone() or (True,)
        return bool(goes_on)

    @contextmanager
    def write(
        self,
        *,
        durable: bool = True,
        patience: float | None = None,
        is_slice: bool = False,  # noqa: ARG002 - here writers wait only for each other's rows
    ) -> Iterator[Transaction]:
        begin = WRITE if durable else _WRITE_BEHIND
        if patience is not None:  # 0 would be no limit
            begin += f"; set local lock_timeout = {max(int(patience * 1_000), 1)}"
        with self._transaction(begin, outcome_unknown=True) as cursor:
            yield self._transaction_on(cursor)

    @contextmanager
    def read(self) -> Iterator[Transaction]:
        with self._transaction(BEGIN_READ) as cursor:
            yield self._transaction_on(cursor)

    def _set_up(self, *, create: bool) -> None:
        newest = max(steps_of("postgres"))
        self.found_schema: int = self.schema()
        refuse_newer(self.found_schema, newest)
        if create and self.found_schema < newest:
            with self._pool.transaction(WRITE) as cursor, translated(self._address):
                cursor.execute("commit")  # a migration starts its own transactions
                migrate(cursor.connection)

    def _transaction_on(self, cursor: psycopg.Cursor[Any]) -> Transaction:
        connection = PostgresConnection(cursor, has_provider=self._has_provider)
        return Transaction(connection, PostgresUsers(connection))

    @contextmanager
    def _transaction(
        self, begin: str, *, outcome_unknown: bool = False
    ) -> Iterator[psycopg.Cursor[Any]]:
        with self._pool.transaction(begin) as cursor:
            try:
                with translated(self._address, outcome_unknown=outcome_unknown):
                    yield cursor
                    _commit(cursor)
            except BaseException:
                # If the connection is lost, PostgreSQL undoes the transaction by itself.
                with suppress(psycopg.Error):
                    cursor.connection.rollback()
                raise


def _commit(cursor: psycopg.Cursor[Any]) -> None:
    status = cursor.execute("commit", prepare=False).statusmessage
    if status != "COMMIT":  # the answer is ROLLBACK if a statement had failed
        raise psycopg.errors.InFailedSqlTransaction("a statement had failed before")
