"""A served control plane with owners, and clients that have signed in."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.server.http.pages.requests import create_owner, send
from tests.support.databases.filled_sqlite import filled_control_plane
from tests.support.servers.http_client import HttpClient
from tests.support.servers.server_in_process import serve_in_process
from tests.support.users import NEW_PASSWORD, PASSWORD, create_accounts

from anyscale.server.control_plane import ControlPlane
from anyscale.server.settings import Settings


class Console:
    """A server with an owner, jane, and a collaborator, bob."""

    def __init__(self, control_plane: ControlPlane, url: str) -> None:
        self.control_plane = control_plane
        self.url = url
        self._with_own_password: set[str] = set()

    def browser(self, name: str = "jane") -> HttpClient:
        """Return a browser in which a user has signed in, with a password of their own."""
        client = HttpClient(self.url)
        email = f"{name}@example.com"
        # A wrong password would be written to the audit log half a second later.
        if name not in self._with_own_password:
            send(client, "/sign-in", email=email, password=PASSWORD)
            send(client, "/password", current=PASSWORD, new=NEW_PASSWORD, again=NEW_PASSWORD)
            self._with_own_password.add(name)
        else:
            send(client, "/sign-in", email=email, password=NEW_PASSWORD)
        return client


OpenConsole = Callable[..., Console]


@contextmanager
def run_console(folder: Path, **settings: Any) -> Iterator[Console]:
    """Serve a control plane with settings until the block ends."""
    control_plane, _ = filled_control_plane(
        Settings(database=folder / "anyscale.db", **settings), _create_jane_and_bob
    )
    with serve_in_process(control_plane) as url:
        yield Console(control_plane, url)


def _create_jane_and_bob(control_plane: ControlPlane) -> None:
    create_accounts(control_plane, "jane", "bob")
    create_owner(control_plane, "jane")


@pytest.fixture
def open_console(tmp_path: Path) -> Iterator[OpenConsole]:
    """Serves a control plane with settings, and gives its console."""
    with ExitStack() as stack:
        yield lambda **settings: stack.enter_context(run_console(tmp_path, **settings))


@pytest.fixture(scope="module")
def shared_console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    """A console for all tests of a module that do not disturb each other."""
    with run_console(tmp_path_factory.mktemp("console")) as console:
        yield console


@pytest.fixture
def console(open_console: OpenConsole) -> Console:
    """A console with the default settings."""
    return open_console()
