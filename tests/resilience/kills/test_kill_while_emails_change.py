"""The server is killed while emails change: each call does all or nothing, and applies again."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import pytest
import urllib3
from tests.support.servers.server_process import ServerProcess

pytestmark = pytest.mark.both_stores

#: An even number: they swap their emails in pairs.
ACCOUNTS = 100

#: the email and the last name of each account, by its id
State = dict[str, tuple[str, str | None]]


class Change(NamedTuple):
    """A call, and what it makes of the accounts."""

    method: str
    path: str
    body: object
    after: State
    #: how many emails it changes
    emails: int


class Client:
    """Calls of a server, none of which is repeated."""

    def __init__(self, server: ServerProcess) -> None:
        self._url = server.url
        self._headers = {"Authorization": f"Bearer {server.token()}"}

    def call(self, method: str, path: str, body: object = None) -> Any:
        """Give the response as JSON."""
        answer = urllib3.request(
            method, f"{self._url}{path}", json=body, headers=self._headers, retries=False
        )
        assert answer.status in (200, 204), answer.data
        return answer.json() if answer.data else None

    def state(self) -> State:
        users = self.call("GET", "/v1/users?limit=1000")["users"]
        return {user["user_id"]: (user["email"], user["lastname"]) for user in users}

    def changed_emails(self) -> int:
        """Give how many changes of emails the audit log has."""
        path = "/v1/audit?event=account.email_changed&limit=1000"
        return len(self.call("GET", path)["entries"])


@pytest.fixture
def server(database: str, tmp_path: Path) -> Iterator[ServerProcess]:
    with ServerProcess(database, tmp_path) as server:
        yield server


def swap(state: State) -> Change:
    """Let each account and the one beside it swap their emails."""
    ids = sorted(state)
    emails = {user_id: state[ids[at ^ 1]][0] for at, user_id in enumerate(ids)}
    changes = [
        {"user_id": one, "email": email, "expected": {"email": state[one][0]}}
        for one, email in emails.items()
    ]
    after = {one: (email, state[one][1]) for one, email in emails.items()}
    return Change("POST", "/v1/users:changeEmails", {"changes": changes}, after, len(after))


def correct(state: State) -> Change:
    """Give one account another email and another last name."""
    one = min(state)
    email, lastname = state[one]
    new = {"email": f"x{email}", "lastname": f"x{lastname}"}
    body = new | {"expected": {"email": email, "lastname": lastname}}
    after = state | {one: (new["email"], new["lastname"])}
    return Change("PATCH", f"/v1/users/{one}", body, after, 1)


def test_a_call_that_meets_the_death_of_the_server_has_changed_all_or_nothing(
    server: ServerProcess, request: pytest.FixtureRequest
) -> None:
    client, random, emails = Client(server), Random("kills"), 0
    users = [{"name": "Ann", "email": f"u{at}@example.com"} for at in range(ACCOUNTS)]
    client.call("POST", "/v1/users:batchCreate", {"create_users": users})
    for make in (swap, correct):
        change, started = make(client.state()), time.monotonic()
        client.call(*change[:3])
        whole, emails = time.monotonic() - started, emails + change.emails
        for _ in range(request.config.getoption("--served-kills")):
            before = client.state()
            change = make(before)
            with ThreadPoolExecutor(1) as pool:
                calling = pool.submit(client.call, *change[:3])
                time.sleep(random.uniform(0, whole))  # a random moment of the call
                server.kill()
            server.start()
            found = client.state()
            is_done = found == change.after
            lost = isinstance(calling.exception(), urllib3.exceptions.HTTPError)
            assert is_done or (lost and found == before)
            assert client.changed_emails() == emails + is_done * change.emails

            client.call(*change[:3])  # it does what is left, and nothing twice
            emails += change.emails
            assert (client.state(), client.changed_emails()) == (change.after, emails)
