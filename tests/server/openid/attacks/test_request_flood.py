"""While a flood of requests needs sign-ins, a batch is created and users sign in."""

import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import urlencode

import pytest
from tests.support.databases.empty_sqlite import cheap_control_plane
from tests.support.ports import free_port
from tests.support.servers.http_client import HttpClient, HttpResponse
from tests.support.servers.server_process import ServerProcess
from tests.support.sign_in.application_browser import Browser, link_of
from tests.support.sign_in.openid_provider import REQUEST, Site, create_jane_and_kim, keys_folder
from tests.support.sign_in.request_flood import request_flood
from tests.support.users import NEW_PASSWORD
from tests.support.waiting import wait_until

from anyscale import Anyscale
from anyscale.server.settings import Settings
from anyscale.user.models import AdminCreateUser

pytestmark = pytest.mark.alone

_USERS = 3_000
_HOST = "127.0.0.1"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[ServerProcess, Site]]:
    """Give a server and its site."""
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
        site = Site(control_plane, create_jane_and_kim(control_plane))
        url = f"sqlite:///{tmp_path}/anyscale.db"
        with ServerProcess(url, tmp_path, port=port, settings=environment) as server:
            yield server, site


def patiently(send: Callable[[], HttpResponse]) -> HttpResponse:
    """Send a request again as long as the server has no place for it."""
    responses = list[HttpResponse]()

    def is_answered() -> bool:
        responses.append(send())
        return responses[-1].status != 429

    wait_until(is_answered)
    return responses[-1]


def test_a_batch_and_sign_ins_go_on_and_no_waiting_request_is_lost(
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
    started = browser.authorize()
    with request_flood(process.port, path):
        batch = threading.Thread(
            target=lambda: created.append(len(sdk.user.admin_batch_create(users)))
        )
        batch.start()
        assert HttpClient(process.url, timeout=120).sign_in(password=NEW_PASSWORD).status == 200
        assert patiently(browser.another().authorize).status == 303
        page = patiently(lambda: browser.get(started.headers["Location"]))
        signed_in = patiently(lambda: browser.submit(page))
        between = patiently(lambda: browser.get(signed_in.headers["Location"]))
        done = patiently(lambda: browser.get(link_of(between)))
        batch.join(300)

    assert "code=" in done.headers["Location"]
    assert created == [_USERS]
