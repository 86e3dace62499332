"""A server tells systemd when it is ready (Type=notify)."""

import os
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from tests.support.commands.running import RunAnyscale
from tests.support.servers.http_client import HttpClient
from tests.support.servers.server_process import ServerProcess


@pytest.fixture
def notifications(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[socket.socket]:
    """A socket at which systemd would listen."""
    names = {"path": str(tmp_path / "notify"), "abstract": f"\0musterroll-{os.getpid()}"}
    kind = getattr(request, "param", "path")
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as listening:
        listening.bind(names[kind])
        listening.settimeout(20)
        yield listening


def address_of(listening: socket.socket) -> str:
    """Give the address as systemd writes it into the environment."""
    name = listening.getsockname()
    return name if isinstance(name, str) else "@" + bytes(name[1:]).decode()


@pytest.mark.parametrize(
    ("workers", "notifications"), [(1, "path"), (2, "abstract")], indirect=["notifications"]
)
def test_a_server_says_that_it_is_ready_when_it_answers(
    workers: int, notifications: socket.socket, tmp_path: Path
) -> None:
    settings = {"NOTIFY_SOCKET": address_of(notifications)}
    database = f"sqlite:///{tmp_path}/new/anyscale.db"
    server = ServerProcess(database, tmp_path, workers, settings=settings)
    server.begin()
    try:
        assert notifications.recv(100) == b"READY=1"
        assert HttpClient(server.url).request("GET", "/readyz").status == 200
    finally:
        server.kill()


def test_a_server_without_a_usable_database_is_not_ready(
    anyscale: RunAnyscale, notifications: socket.socket, tmp_path: Path
) -> None:
    (tmp_path / "anyscale.db").write_text("this is not a database", encoding="ascii")
    settings = {
        "NOTIFY_SOCKET": address_of(notifications),
        "ANYSCALE_DATABASE_URL": f"sqlite:///{tmp_path}/anyscale.db",
    }

    assert anyscale("server", "start", "--port", "0", env=settings).returncode == 1

    notifications.setblocking(False)
    with pytest.raises(BlockingIOError):
        notifications.recv(100)
