"""The kinds of control planes there are, each with a database of its own for one test.

A test that runs in each of them states what every store and every transport does alike.
"""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.support.postgres import Databases
from tests.support.server_in_process import serving
from tests.support.users import POLICY, execute

from anyscale.server.core.hashing.pool import CHEAPEST
from anyscale.server.main import ControlPlane, Settings
from anyscale.transport.base import Transport
from anyscale.transport.embedded import EmbeddedTransport
from anyscale.transport.http import HttpTransport
from anyscale.user.validation import Policy

__all__ = ["HOUSES", "STORES", "House", "Served", "house_of"]


class House:
    """A control plane in this process, over SQLite.

    Args:
        database: the file, or the URL.
        stack: ends what was begun.
    """

    def __init__(self, database: Path | str, stack: ExitStack) -> None:
        self.database = database
        self._stack = stack

    def settings(self, policy: Policy = POLICY, *, available: bool = True) -> Settings:
        return Settings(
            database=self.database,
            policy=policy,
            batch_create=available,
            public_url="https://accounts.example.com",
        )

    def plane(self, policy: Policy = POLICY, *, available: bool = True) -> ControlPlane:
        """Make a control plane that hashes fast; the caller closes it."""
        return ControlPlane(self.settings(policy, available=available), profile=CHEAPEST)

    def transport(self, policy: Policy = POLICY, *, available: bool = True) -> Transport:
        """Make a transport to the control plane; the caller closes it."""
        return _FastTransport(self.settings(policy, available=available))

    def snapshot(self) -> object:
        """Give everything that is stored, to be compared."""
        if isinstance(self.database, Path):
            folder = self.database.parent
            return {str(file): file.read_bytes() for file in folder.rglob("*") if file.is_file()}
        return self.all_rows()

    def all_rows(self) -> object:
        """Give all rows; of tokens not when they were used, which reading changes too."""
        with closing(self.plane()) as plane, plane.store.read() as rows:
            return {table: _rows(rows, table) for table in _TABLES}


class _FastTransport(EmbeddedTransport):
    """The embedded transport, with hashes that cost nothing."""

    @cached_property
    def _written(self) -> ControlPlane:
        return ControlPlane(self._settings, profile=CHEAPEST)


class Served(House):
    """A control plane over HTTP, with a server for each policy that is asked for."""

    @cached_property
    def _making(self) -> threading.Lock:
        return threading.Lock()

    @cached_property
    def _urls(self) -> dict[tuple[Policy, bool], str]:
        return {}

    @cached_property
    def token(self) -> str:
        with closing(self.plane()) as plane:
            return plane.tokens.create("jane", "owner", None, "local:test")

    def url(self, policy: Policy = POLICY, *, available: bool = True) -> str:
        """Serve the control plane, if it is not; give the URL."""
        if (policy, available) not in self._urls:
            plane = self.plane(policy, available=available)
            self._urls[policy, available] = self._stack.enter_context(serving(plane))
        return self._urls[policy, available]

    def transport(self, policy: Policy = POLICY, *, available: bool = True) -> Transport:
        with self._making:  # tests have threads
            return HttpTransport(self.url(policy, available=available), self.token)

    def snapshot(self) -> object:
        return self.all_rows()


_TABLES = ("batches", "pages", "conflicts", "users", "audit")


def _rows(rows: Any, table: str) -> list[tuple[Any, ...]]:
    found = execute(rows, f"select * from {table}").fetchall()
    return sorted(tuple(map(repr, row)) for row in found)


#: kind -> whether it is over HTTP, and whether over PostgreSQL
_KINDS = {
    "embedded": (False, False),
    "http-sqlite": (True, False),
    "http-postgres": (True, True),
    "postgres": (False, True),
}

#: Where a transport leads; what is in this process works on SQLite.
HOUSES = ("embedded", "http-sqlite", "http-postgres")

#: One house for each kind of store.
STORES = ("embedded", "postgres")


@contextmanager
def house_of(kind: str, databases: Databases) -> Iterator[House]:
    """Give a house of a kind, with an empty database."""
    served, over_postgres = _KINDS[kind]
    with ExitStack() as stack:
        database: Path | str
        if over_postgres:
            database = stack.enter_context(databases.empty())
        else:
            database = Path(stack.enter_context(TemporaryDirectory())) / "data" / "anyscale.db"
        yield (Served if served else House)(database, stack)
