"""Counters of what alerts look for exist before the first event."""

import re
from contextlib import closing, suppress
from pathlib import Path

import pytest
from tests.support.callers import OPERATOR
from tests.support.databases.empty_sqlite import cheap_control_plane
from tests.support.paths import ROOT
from tests.support.servers.http_client import HttpClient
from tests.support.servers.server_in_process import serve_in_process
from tests.support.servers.server_process import ServerProcess, server_of_jane
from tests.support.users import PASSWORD, checked_users, passwords_for

from anyscale import errors
from anyscale.errors import AnyscaleError, BatchGone
from anyscale.server.core.openid.protocol import AUTHORIZATION_ERRORS, TOKEN_ERRORS
from anyscale.server.http.metrics import (
    BATCHES,
    GRANT_TYPES,
    HASHES,
    UNDONE,
    USERS,
)
from anyscale.server.settings import Settings
from anyscale.transport.http.transport import HttpTransport

#: of responses for which there are alerts
ALERTING = ("401", "403", "429", "500", "503")

Samples = dict[str, float]


def counters(server: ServerProcess) -> Samples:
    """Give the counters of a server by name and labels."""
    text = HttpClient(server.url).request("GET", "/metrics").text
    samples = re.findall(r"^(anyscale_\w+_total\S*) (\S+)$", text, re.MULTILINE)
    return {name: float(value) for name, value in samples}


def is_alerting(sample: str) -> bool:
    status = re.search(r'status="(\d+)"', sample)
    return not status or status[1] in ALERTING


@pytest.mark.parametrize("workers", [1, 2])
def test_counters_of_alerts_begin_at_zero(workers: int, tmp_path: Path) -> None:
    with server_of_jane(tmp_path, workers) as server:
        at_start = counters(server)
        client = HttpClient(server.url)
        for _ in range(5):
            assert client.request("GET", "/v1/batches").status == 401
        assert client.sign_in(password="not the password").status == 401
        assert client.sign_in().status == 200
        assert client.request("POST", "/v1/me/tokens", {"name": "a"}).status == 403
        client.request("GET", "/sso/callback?code=a&state=b")
        client.request("POST", "/set-password", form={"link": "a", "password": "b"})
        after = counters(server)

    risen = {name for name in after if after[name] != at_start.get(name) and is_alerting(name)}
    assert len(risen) > 5
    assert {at_start.get(name) for name in risen} == {0}
    denied = 'anyscale_http_requests_total{method="GET",route="/v1/batches",status="401"}'
    assert after[denied] == 5


def test_each_route_result_and_error_code_has_a_counter_at_the_start(tmp_path: Path) -> None:
    with server_of_jane(tmp_path) as server:
        at_start = counters(server)
        paths = HttpClient(server.url).request("GET", "/openapi.json").json["paths"]

    methods = [(method.upper(), path) for path, methods in paths.items() for method in methods]
    assert len(methods) > 20
    for method, path in methods:
        for status in ALERTING:
            labels = f'method="{method}",route="{path}",status="{status}"'
            assert at_start[f"anyscale_http_requests_total{{{labels}}}"] == 0
    classes = [vars(errors)[name] for name in errors.__all__]
    codes = {error.code for error in classes if issubclass(error, AnyscaleError)}
    for code in codes:
        assert at_start[f'anyscale_refusals_total{{code="{code}"}}'] == 0
    for method in ("password", "link", "sso"):
        for result in {"signed_in", *codes}:
            labels = f'method="{method}",result="{result}"'
            assert at_start[f"anyscale_sign_ins_total{{{labels}}}"] == 0
    for result in ("code", "sign_in", *AUTHORIZATION_ERRORS):
        assert at_start[f'anyscale_authorizations_total{{result="{result}"}}'] == 0
    for grant_type in GRANT_TYPES:
        for result in ("issued", *TOKEN_ERRORS):
            labels = f'grant_type="{grant_type}",result="{result}"'
            assert at_start[f"anyscale_token_requests_total{{{labels}}}"] == 0


def test_a_call_that_is_repeated_is_counted_once(tmp_path: Path) -> None:
    def counts() -> list[float]:
        states = [BATCHES.labels(state) for state in ("published", "dropped")]
        return [counter._value.get() for counter in (*states, USERS, HASHES, UNDONE)]

    control_plane = cheap_control_plane(Settings(database=tmp_path / "anyscale.db"))
    token = control_plane.tokens.create(OPERATOR, "jane", "owner", None)
    with serve_in_process(control_plane) as url, closing(HttpTransport(url, token)) as transport:
        batches, before = transport.batches, counts()
        batch_id = batches.open("large", "skip").batch_id
        users = checked_users("a", "b", password=PASSWORD)
        batches.reserve(batch_id, 0, users)
        dropped = batches.open("dropped", "fail").batch_id
        for _ in range(2):
            with suppress(BatchGone):  # it is published
                batches.hash(batch_id, passwords_for(users))
            batches.publish(batch_id, 2)
            batches.drop(dropped)
            more = checked_users("b", "c", password=PASSWORD)
            batches.create("small", more, "skip", passwords_for(more))
        for dry_run in (True, False, False):
            batches.undo(batch_id, "", force=False, dry_run=dry_run)
        changed = [after - count for after, count in zip(counts(), before, strict=True)]
    assert changed == [2, 1, 3, 3, 2]


def test_each_error_for_an_application_has_a_counter() -> None:
    folder = ROOT / "src" / "anyscale" / "server"
    sources = [
        path.read_text(encoding="utf-8")
        for path in (*folder.glob("core/openid/*.py"), *folder.glob("http/openid/*.py"))
    ]
    refusal = r'(?:OAuthError|_refuse_silent)\([^")]*"(\w+)"'
    raised = {code for text in sources for code in re.findall(refusal, text)}
    raised |= {f"{name}_not_supported" for name in ("request", "request_uri", "registration")}

    assert raised == {*AUTHORIZATION_ERRORS, *TOKEN_ERRORS}
