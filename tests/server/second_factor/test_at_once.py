"""One proof that arrives many times at once at two servers signs in once.

`--at-once 400` sends it more often.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from threading import Barrier

import pytest
from tests.support.callers import OPERATOR
from tests.support.second_factor.authenticator_apps import add_app, code_shown
from tests.support.servers.control_planes import Deployment
from tests.support.servers.http_client import HttpClient
from tests.support.servers.server_in_process import serve_in_process
from tests.support.sign_in.sign_ins import EMAIL, get_account
from tests.support.users import PASSWORD, checked_user

from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.second_factor.recovery_codes import (
    new_recovery_codes,
    recovery_code_hash,
)

#: requests on their way at a time
THREADS = 40


class Site:
    """Two servers of one database with an account that has an app and a recovery code."""

    def __init__(self, control_plane: ControlPlane, urls: list[str]) -> None:
        self.control_plane, self.urls = control_plane, urls
        self.user_id = get_account(control_plane).user_id
        self.seed = add_app(control_plane, self.user_id)
        (self.recovery_code, *_) = new_recovery_codes()
        code_hash = recovery_code_hash(self.recovery_code)
        assert code_hash
        with control_plane.store.write() as tx:
            tx.recovery_codes.replace(self.user_id, [code_hash])

    def half(self, number: int) -> HttpClient:
        """Return a browser that has shown the password, at one of the servers."""
        client = HttpClient(self.urls[number % 2])
        credentials = {"email": EMAIL, "password": PASSWORD}
        assert client.request("POST", "/v1/sessions", credentials).status == 403
        return client

    def count_sessions(self) -> int:
        with self.control_plane.store.read() as tx:
            return len(tx.sessions.list(self.user_id))


@pytest.fixture
def site(store_deployment: Deployment) -> Iterator[Site]:
    with ExitStack() as stack:
        first, second = (
            stack.enter_context(closing(store_deployment.control_plane())) for _ in range(2)
        )
        first.batches.create(
            OPERATOR, "key", [checked_user(EMAIL, PASSWORD)], "fail", [(0, PASSWORD)]
        )
        urls = [stack.enter_context(serve_in_process(one)) for one in (first, second)]
        yield Site(first, urls)


@pytest.mark.both_stores
@pytest.mark.parametrize("proof", ["code", "recovery_code"])
def test_one_proof_at_two_servers_at_once_is_one_session(
    site: Site, proof: str, pytestconfig: pytest.Config
) -> None:
    number = pytestconfig.getoption("at_once")
    begun = site.half(0)
    # All have the cookie of the same sign-in, as a thief of it and of the code would.
    clients = [HttpClient(site.urls[at % 2]) for at in range(number)]
    for client in clients:
        client.cookies |= begun.cookies
    value = code_shown(site.seed) if proof == "code" else site.recovery_code
    together = Barrier(min(number, THREADS))

    def send(at: int) -> int:
        if at < together.parties:
            together.wait()
        path = "/v1/sessions/second-factor"
        return clients[at].request("POST", path, {proof: value}).status

    with ThreadPoolExecutor(THREADS) as pool:
        statuses = list(pool.map(send, range(number)))
    assert statuses.count(200) == 1
    assert set(statuses) <= {200, 401, 429}
    assert site.count_sessions() == 1
