"""Two servers of one PostgreSQL database, each with a folder of signing keys."""

import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs
from tests.support.databases.empty_sqlite import cheap_control_plane
from tests.support.servers.control_planes import Deployment
from tests.support.servers.http_client import HttpClient, HttpResponse
from tests.support.servers.server_in_process import serve_in_process
from tests.support.sign_in.openid_provider import CALLBACK, ISSUER, VERIFIER, Site, open_site

from anyscale.server.core.openid.key_rotation import rotate_keys
from anyscale.server.core.transactions import Transactions

pytestmark = pytest.mark.parametrize("store_kind", ["postgres"], indirect=True)


class Servers:
    """The site of one server, and clients of both, which have the same key."""

    def __init__(self, site: Site, first: str, second: str) -> None:
        self.site = site
        self.folder = site.provider.keys.folder
        self.first, self.second = HttpClient(first), HttpClient(second)

    def exchange(self, server: HttpClient) -> HttpResponse:
        """Exchange a new code at a server."""
        form: dict[str, Any] = {
            "grant_type": "authorization_code",
            "code": self.site.code(self.site.sign_in()),
            "redirect_uri": CALLBACK,
            "code_verifier": VERIFIER,
            "client_id": self.site.client_id,
            "client_secret": self.site.secret,
        }
        return server.request("POST", "/oauth2/token", form=form)

    def published(self, server: HttpClient) -> list[str]:
        """Give the ids of the keys that a server publishes."""
        return [key["kid"] for key in server.request("GET", "/oauth2/jwks").json["keys"]]


@pytest.fixture
def servers(store_deployment: Deployment, tmp_path: Path) -> Iterator[Servers]:
    with ExitStack() as stack:
        site = stack.enter_context(open_site(store_deployment, tmp_path))
        shutil.copytree(site.provider.keys.folder, tmp_path / "other")
        settings = structs.replace(
            store_deployment.settings(), public_url=ISSUER, signing_keys=tmp_path / "other"
        )
        second = stack.enter_context(serve_in_process(cheap_control_plane(settings)))
        first = stack.enter_context(serve_in_process(site.control_plane))
        yield Servers(site, first, second)


def test_a_key_that_is_replaced_at_once_signs_nothing_on_the_other_server(
    servers: Servers,
) -> None:
    both = (servers.first, servers.second)
    old = servers.published(servers.first)
    assert [servers.exchange(server).status for server in both] == [200, 200]

    store = servers.site.control_plane.store
    rotate_keys(Transactions(store), servers.folder, "local:root", revokes_others=True)

    refused = servers.exchange(servers.second)
    assert refused.status == 404
    assert "no signing key works" in refused.text
    token = servers.exchange(servers.first).json["id_token"]
    assert servers.site.provider.keys.verify(token)
    assert servers.published(servers.first) not in ([], old)
