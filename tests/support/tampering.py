"""A sign-in at a hostile provider, which a test tampers with, and what must not come of it."""

import json
import logging
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
from tests.support.hostile_oidc_provider import CLIENT, Hostile, Reply, hostile
from tests.support.oidc_provider import browser
from tests.support.server_in_process import serving
from tests.support.users import execute

from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.authorization import Principal
from anyscale.server.core.hashing.pool import CHEAPEST
from anyscale.server.settings import IdentityProvider, Settings
from anyscale.user.validation import Policy, check

__all__ = [
    "SECRET",
    "Attempt",
    "Tamper",
    "answers",
    "attempted",
    "both",
    "claims",
    "header",
    "keys",
    "sent",
]

Primitive = str | int | float | bool | None

SECRET = "a secret of the client that is long enough for HS256"
SESSION = "__Host-session"
SSO = "__Host-sso"

#: Also somebody whose name a mail server may spell with a Kelvin sign.
ACCOUNTS = ("jane@example.com", "kate@example.com")


class Attempt:
    """A sign-in of a browser, step by step.

    Args:
        plane: the control plane.
        url: where it is served.
        idp: the provider.
        client: the browser.
    """

    def __init__(self, plane: ControlPlane, url: str, idp: Hostile, client: httpx.Client) -> None:
        self.plane, self.url, self.idp, self.client = plane, url, idp, client
        #: what the provider sends the browser back with
        self.query: list[tuple[str, Primitive]] = []

    def start(self) -> httpx.Response:
        """Go to the provider; it has then all that is right to say."""
        answer = self.client.get("/sso/start")
        self.sent = httpx.URL(answer.headers["location"]).params
        if "state" in self.sent:
            self.idp.begin(self.sent["nonce"])
            code = "a code of the provider"
            self.query = [("code", code), ("state", self.sent["state"]), ("iss", self.idp.issuer)]
        return answer

    def set(self, **query: str | None) -> None:
        """Change what the browser comes back with; None takes it away."""
        changed = dict(self.query) | query
        self.query = [(name, text) for name, text in changed.items() if text is not None]

    def back(self) -> httpx.Response:
        """Come back from the provider."""
        return self.client.get("/sso/callback", params=httpx.QueryParams(self.query))

    @property
    def cookie(self) -> dict[str, Any]:
        """What the browser keeps of the sign-in."""
        read: dict[str, Any] = json.loads(urlsafe_b64decode(self.client.cookies[SSO] + "=="))
        return read

    @cookie.setter
    def cookie(self, value: dict[str, Any] | str) -> None:
        text = value
        if not isinstance(text, str):
            text = urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")
        self.client.cookies.clear()
        self.client.cookies.set(SSO, text, domain="127.0.0.1", path="/")

    def link(self, issuer: str, subject: str, email: str = ACCOUNTS[0]) -> None:
        """Tie a subject to an account."""
        with self.plane.store.write() as rows:
            account = rows.account(email_key=email)
            assert account
            assert rows.link_identity(issuer, subject, account.user_id, rows.now())

    def count(self, table: str) -> int:
        with self.plane.store.read() as rows:
            counted: int = execute(rows, f"select count(*) from {table}").fetchone()[0]
        return counted

    def reasons(self) -> list[str]:
        """Give why somebody was refused, as the trail has it."""
        entries = self.plane.trail.page(0, 1_000)
        refused = [entry for entry in entries if entry.event == "access.refused"]
        return [json.loads(entry.data)["reason"] for entry in refused]

    def signs_in(self) -> None:
        """Come back, and be let in."""
        answer = self.back()
        assert (answer.status_code, answer.headers["location"]) == (303, "/"), self.reasons()
        assert SESSION in self.client.cookies

    def is_refused(self, code: str, reason: str, records: list[logging.LogRecord]) -> None:
        """Come back, and be nobody, for this reason, and leave nothing of it in the log."""
        self.found_refused(self.back, code)
        told = [vars(record) for record in records if record.name == "anyscale.server"]
        assert any(reason in str(record.get("reason")) for record in told), told
        if code != "unavailable":
            assert reason in self.reasons()
        self._tells_nothing(records)

    def found_refused(self, call: Callable[[], httpx.Response], code: str) -> None:
        """Make a call, and find that nobody was signed in, or linked, or made."""
        tables = ("identities", "sessions", "devices", "users")
        before = [self.count(table) for table in tables]
        answer = call()
        assert (answer.status_code, answer.headers["location"]) == (303, f"/sign-in?sso={code}")
        assert SSO not in self.client.cookies
        assert SESSION not in str(answer.headers.get_list("set-cookie"))
        assert [self.count(table) for table in tables] == before

    def _tells_nothing(self, records: list[logging.LogRecord]) -> None:
        trail = [entry.data for entry in self.plane.trail.page(0, 1_000)]
        said = f"{[vars(record) for record in records]} {trail}"
        secrets = [self.sent["nonce"], self.sent["state"], "a code of the", "an access token"]
        for secret in (*secrets, SECRET, "eyJ", *ACCOUNTS):
            assert secret not in said


@contextmanager
def attempted(folder: Path, certificate: Path | None = None, **settings: Any) -> Iterator[Attempt]:
    """Have a control plane, a hostile provider and a browser."""
    with ExitStack() as stack:
        idp = stack.enter_context(hostile(certificate))
        provider = IdentityProvider(
            issuer=idp.issuer,
            client_id=CLIENT,
            client_secret=SECRET,
            domains=frozenset({"example.com"}),
        )
        plane = ControlPlane(
            Settings(
                database=folder / "anyscale.db",
                public_url="http://127.0.0.1:1",
                provider=settings.pop("provider", provider),
            ),
            profile=CHEAPEST,
        )
        for email in ACCOUNTS:
            user = check("Jane", email, None, True, None, None, Policy())
            assert user
            plane.batches.create(email, [user], "fail", Principal("local:test"))
        url = stack.enter_context(serving(plane))
        yield Attempt(plane, url, idp, stack.enter_context(browser(url)))


#: What is done to a sign-in that has begun.
Tamper = Callable[[Attempt], None]


def claims(**changes: Any) -> Tamper:
    """Let the token say something else; None takes a claim away."""

    def tamper(attempt: Attempt) -> None:
        changed = attempt.idp.claims | changes
        attempt.idp.claims = {name: value for name, value in changed.items() if value is not None}

    return tamper


def header(**changes: Any) -> Tamper:
    """Let the token be signed under another header; None takes something away."""

    def tamper(attempt: Attempt) -> None:
        changed = attempt.idp.header | changes
        attempt.idp.header = {name: value for name, value in changed.items() if value is not None}

    return tamper


def sent(change: Callable[[Hostile, str], str]) -> Tamper:
    """Send another token in place of the one that is right."""

    def tamper(attempt: Attempt) -> None:
        attempt.idp.tampered = lambda token: change(attempt.idp, token)

    return tamper


def both(first: Tamper, second: Tamper) -> Tamper:
    """Do one thing and another."""

    def tamper(attempt: Attempt) -> None:
        first(attempt)
        second(attempt)

    return tamper


def answers(path: str, *arguments: Any, **headers: Any) -> Tamper:
    """Let the provider answer something else at a path."""

    def tamper(attempt: Attempt) -> None:
        attempt.idp.replies[path] = Reply(*arguments, **headers)

    return tamper


def keys(*changed: Any) -> Tamper:
    """Let the provider publish other keys."""

    def tamper(attempt: Attempt) -> None:
        attempt.idp.keys = list(changed)

    return tamper
