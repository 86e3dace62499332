"""No code, token or secret is in a log, referrer, error, page, or in clear in a file."""

import base64
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import urlencode

import pytest
from tests.support.databases.empty_sqlite import cheap_control_plane
from tests.support.ports import free_port
from tests.support.servers.http_client import HttpClient, HttpResponse
from tests.support.servers.server_process import ServerProcess
from tests.support.sign_in.application_browser import PAGE, Browser, parameters_of
from tests.support.sign_in.openid_provider import CALLBACK, Site, create_jane_and_kim, keys_folder

from anyscale.server.settings import Settings


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[ServerProcess, Browser]]:
    """A server in a process of its own, and a browser whose user has chosen a password."""
    folder, port = tmp_path / "data", free_port()
    folder.mkdir()
    url = f"http://127.0.0.1:{port}"
    settings = Settings(
        database=folder / "anyscale.db",
        public_url=url,
        signing_keys=keys_folder(tmp_path / "keys"),
    )
    environment = {"ANYSCALE_PUBLIC_URL": url, "ANYSCALE_SIGNING_KEYS": str(tmp_path / "keys")}
    database = f"sqlite:///{folder}/anyscale.db"
    with closing(cheap_control_plane(settings)) as control_plane:
        browser = Browser(url)
        browser.site = Site(control_plane, create_jane_and_kim(control_plane))
        with ServerProcess(database, folder, port=port, settings=environment) as process:
            first = Browser(url)
            first.sign_in()
            first.change_password()
            yield process, browser


def wrong_requests(browser: Browser, secrets: dict[str, str]) -> Iterator[HttpResponse]:
    """Send each secret where it does not belong, and see how the server responds."""
    client = HttpClient(f"http://{browser.host}")
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    basic = base64.b64encode(f"{browser.site.client_id}:x".encode()).decode()
    for secret in secrets.values():
        query = urlencode({"code": secret, "access_token": secret, "client_secret": secret})
        for path in ("/oauth2/token", "/oauth2/userinfo", "/oauth2/authorize", "/sign-in", "/x"):
            yield client.request("GET", f"{path}?{query}", headers=PAGE)
        yield client.request("GET", "/", headers=PAGE | {"Referer": f"{CALLBACK}?code={secret}"})
        yield client.request("GET", f"/oauth2/{secret}", headers=PAGE)
        yield client.request("POST", "/oauth2/token", {"code": secret})
        yield client.request("POST", "/oauth2/token", raw=f"{query}&%ff".encode(), headers=form)
        yield client.request("GET", "/v1/me", headers={"Authorization": f"Bearer {secret}"})
        yield browser.token(secret)
        yield browser.token("x", client_secret=secret)
        yield browser.token("x", grant_type=secret)
        yield browser.token("x", grant_type="refresh_token", refresh_token=secret)
        yield browser.token("x", basic=f"Basic {basic}", client_secret=secret, client_id=secret)


def test_no_secret_of_a_sign_in_is_where_others_can_read_it(
    served: tuple[ServerProcess, Browser], tmp_path: Path
) -> None:
    process, browser = served
    site = browser.site
    site.client_id, site.secret = site.create_application(name="Wiki", refresh_tokens=True)
    started = browser.authorize()
    waiting = browser.cookies["__Host-authorization"]
    page = browser.get(started.headers["Location"])
    signed_in = browser.submit(page)
    done = browser.go_on(signed_in)
    code = parameters_of(done)["code"]
    tokens = browser.token(code).json
    pages = [page, signed_in, browser.get("/"), browser.get("/oauth2/logout")]
    assert site.secret
    secrets = {
        "used code": code,
        "new code": browser.code(),
        "access token": tokens["access_token"],
        "refresh token": tokens["refresh_token"],
        "signature of the ID token": tokens["id_token"].rpartition(".")[2],
        "client secret": site.secret,
        "session": browser.cookies["__Host-session"],
        "request": waiting,
    }

    responses = [*pages, *wrong_requests(browser, secrets)]

    process.stop()
    texts = {str(path): path.read_bytes() for path in (tmp_path / "data").rglob("*")
             if path.is_file()}  # fmt: skip
    assert len(process.log.read_bytes()) > 10_000
    texts |= {f"response {number}": one.body for number, one in enumerate(responses)}
    for name, secret in secrets.items():
        # Parts of it, which stay if it is cut.
        for part in (secret[:20], secret[-20:]):
            found = [place for place, text in texts.items() if part.encode() in text]
            assert found == [], f"{name}: {found}"
    for number, response in enumerate(responses):
        assert "no-store" in response.headers.get("Cache-Control", ""), number
        assert response.headers["Referrer-Policy"] == "same-origin"


def test_no_file_of_the_server_has_the_private_key(
    served: tuple[ServerProcess, Browser], tmp_path: Path
) -> None:
    process, browser = served
    browser.token(browser.code())
    (path,) = (tmp_path / "keys").glob("*.pem")
    lines = path.read_bytes().splitlines()[1:-1]
    process.stop()

    for file in (tmp_path / "data").rglob("*"):
        content = file.read_bytes() if file.is_file() else b""
        assert not any(line in content for line in lines), file
