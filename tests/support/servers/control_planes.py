"""Control planes with a database of their own: in this process or over HTTP.

A test that takes the fixture `deployment` runs over each transport and states what they have in
common. The mark `both_stores` says which tests run on PostgreSQL as well.
"""

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

import pytest
from tests.support.callers import OPERATOR
from tests.support.databases.empty_sqlite import cheap_control_plane
from tests.support.databases.stored_data import execute_sql
from tests.support.second_factor.authenticator_apps import seed_keys_folder
from tests.support.servers.server_in_process import serve_in_process
from tests.support.users import POLICY

from anyscale.domain.validation import Policy
from anyscale.server.control_plane import ControlPlane
from anyscale.server.settings import Settings
from anyscale.transport.base import Transport
from anyscale.transport.embedded import EmbeddedTransport
from anyscale.transport.http.transport import HttpTransport


class CheapTransport(EmbeddedTransport):
    """The embedded transport, with the cheapest hashing profile."""

    def _open(self, *, create: bool) -> ControlPlane:
        return cheap_control_plane(self._settings) if create else super()._open(create=False)


def new_control_plane(folder: Path, policy: Policy = POLICY) -> ControlPlane:
    """Make a control plane on SQLite, with the cheapest hashing profile; the caller closes it."""
    return cheap_control_plane(Settings(database=folder / "anyscale.db", policy=policy))


def embedded_transport(folder: Path, policy: Policy = POLICY) -> Transport:
    """Make a transport to the control plane of a folder; the first write creates its database."""
    return CheapTransport(Settings(database=folder / "data" / "anyscale.db", policy=policy))


class Deployment:
    """A database, and control planes on it in this process.

    Args:
        database: a file for SQLite, or a URL.
        stack: closes what the deployment opens.
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
            second_factor_keys=seed_keys_folder(),
        )

    def control_plane(self, policy: Policy = POLICY, *, available: bool = True) -> ControlPlane:
        """Make a control plane with the cheapest hashing profile; the caller closes it."""
        return cheap_control_plane(self.settings(policy, available=available))

    def transport(self, policy: Policy = POLICY, *, available: bool = True) -> Transport:
        """Make a transport to the control plane; the caller closes it."""
        return CheapTransport(self.settings(policy, available=available))

    def snapshot(self) -> object:
        """Give everything that is stored, for a comparison."""
        if isinstance(self.database, Path):
            folder = self.database.parent
            return {str(file): file.read_bytes() for file in folder.rglob("*") if file.is_file()}
        return self.all_rows()

    def all_rows(self) -> object:
        """Give the rows of the tables that only a write changes."""
        with closing(self.control_plane()) as control_plane, control_plane.store.read() as tx:
            return {table: _rows(tx, table) for table in _TABLES}


class HttpDeployment(Deployment):
    """A control plane over HTTP, with one server for each policy that a test uses."""

    @cached_property
    def _lock(self) -> threading.Lock:
        return threading.Lock()

    @cached_property
    def _urls(self) -> dict[tuple[Policy, bool], str]:
        return {}

    @cached_property
    def token(self) -> str:
        with closing(self.control_plane()) as control_plane:
            return control_plane.tokens.create(OPERATOR, "jane", "owner", None)

    def url(self, policy: Policy = POLICY, *, available: bool = True) -> str:
        """Give the URL of the server for a policy, which the first call starts."""
        if (policy, available) not in self._urls:
            control_plane = self.control_plane(policy, available=available)
            url = self._stack.enter_context(serve_in_process(control_plane))
            self._urls[policy, available] = url
        return self._urls[policy, available]

    def transport(self, policy: Policy = POLICY, *, available: bool = True) -> Transport:
        with self._lock:  # some tests call it from several threads
            return HttpTransport(self.url(policy, available=available), self.token)

    def snapshot(self) -> object:
        return self.all_rows()


_TABLES = ("batches", "chunks", "conflicts", "users", "audit")


def _rows(tx: Any, table: str) -> list[tuple[Any, ...]]:
    rows = execute_sql(tx, f"select * from {table}").fetchall()
    return sorted(tuple(map(repr, row)) for row in rows)


class NewDeployment(Protocol):
    """Makes a deployment with an empty database, until the block ends."""

    def __call__(self, *, over_http: bool = False) -> AbstractContextManager[Deployment]: ...


@pytest.fixture(scope="module")
def new_deployment(request: pytest.FixtureRequest, store_kind: str) -> NewDeployment:
    """Makes deployments on the store of the test."""

    @contextmanager
    def make(*, over_http: bool = False) -> Iterator[Deployment]:
        with ExitStack() as stack:
            database: Path | str
            if store_kind == "postgres":
                databases = request.getfixturevalue("postgres_databases")
                database = stack.enter_context(databases.empty())
            else:
                database = Path(stack.enter_context(TemporaryDirectory())) / "data" / "anyscale.db"
            yield (HttpDeployment if over_http else Deployment)(database, stack)

    return make


@pytest.fixture(params=["embedded", "http"])
def deployment(
    request: pytest.FixtureRequest, new_deployment: NewDeployment
) -> Iterator[Deployment]:
    """A deployment with an empty database, one for each transport."""
    with new_deployment(over_http=request.param == "http") as deployment:
        yield deployment


@pytest.fixture
def store_deployment(new_deployment: NewDeployment) -> Iterator[Deployment]:
    """A deployment in this process with an empty database."""
    with new_deployment() as deployment:
        yield deployment
