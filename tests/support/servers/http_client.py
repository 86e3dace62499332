"""An HTTP client that keeps cookies, as a browser does."""

import json
from collections.abc import Mapping, Sequence
from email.message import Message
from http.client import HTTPConnection
from http.cookies import SimpleCookie
from typing import Any, NamedTuple, Self
from urllib.parse import urlencode, urlsplit

from tests.support.users import NEW_PASSWORD, PASSWORD


class HttpResponse(NamedTuple):
    status: int
    headers: Message
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def text(self) -> str:
        return self.body.decode()


class HttpClient:
    """A client of one server, with the cookies of one browser.

    Args:
        url: of the server.
        timeout: seconds without a response after which a request fails.
    """

    def __init__(self, url: str, *, timeout: float = 30) -> None:
        self.host = urlsplit(url).netloc
        self.cookies: dict[str, str] = {}
        self._timeout = timeout

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        form: Mapping[str, str] | Sequence[tuple[str, str]] | None = None,
        raw: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> HttpResponse:
        """Send a request with JSON, a form or octets, and keep the cookies of its response."""
        sent = {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}
        data = raw if body is None else json.dumps(body).encode()
        if form is not None:
            data = urlencode(form).encode()
            sent["Content-Type"] = "application/x-www-form-urlencoded"
        if not self.cookies:
            del sent["Cookie"]
        connection = self.connect()
        try:
            connection.request(method, path, data, sent | dict(headers or {}))
            received = connection.getresponse()
            response = HttpResponse(received.status, received.headers, received.read())
        finally:
            connection.close()
        self._keep_cookies(response.headers)
        return response

    def connect(self) -> HTTPConnection:
        """Create the connection of a request."""
        return HTTPConnection(self.host, timeout=self._timeout)

    def _keep_cookies(self, headers: Message) -> None:
        for line in headers.get_all("set-cookie") or []:
            for name, morsel in SimpleCookie(line).items():
                if morsel["max-age"] == "0":
                    self.cookies.pop(name, None)
                else:
                    self.cookies[name] = morsel.value

    def sign_in(self, name: str = "jane", password: str = PASSWORD) -> HttpResponse:
        """Sign in to one of the accounts that `create_accounts` created."""
        credentials = {"email": f"{name}@example.com", "password": password}
        return self.request("POST", "/v1/sessions", credentials)

    def change_password(self, current: str = PASSWORD, new: str = NEW_PASSWORD) -> HttpResponse:
        passwords = {"current_password": current, "new_password": new}
        return self.request("PUT", "/v1/me/password", passwords)

    def sign_in_first_time(self, name: str = "jane") -> Self:
        """Sign in, and change the password, as a first sign-in requires."""
        assert self.sign_in(name).status == 200
        assert self.change_password().status == 200
        return self
