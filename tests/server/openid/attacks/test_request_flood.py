"""While a flood of requests needs sign-ins, a batch is created and users sign in."""

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import urlencode

import pytest
from tests.support.databases.empty_sqlite import cheap_control_plane
from tests.support.databases.stored_data import query_database
from tests.support.ports import free_port
from tests.support.servers.http_client import HttpClient, HttpResponse
from tests.support.servers.server_process import ServerProcess
from tests.support.sign_in.application_browser import Browser
from tests.support.sign_in.openid_provider import REQUEST, Site, keys_folder
from tests.support.sign_in.request_flood import request_flood
from tests.support.users import NEW_PASSWORD
from tests.support.waiting import wait_until

from anyscale import Anyscale
from anyscale.server.core.openid import authorization
from anyscale.server.settings import Settings
from anyscale.user.models import AdminCreateUser

_USERS = 3_000
_HOST = "127.0.0.1"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[ServerProcess, Site]]:
    """Give a server that has stored as many requests as it may, and its site."""
    port = free_port()
    settings = Settings(
        database=tmp_path / "anyscale.db",
        public_url=f"http://{_HOST}:{port}",
        signing_keys=keys_folder(tmp_path / "keys"),
    )
    environment = {
        "ANYSCALE_PUBLIC_URL": f"http://{_HOST}:{port}",
        "ANYSCALE_SIGNING_KEYS": str(tmp_path / "keys"),
    }
    with closing(cheap_control_plane(settings)) as control_plane:
        site = Site(control_plane)
        fill(tmp_path / "anyscale.db")
        url = f"sqlite:///{tmp_path}/anyscale.db"
        with ServerProcess(url, tmp_path, port=port, settings=environment) as server:
            yield server, site


def fill(database: Path) -> None:
    """Store as many requests as there may be in all, of many networks."""
    most, of_network = authorization._MOST, authorization._MOST_OF_NETWORK
    now = time.time_ns() // 1_000_000
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.executemany(
            "insert into authorization_requests values (?, x'00', ?, '{}', ?)",
            [
                (f"r{number}", f"192.0.2.{number // of_network}", now - number)
                for number in range(most)
            ],
        )


def patiently(send: Callable[[], HttpResponse]) -> HttpResponse:
    """Send a request again as long as the server has no place for it."""
    responses = list[HttpResponse]()

    def is_answered() -> bool:
        responses.append(send())
        return responses[-1].status != 429

    wait_until(is_answered, 60)
    return responses[-1]


def test_a_batch_and_sign_ins_go_on_and_stored_requests_stay_bounded(
    server: tuple[ServerProcess, Site], tmp_path: Path
) -> None:
    process, site = server
    sdk = Anyscale(host=process.url, token=process.token())
    users = [AdminCreateUser("Jane", f"user{number}@example.com") for number in range(_USERS)]
    first = Browser(process.url)
    first.sign_in()
    first.change_password()
    browser = Browser(process.url)
    browser.site = site
    path = f"/oauth2/authorize?{urlencode(REQUEST | {'client_id': site.client_id})}"

    created = list[int]()
    with request_flood(process.port, path):
        batch = threading.Thread(
            target=lambda: created.append(len(sdk.user.admin_batch_create(users)))
        )
        batch.start()
        assert HttpClient(process.url).sign_in(password=NEW_PASSWORD).status == 200
        started = patiently(browser.authorize)
        page = patiently(lambda: browser.get(started.headers["Location"]))
        signed_in = patiently(lambda: browser.submit(page))
        done = patiently(lambda: browser.get(signed_in.headers["Location"]))
        batch.join(60)

    assert "code=" in done.headers["Location"]
    assert created == [_USERS]
    counts = query_database(
        tmp_path, "select count(*) from authorization_requests group by network order by 1 desc"
    )
    numbers = [int(str(count)) for (count,) in counts]
    assert numbers[0] <= authorization._MOST_OF_NETWORK
    assert sum(numbers) <= authorization._MOST
    assert len(numbers) > 20  # of the flood, not only those of the beginning
