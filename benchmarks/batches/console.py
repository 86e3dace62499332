"""Check a file in the console beside the command's dry run of it over HTTP: time and memory."""

import http.client
import json
from functools import partial
from pathlib import Path

from tests.support.waiting import wait_until

from benchmarks.support.databases import SqliteDatabases
from benchmarks.support.files import write_users
from benchmarks.support.measuring import p99, pairs, show, timed
from benchmarks.support.serving import Connection, Server
from benchmarks.support.sites import Site, site

_PASSWORD = "a long one for the owner"
_NEW = "another long one for the owner"

#: requests of a page
_REQUESTS = 200

_MIB = 1 << 20


def measure(folder: Path) -> None:
    with SqliteDatabases(folder).new() as database, site(database, folder) as place:
        browser = _Browser(place)
        idle = _resident(place.server)
        for count in (10_000, 100_000):
            file = write_users(folder / f"{count}.yaml", count)
            _check(place, browser, file, count)
        over = _resident(place.server) - idle
        show("memory after the checks, over idle", over, 64, unit=" MiB")
        browser.create(file)
        over = place.server.peak_memory - idle - file.stat().st_size / _MIB
        show(
            f"peak memory of a run of {count:,} users over idle and its file", over, 64, unit=" MiB"
        )
        for name, page in (("the list", "/console/batches"), ("the batch", browser.batch)):
            times = [timed(partial(browser.get, page)).wall for _ in range(_REQUESTS)]
            show(f"p99 of the page of {name}", p99(times) * 1e3, 100, unit=" ms")


def _check(place: Site, browser: "_Browser", file: Path, count: int) -> None:
    content = file.read_bytes()
    place.server.forget_peak_memory()
    before = place.server.peak_memory
    browser.check(content)
    show(
        f"peak memory of a check of {count:,} users beyond its file",
        place.server.peak_memory - before - len(content) / _MIB,
        64,
        unit=" MiB",
    )
    found = pairs(
        lambda: timed(lambda: browser.check(content)),
        lambda: timed(lambda: place.run("user", "batch-create", "-f", file, "--dry-run")),
        count=3,
    )
    ratio = found.ratio(lambda cost: cost.wall)
    show(f"check of {count:,} users / the command's dry run over HTTP", ratio, 1.5)


def _resident(server: Server) -> float:
    """Return the memory that the server and its workers have now, in MiB."""
    server.forget_peak_memory()
    return server.peak_memory


class _Browser:
    """A browser in which an owner is signed in."""

    def __init__(self, place: Site) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", place.server.port, timeout=120)
        self._cookie = ""
        self.batch = ""
        api = Connection(place.server.url.partition("//")[2], place.token)
        owner = {"name": "Olga", "email": "olga@owners.example", "password": _PASSWORD}
        body = json.dumps({"create_users": [owner]})
        (created,) = json.loads(api.post("/v1/users:batchCreate", body))["users"]
        path = f"/v1/users/{created['user_id']}/role"
        self._send("PUT", path, {"role": "owner"}, Authorization=f"Bearer {place.token}")
        self._send("POST", "/v1/sessions", {"email": owner["email"], "password": _PASSWORD})
        passwords = {"current_password": _PASSWORD, "new_password": _NEW}
        self._send("PUT", "/v1/me/password", passwords)

    def get(self, path: str) -> None:
        """Open a page."""
        status, _ = self._request("GET", path, None, {})
        assert status == 200, status

    def check(self, content: bytes) -> None:
        """Check a file."""
        status, _ = self._upload("/console/batches/check", content)
        assert status == 200, status

    def create(self, file: Path) -> None:
        """Create the users of a file, and wait until they are there."""
        status, self.batch = self._upload("/console/batches", file.read_bytes())
        assert status == 303, status
        path = f"{self.batch}/progress"
        wait_until(lambda: not self._is_running(path), 600)

    def _is_running(self, path: str) -> bool:
        _, progress = self._request("GET", path, None, {}, is_body=True)
        return bool(json.loads(progress)["running"])

    def _upload(self, path: str, content: bytes) -> tuple[int, str]:
        kind = {"Content-Type": "application/octet-stream"}
        self._connection.close()  # the server ends a connection that was idle for seconds
        return self._request("POST", f"{path}?name=users.yaml", content, kind)

    def _send(self, method: str, path: str, body: object, **headers: str) -> None:
        kind = {"Content-Type": "application/json", **headers}
        status, text = self._request(method, path, json.dumps(body).encode(), kind)
        assert status < 300, (status, text)

    def _request(
        self,
        method: str,
        path: str,
        body: bytes | None,
        headers: dict[str, str],
        *,
        is_body: bool = False,
    ) -> tuple[int, str]:
        cookie = {"Cookie": self._cookie} if self._cookie else {}
        self._connection.request(method, path, body, headers | cookie)
        response = self._connection.getresponse()
        text = response.read().decode()
        for line in response.headers.get_all("set-cookie") or []:
            if line.startswith("__Host-session="):
                self._cookie = line.partition(";")[0]
        return response.status, text if is_body else response.headers.get("location") or ""
