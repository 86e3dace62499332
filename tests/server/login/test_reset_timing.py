"""No time of a request for a forgotten password reveals whether the email has an account."""

import http.client
import time
from collections.abc import Iterator
from contextlib import closing
from itertools import count
from pathlib import Path
from urllib.parse import urlencode

import pytest
from tests.support.mail.relays import SENDER, TestRelay, running_relay
from tests.support.rank_sum import area_under_curve, rank_score
from tests.support.servers.server_process import ServerProcess

pytestmark = pytest.mark.alone

_HEADERS = {"Content-Type": "application/x-www-form-urlencoded", "Sec-Fetch-Site": "same-origin"}
_addresses = count(1)


@pytest.fixture
def relay() -> Iterator[TestRelay]:
    with running_relay() as relay:
        yield relay


@pytest.fixture
def server(
    database: str, tmp_path: Path, relay: TestRelay, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ServerProcess]:
    """A server that sends mail."""
    settings = {
        "ANYSCALE_PUBLIC_URL": "http://localhost",
        "ANYSCALE_SMTP_HOST": "127.0.0.1",
        "ANYSCALE_SMTP_PORT": str(relay.port),
        "ANYSCALE_SMTP_TLS": "none",
        "ANYSCALE_MAIL_FROM": SENDER,
        "ANYSCALE_MAIL_PER_MINUTE": "60000",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    with ServerProcess(database, tmp_path) as server:
        yield server
