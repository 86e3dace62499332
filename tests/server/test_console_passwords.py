"""The passwords of a users file stay in memory: after a kill too, and at the documented nginx."""

import json
import os
import ssl
import stat
from collections.abc import Iterator
from contextlib import closing, suppress
from http.client import HTTPConnection
from pathlib import Path

import pytest
from tests.browser.batches.owners import SECRET, Owners, batch_of, run_owners
from tests.server.http.console.test_batches import MULTIPART, multipart
from tests.server.http.pages.requests import BROWSER
from tests.server.test_proxies import HOST, ProxyClient, nginx, running
from tests.support.databases.postgres import PostgresServer
from tests.support.ports import free_port
from tests.support.servers.certificates import create_certificate
from tests.support.servers.control_planes import NewDeployment
from tests.support.servers.http_client import HttpResponse
from tests.support.waiting import wait_until

PATH = "/console/batches"

#: users of a file: a batch of fewer is one call
MANY = 17

#: More than the buffers of the kernel on the way to the server: as soon as so much is sent, proxy
#: and server have read the passwords, which come first.
OCTETS = 30 << 20


class Place:
    """A server and nginx; their files, and all that they answered."""

    def __init__(self, owners: Owners, client: ProxyClient, folders: list[Path]) -> None:
        self.owners, self.client = owners, client
        client.cookies = owners.owner.client.cookies
        self._folders = [*folders, client.folder, owners.folder]

    def begin(self, path: str, file: bytes) -> "Upload":
        """Send the form of a file but its last octet."""
        body = multipart(file, "users.json")
        connection = self.client.connect()
        connection.putrequest("POST", path)
        cookies = "; ".join(f"{name}={value}" for name, value in self.client.cookies.items())
        headers = {"Cookie": cookies, "Content-Type": MULTIPART, "Content-Length": str(len(body))}
        for name, value in (BROWSER | headers).items():
            connection.putheader(name, value)
        connection.endheaders(body[:-1])
        return Upload(connection, body[-1:])

    def get(self, path: str) -> HttpResponse:
        answer = self.client.request("GET", path, headers=BROWSER)
        assert SECRET not in answer.text
        return answer

    def assert_no_password(self) -> None:
        """Search all files of server, database and proxy, also those that have no name any more."""
        files = [*self._named(), *self._open()]
        assert self.owners.server.log in files
        for file in files:
            with suppress(FileNotFoundError):  # PostgreSQL has deleted it meanwhile
                assert SECRET.encode() not in file.read_bytes(), os.path.realpath(file)

    def _named(self) -> Iterator[Path]:
        for folder in self._folders:
            yield from (path for path in folder.rglob("*") if path.is_file())

    def _open(self) -> Iterator[Path]:
        for pid in (self.client.process_id, self.owners.server.pid):
            for path in Path(f"/proc/{pid}/fd").glob("*"):
                with suppress(FileNotFoundError):
                    if stat.S_ISREG(path.stat().st_mode):
                        yield path


class Upload:
    """A file that a server receives."""

    def __init__(self, connection: HTTPConnection, rest: bytes) -> None:
        self._connection, self._rest = connection, rest

    def finish(self) -> tuple[int, str, str]:
        """Send the rest; return the status, the page and the place that it leads to."""
        with closing(self._connection):
            self._connection.send(self._rest)
            answer = self._connection.getresponse()
            text = answer.read().decode()
        assert SECRET not in text + str(answer.headers)
        return answer.status, text, answer.headers["Location"] or ""


@pytest.fixture(scope="module")
def place(
    new_deployment: NewDeployment,
    postgres_server: PostgresServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Place]:
    folder, proxy = tmp_path_factory.mktemp("server"), tmp_path_factory.mktemp("nginx")
    certificate = create_certificate(tmp_path_factory.mktemp("certificate"), HOST, 2)
    with (
        new_deployment() as deployment,
        run_owners(folder, deployment.database, ANYSCALE_PUBLIC_URL=f"https://{HOST}") as owners,
    ):
        port, data = free_port(), [postgres_server.socket_folder]
        if isinstance(deployment.database, Path):
            data = [deployment.database.parent]
        client = ProxyClient(port, ssl.create_default_context(cafile=certificate), proxy)
        command = nginx(proxy, port, owners.server.port, certificate)
        with running(["nginx", *command], client):
            yield Place(owners, client, data)


def users_file(password: str = SECRET) -> bytes:
    users = [
        {"name": "Ann", "email": f"ann{at}@batch.example", "password": password}
        for at in range(MANY)
    ]
    return json.dumps({"create_users": users}).encode()


def test_no_password_is_on_a_disk_or_in_a_page_while_a_file_is_checked(place: Place) -> None:
    for file, status, words in (
        (users_file().ljust(OCTETS), 200, "nothing is wrong"),
        (users_file(SECRET * 100), 422, "is longer than"),
    ):
        upload = place.begin(f"{PATH}/check", file)
        place.assert_no_password()
        answer = upload.finish()
        assert answer[0] == status
        assert words in answer[1]
        place.assert_no_password()


@pytest.mark.both_stores
def test_no_password_is_on_a_disk_or_in_a_page_during_a_run_after_a_kill_and_after_the_end(
    place: Place,
) -> None:
    owners, file = place.owners, users_file()
    upload = place.begin(PATH, file.ljust(OCTETS))
    place.assert_no_password()
    with owners.half_hashed():
        status, _, path = upload.finish()
        assert status == 303
        wait_until(lambda: owners.hashes_of(path))
        place.assert_no_password()
        for page in (path, f"{path}/progress", PATH):
            place.get(page)
        assert place.get(f"{path}/progress").json["state"] == "open"
        owners.server.kill()
    place.assert_no_password()
    owners.server.start()
    assert place.begin(f"{path}/continue", file).finish()[0] == 303
    wait_until(lambda: place.get(f"{path}/progress").json["state"] == "published")
    place.assert_no_password()
    for page in (path, f"{path}/undo", f"/console/users?batch={batch_of(path)}", "/console/audit"):
        place.get(page)
