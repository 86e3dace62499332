"""A browser in which an owner is signed in, without its window."""

import http.client
import json
from pathlib import Path

from tests.support.waiting import wait_until

from benchmarks.support.serving import Connection
from benchmarks.support.sites import Site

#: the email of the owner
OWNER = "olga@owners.example"

_PASSWORD = "a long one for the owner"
_NEW = "another long one for the owner"


class OwnerBrowser:
    """A browser in which an owner is signed in."""

    def __init__(self, place: Site) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", place.server.port, timeout=120)
        self._cookie = ""
        self.batch = ""
        api = Connection(place.server.url.partition("//")[2], place.token)
        owner = {"name": "Olga", "email": OWNER, "password": _PASSWORD}
        body = json.dumps({"create_users": [owner]})
        (created,) = json.loads(api.post("/v1/users:batchCreate", body))["users"]
        path = f"/v1/users/{created['user_id']}/role"
        self._send("PUT", path, {"role": "owner"}, Authorization=f"Bearer {place.token}")
        self._send("POST", "/v1/sessions", {"email": OWNER, "password": _PASSWORD})
        passwords = {"current_password": _PASSWORD, "new_password": _NEW}
        self._send("PUT", "/v1/me/password", passwords)

    def get(self, path: str) -> str:
        """Open a page, and return its text."""
        status, text = self._request("GET", path, None, {}, is_body=True)
        assert status == 200, status
        return text

    def open(self, path: str) -> None:
        """Open a page, or the one to which it redirects."""
        status, place = self._request("GET", path, None, {})
        if status == 303:
            self.get(place)
        else:
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
        """Send the form of a file, as a browser does (RFC 7578)."""
        head = b'--b\r\nContent-Disposition: form-data; name="file"; filename="users.yaml"\r\n\r\n'
        kind = {"Content-Type": "multipart/form-data; boundary=b"}
        self._connection.close()  # the server ends a connection that was idle for seconds
        return self._request("POST", path, b"".join([head, content, b"\r\n--b--\r\n"]), kind)

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
