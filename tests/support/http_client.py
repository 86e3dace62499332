"""Somebody who asks a server over HTTP and keeps its cookies, as a browser does."""

import json
from collections.abc import Mapping
from email.message import Message
from http.client import HTTPConnection
from http.cookies import SimpleCookie
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit

from tests.support.users import PASSWORD, everybody

from anyscale.server.main import ControlPlane, Principal

__all__ = ["NEW", "Answer", "Visitor", "make_accounts"]

#: a password that somebody chooses
NEW = "seven quiet herons wade"


class Answer(NamedTuple):
    status: int
    headers: Message
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def text(self) -> str:
        return self.body.decode()


class Visitor:
    """A browser without a screen.

    Args:
        url: of the server.
    """

    def __init__(self, url: str) -> None:
        self.host = urlsplit(url).netloc
        self.cookies: dict[str, str] = {}

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        form: Mapping[str, str] | None = None,
        raw: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Make a call, with JSON, a form or octets, and keep the cookies of the answer."""
        sent = {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}
        data = raw if body is None else json.dumps(body).encode()
        if form is not None:
            data = urlencode(form).encode()
            sent["Content-Type"] = "application/x-www-form-urlencoded"
        if not self.cookies:
            del sent["Cookie"]
        connection = HTTPConnection(self.host, timeout=30)
        try:
            connection.request(method, path, data, sent | dict(headers or {}))
            got = connection.getresponse()
            answer = Answer(got.status, got.headers, got.read())
        finally:
            connection.close()
        self._keep(answer.headers)
        return answer

    def _keep(self, headers: Message) -> None:
        for line in headers.get_all("set-cookie") or []:
            for name, morsel in SimpleCookie(line).items():
                if morsel["max-age"] == "0":
                    self.cookies.pop(name, None)
                else:
                    self.cookies[name] = morsel.value

    def sign_in(self, name: str = "jane", password: str = PASSWORD) -> Answer:
        """Sign in as one of the accounts that `make_accounts` made."""
        credentials = {"email": f"{name}@example.com", "password": password}
        return self.ask("POST", "/v1/sessions", credentials)

    def choose(self, current: str = PASSWORD, new: str = NEW) -> Answer:
        """Change the password."""
        words = {"current_password": current, "new_password": new}
        return self.ask("PUT", "/v1/me/password", words)

    def settle(self, name: str = "jane") -> "Visitor":
        """Sign in for the first time, and change the password."""
        assert self.sign_in(name).status == 200
        assert self.choose().status == 200
        return self


def make_accounts(plane: ControlPlane, *names: str, password: str | None = PASSWORD) -> None:
    """Create accounts, one at a time, since a small batch takes two passwords."""
    for name in names:
        plane.batches.create(
            name, everybody(name, password=password), "fail", Principal("local:test")
        )
