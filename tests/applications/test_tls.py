"""Over TLS, by the documented nginx: sign-ins to applications work as over loopback."""

import ssl
from collections.abc import Iterator
from contextlib import ExitStack, closing
from http.client import HTTPSConnection
from pathlib import Path
from urllib.parse import urlencode

import pytest
from tests.server.test_proxies import ProxyClient, nginx, running
from tests.support.applications.programs import run_openid_client
from tests.support.databases.empty_sqlite import cheap_control_plane
from tests.support.ports import free_port
from tests.support.servers.certificates import create_certificate
from tests.support.servers.http_client import HttpClient
from tests.support.servers.server_in_process import serve_in_process
from tests.support.sign_in.openid_provider import REQUEST, Site, create_jane_and_kim, keys_folder
from tests.support.users import NEW_PASSWORD

from anyscale.server.core.secrets import new_secret
from anyscale.server.settings import Settings

CALLBACK = "http://127.0.0.1:9/callback"


@pytest.fixture
def certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = create_certificate(tmp_path, "localhost", 90)
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    return path


@pytest.fixture
def site(tmp_path: Path, certificate: Path) -> Iterator[Site]:
    """A provider whose public URL is that of nginx; its user has chosen a password."""
    port = free_port()
    settings = Settings(
        database=tmp_path / "anyscale.db",
        public_url=f"https://localhost:{port}",
        signing_keys=keys_folder(tmp_path / "keys"),
        trusted_proxies="127.0.0.1",
    )
    control_plane = cheap_control_plane(settings)
    with ExitStack() as stack:
        url = stack.enter_context(serve_in_process(control_plane))
        client = HttpClient(url)
        site = Site(control_plane, create_jane_and_kim(control_plane))
        client.sign_in()
        client.change_password()
        command = nginx(tmp_path, port, int(url.rpartition(":")[2]), certificate)
        proxy = ProxyClient(port, ssl.create_default_context(), tmp_path)
        stack.enter_context(running(["nginx", *command], proxy))
        yield site


def test_a_long_request_of_an_application_passes_nginx(site: Site) -> None:
    state, nonce = ("".join(new_secret() for _ in range(40)) for _ in range(2))
    changes = {"client_id": site.client_id, "state": state, "nonce": nonce}
    query = urlencode(REQUEST | changes)
    host = site.provider.issuer.removeprefix("https://")
    context = ssl.create_default_context()

    with closing(HTTPSConnection(host, context=context)) as connection:
        connection.request("GET", f"/oauth2/authorize?{query}")
        response = connection.getresponse()

    assert response.status == 303
    assert len(response.headers["Set-Cookie"]) > 3_500


def test_openid_client_signs_a_user_in_over_tls(site: Site, certificate: Path) -> None:
    client_id, secret = site.create_application(
        name="Wiki",
        redirect_uris=[CALLBACK],
        post_logout_redirect_uris=[f"{CALLBACK}/bye"],
    )
    arguments = [site.provider.issuer, CALLBACK, client_id, secret or "", "basic"]
    with run_openid_client({"NODE_EXTRA_CA_CERTS": str(certificate)}) as sign_in:
        found = sign_in(*arguments, "jane@example.com", NEW_PASSWORD)

    assert found["claims"]["iss"] == site.provider.issuer
    assert found["claims"]["email"] == found["userinfo"]["email"] == "jane@example.com"
    assert found["after_logout"] == f"{CALLBACK}/bye?state=bye"
