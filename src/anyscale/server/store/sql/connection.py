"""Statements that both databases understand, and their results as records."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from types import GenericAlias
from typing import Any, NamedTuple, TypeVar

import msgspec

from anyscale.server.store.records.record import Record

Found = TypeVar("Found", bound=Record)


class StoredTable(NamedTuple):
    """A table as the database itself describes it."""

    name: str
    #: the types of its columns, in their order
    types: Mapping[str, str]
    #: the columns of its primary key
    key: Sequence[str]


class Connection(ABC):
    """A connection to one kind of database, which runs statements in its current transaction.

    Statements have `?` for each value, and a word in braces where the two databases differ:

    | word | stands for |
    | --- | --- |
    | `{any}` | a comparison with each text of `texts`, as in `where user_id {any}` |
    | `{live_users_with_emails}` | the accounts whose keys of the email are in `texts` |
    | `{strpos}` | the function that finds a text in another one |
    | `{true}`, `{false}` | the constants |
    | `{has_provider}` | whether SSO users can sign in at an identity provider, as a constant |
    | `{now}` | the time of `now` |
    | `{digits_of_position}` | the column `position` as eight hexadecimal digits |
    | `{for_update}`, `{for_update_of_users}` | an exclusive lock on the rows that were found |
    | `{for_key_share}` | a lock on them that waits only for an exclusive one |
    | `{skip_locked}` | an exclusive lock that passes over rows that are locked |

    SQLite needs no locks on rows: while a transaction writes, no other one does.
    """

    def __init__(self, *, has_provider: bool) -> None:
        self.has_provider = has_provider

    @abstractmethod
    def rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """Return all rows; none if a value is a text that the database cannot store."""

    @abstractmethod
    def execute(self, sql: str, *values: Any) -> int:
        """Run a statement; return how many rows it changed."""

    @abstractmethod
    def insert_many(
        self, table: str, types: Mapping[str, str], rows: Iterable[Sequence[Any]]
    ) -> None:
        """Insert rows in one go.

        `types` has the columns in the order of the values, with their types in PostgreSQL.
        """

    @abstractmethod
    def insert_missing(
        self, table: str, types: Mapping[str, str], rows: Sequence[Sequence[Any]]
    ) -> None:
        """Insert rows as `insert_many` does, except those whose keys the table has."""

    @abstractmethod
    def lock(self, *key: int, shared: bool = False) -> None:
        """Lock one or two numbers until the transaction ends.

        Shared locks do not wait for each other, but for an exclusive one that waits for them.
        """

    @abstractmethod
    def tables(self) -> list[StoredTable]:
        """Return all tables but `schema_version`, in the order of their creation."""

    @abstractmethod
    def stream(self, table: str, names: Iterable[str], order: Iterable[str]) -> Iterator[Any]:
        """Give the values of some columns of each row, in the order of others, one by one."""

    @abstractmethod
    def hold_tables(self) -> None:
        """Let no other transaction write until this one ends, however long it takes.

        Raises:
            StoreUnavailable: another process has the database open, as far as it can be seen here.
        """

    @abstractmethod
    def texts(self, values: Iterable[str]) -> Any:
        """Return the value for `{any}`, without texts that the database cannot store."""

    @abstractmethod
    def can_store(self, *texts: str) -> bool:
        """Whether the database can store some texts."""

    @abstractmethod
    def now(self) -> int:
        """Return the time in milliseconds since 1970, UTC."""

    def one(self, record: type[Found], sql: str, *values: Any) -> Found | None:
        """Return the first row as a record, or None."""
        rows = self.rows(sql, *values)
        # Not strict, because SQLite stores false and true as 0 and 1.
        return msgspec.convert(rows[0], record, strict=False) if rows else None

    def all(self, record: type[Found], sql: str, *values: Any) -> list[Found]:
        rows = self.rows(sql, *values)
        found: list[Found] = msgspec.convert(rows, _list_of(record), strict=False)
        return found

    def number(self, sql: str, *values: Any) -> int:
        """Return the first value of the first row; 0 if there is none or it is null."""
        rows = self.rows(sql, *values)
        return int(rows[0][0] or 0) if rows else 0

    def column(self, sql: str, *values: Any) -> list[Any]:
        """Return the first value of each row."""
        return [row[0] for row in self.rows(sql, *values)]


class Table:
    """The statements on the rows of one subject, over one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection


@cache
def _list_of(record: type[Record]) -> Any:
    return GenericAlias(list, record)  # a type that is known only at run time


def columns(record: type[Record], table: str = "", **renamed: str) -> str:
    """Return the columns of a record for a statement.

    Args:
        record: with a field for each column.
        table: that they belong to, where a statement has several.
        renamed: an expression for a field that is not a column of this name.
    """
    prefix = f"{table}." if table else ""
    return ", ".join(renamed.get(name, prefix + name) for name in record.__struct_fields__)


def marks(record: type[Record]) -> str:
    """Return a placeholder for each field of a record."""
    return ", ".join("?" * len(record.__struct_fields__))


def changes(record: type[Record]) -> str:
    """Return the assignments of all fields of a record, for an update."""
    return ", ".join(f"{name} = ?" for name in record.__struct_fields__)


def insert(table: str, record: type[Record]) -> str:
    """Return the statement that inserts a record; its values are all fields in their order."""
    return f"insert into {table} ({columns(record)}) values ({marks(record)})"


def upsert(table: str, record: type[Record], key: str) -> str:
    """Return the statement that inserts a record, or replaces the one that has its key.

    `key` has the columns of a unique index.
    """
    replaced = ", ".join(f"{name} = excluded.{name}" for name in record.__struct_fields__)
    return f"{insert(table, record)} on conflict ({key}) do update set {replaced}"
