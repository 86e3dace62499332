"""`anyscale server check` through Debian's nginx, with the documented configuration and others."""

import re
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import pytest
from tests.server.test_proxies import ProxyClient, nginx, running
from tests.support.callers import OPERATOR
from tests.support.commands.check_results import check_in_process
from tests.support.ports import free_port
from tests.support.servers.certificates import create_certificate
from tests.support.servers.server_in_process import serve_in_process

import anyscale.server.http.operations.received_request as route
from anyscale import __version__
from anyscale.domain.schemas.protocol import IDENTITY
from anyscale.domain.schemas.received_request import (
    PROOF,
    RECEIVED_BODY_PATH,
    RECEIVED_REQUEST_PATH,
    ReceivedRequest,
)
from anyscale.server.check.network import NoResponse, send_body, skew_of
from anyscale.server.check.run import CheckResult
from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.hashing.pool import CHEAPEST
from anyscale.server.settings import Settings

Results = dict[str, CheckResult]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return create_certificate(tmp_path_factory.mktemp("certificate"), "localhost", 90)


class Site:
    """A server behind nginx.

    Args:
        folder: for the database and the files of nginx.
        certificate: of nginx.
        stack: stops both.
        trusted_proxies: of the server.
    """

    def __init__(
        self, folder: Path, certificate: Path, stack: ExitStack, trusted_proxies: str = "127.0.0.1"
    ) -> None:
        self.database = folder / "data" / "anyscale.db"
        self.url = f"https://localhost:{free_port()}"
        settings = Settings(
            database=self.database, public_url=self.url, trusted_proxies=trusted_proxies
        )
        control_plane = ControlPlane(settings, profile=CHEAPEST)
        control_plane.tokens.create(OPERATOR, "jane", "owner", None)
        server = stack.enter_context(serve_in_process(control_plane))
        self.server_port = int(server.rpartition(":")[2])
        self._folder, self._certificate = folder, certificate

    @contextmanager
    def behind_nginx(self, *changes: tuple[str, str]) -> Iterator[None]:
        """Run nginx as documented, with changes of its file, until the block ends."""
        port = int(self.url.rpartition(":")[2])
        command = nginx(self._folder, port, self.server_port, self._certificate)
        file = Path(command[-1])
        text = file.read_text()
        for old, new in changes:
            assert old in text, old
            text = text.replace(old, new)
        file.write_text(text)
        client = ProxyClient(port, ssl.create_default_context(), self._folder)
        with running(["nginx", *command], client):
            yield

    def remove_body_folder(self) -> None:
        """Remove the folder in which nginx keeps bodies that are larger than its memory."""
        (self._folder / "body").rmdir()

    def check(self, only: str = "p", **environment: str) -> Results:
        """Make the checks of the public URL and of the proxy, or others."""
        settings = {
            "ANYSCALE_DATABASE_URL": f"sqlite:///{self.database}",
            "ANYSCALE_PUBLIC_URL": self.url,
        }
        return check_in_process(settings | environment, only)


@pytest.fixture
def trust(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))


@pytest.fixture(scope="module")
def _shared(tmp_path_factory: pytest.TempPathFactory, certificate: Path) -> Iterator[Site]:
    with ExitStack() as stack:
        yield Site(tmp_path_factory.mktemp("site"), certificate, stack)


@pytest.fixture
def site(_shared: Site, trust: None) -> Site:
    """A site whose certificate is trusted; the tests of this module change only its nginx."""
    return _shared


def statuses(results: Results) -> dict[str, str]:
    return {check: result.status for check, result in results.items()}


def test_the_documented_nginx_passes_every_check(site: Site) -> None:
    with site.behind_nginx():
        results = site.check()

    assert set(statuses(results).values()) <= {"ok", "not tried"}
    assert {check for check, result in results.items() if result.status == "not tried"} <= {
        check for check in results if check.startswith("provider.")
    }
    assert results["proxy.client_address"].found.startswith("the server received 127.0.0.1,")
    assert "expires in 89 days" in results["public_url.certificate"].found


def test_a_check_writes_nothing_to_the_database(site: Site) -> None:
    with (
        site.behind_nginx(),
        closing(ControlPlane(Settings(database=site.database))) as control_plane,
    ):
        with control_plane.store.read() as tx:
            before = tx.audit.get_last()
        site.check()
        with control_plane.store.read() as tx:
            assert tx.audit.get_last() == before


@pytest.mark.parametrize(
    ("change", "check", "found"),
    [
        (
            ("proxy_set_header Host $http_host;", "proxy_set_header Host musterroll;"),
            "proxy.host",
            "the server received musterroll in place of localhost:",
        ),
        (
            ("proxy_set_header X-Forwarded-For $remote_addr;", ""),
            "proxy.client_address",
            "a client can choose its address",
        ),
        (
            ("X-Forwarded-For $remote_addr;", "X-Forwarded-For $proxy_add_x_forwarded_for;"),
            "proxy.client_address",
            "the server received 203.0.113.9, 127.0.0.1: a client can choose its address",
        ),
        (
            ("X-Forwarded-For $remote_addr;", 'X-Forwarded-For "";'),
            "proxy.client_address",
            "the server received none",
        ),
        (
            ("proxy_set_header X-Forwarded-Proto $scheme;", ""),
            "proxy.scheme",
            "the server received http in place of https",
        ),
        (
            (
                "proxy_set_header Connection",
                'proxy_set_header Idempotency-Key ""; proxy_set_header Connection',
            ),
            "proxy.headers",
            "the server did not receive Idempotency-Key",
        ),
        (
            ("client_max_body_size 65m;", ""),
            "proxy.body_limit",
            "the proxy refuses it (413)",
        ),
        (
            ("return 404;", "proxy_pass http://musterroll; proxy_set_header Host $http_host;"),
            "proxy.metrics",
            "machines that reach the proxy",
        ),
    ],
    ids=["host", "no address", "appended", "no header", "scheme", "header", "limit", "metrics"],
)
def test_a_wrong_line_of_nginx_is_found_and_nothing_else(
    change: tuple[str, str], check: str, found: str, site: Site
) -> None:
    with site.behind_nginx(change):
        results = site.check()

    assert results[check].status == "fail"
    assert found in results[check].found
    assert results[check].fix
    failed = {name for name, result in results.items() if result.status == "fail"}
    assert failed == {check}


@pytest.mark.parametrize(
    ("buffers", "status"),
    [
        ("proxy_buffer_size 1k;", 502),
        ("proxy_buffer_size 4k;", 502),
        ("proxy_buffer_size 8k; large_client_header_buffers 4 4k;", 400),
    ],
)
def test_buffers_that_are_too_small_for_the_headers_of_a_sign_in_are_found(
    buffers: str, status: int, site: Site
) -> None:
    with site.behind_nginx(("proxy_buffer_size 8k;", buffers)):
        results = site.check()

    assert {name for name, one in statuses(results).items() if one in ("warn", "fail")} == {
        "proxy.header_limit"
    }
    result = results["proxy.header_limit"]
    assert result.found == f"it does not come back ({status}): some sign-ins at applications fail"
    assert "in nginx `proxy_buffer_size 8k;`" in result.fix


@pytest.mark.parametrize(
    ("change", "found"),
    [
        # As after a program that cleans folders of temporary files.
        (("proxy_request_buffering off;", ""), "it does not arrive: the response is 500"),
        (
            (
                "proxy_request_buffering off;",
                "proxy_set_header Host $http_host; proxy_set_header Content-Length 1048576;",
            ),
            # The server takes what is left for another request. It may refuse that first, or close
            # the connection, for which nginx responds with 502.
            (
                "the server received 1048576 octets of it|it does not arrive: the response is 400|"
                "it does not arrive: the response is 502"
            ),
        ),
    ],
    ids=["no folder for bodies", "truncated"],
)
def test_a_proxy_that_announces_more_than_it_passes_on_is_found(
    change: tuple[str, str], found: str, site: Site
) -> None:
    with site.behind_nginx(change):
        if "500" in found:
            site.remove_body_folder()
        result = site.check("proxy.body")["proxy.body_limit"]

    assert result.status == "fail"
    assert re.fullmatch(found, result.found)
    assert result.looked_at.endswith("/v1/batches/check, a body of 2 MiB")
    assert result.fix


#: JSON that is too deep to be read
DEEP = f"""'{{"x":{"[" * 1_500}'"""


def test_metadata_that_a_proxy_without_host_refuses_lead_to_the_header(site: Site) -> None:
    with site.behind_nginx(
        ("proxy_set_header Host $http_host;", "proxy_set_header Host musterroll;")
    ):
        result = site.check("openid.issuer")["openid.issuer"]

    assert result.status == "warn"
    assert result.found == "the metadata cannot be read (the status is 400)"
    assert result.fix == "see proxy.host, openid.keys and the server's log"


@pytest.mark.parametrize("body", ["hello", DEEP], ids=["text", "deep JSON"])
def test_a_response_to_a_body_that_is_not_the_servers_is_found(site: Site, body: str) -> None:
    response = f"client_max_body_size 0; add_header {IDENTITY} x; return 200 {body};"
    forged = f"location = {RECEIVED_BODY_PATH} {{ {response} }} location / {{"
    with site.behind_nginx(("location / {", forged)):
        result = site.check("proxy.body")["proxy.body_limit"]

    assert result.status == "fail"
    assert result.found == "it does not arrive: another program responds"


def test_deep_json_is_not_that_of_the_server(site: Site) -> None:
    paths = RECEIVED_REQUEST_PATH, "/.well-known/openid-configuration"
    forged = " ".join(f"location = {path} {{ return 200 {DEEP}; }}" for path in paths)
    with site.behind_nginx(("location / {", f"{forged} location / {{")):
        found = {one: site.check(one)[one].status for one in ("public_url.server", "openid.issuer")}

    assert found == {"public_url.server": "fail", "openid.issuer": "warn"}


def test_a_body_that_finds_no_connection_has_its_reason() -> None:
    with pytest.raises(NoResponse, match="Connection refused"):
        send_body(f"http://127.0.0.1:{free_port()}/", 1, {})


def test_metrics_that_only_a_wrong_host_name_keeps_closed_are_not_called_blocked(
    site: Site,
) -> None:
    with site.behind_nginx(
        ("Host $http_host", "Host musterroll"), ("location /metrics", "location /x")
    ):
        results = site.check()

    assert results["proxy.host"].status == "fail"
    assert results["proxy.metrics"].status == "not tried"
    assert "see proxy.host" in results["proxy.metrics"].found


def test_an_untrusted_certificate_has_one_fix(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    with site.behind_nginx():
        results = site.check()

    assert results["public_url.reachable"].fix == "see public_url.certificate"
    assert "set SSL_CERT_FILE" in (results["public_url.certificate"].fix or "")


def test_an_address_without_tls_is_found(site: Site) -> None:
    address = f"https://127.0.0.1:{site.server_port}"
    result = site.check(ANYSCALE_PUBLIC_URL=address)["public_url.certificate"]

    assert "TLS failed" in result.found
    assert (result.fix or "").startswith("correct the address, or let the proxy serve it with TLS")


def test_a_proxy_that_the_server_does_not_trust_is_found(
    tmp_path: Path, certificate: Path, trust: None
) -> None:
    with ExitStack() as stack:
        site = Site(tmp_path, certificate, stack, trusted_proxies="10.9.9.9")
        with site.behind_nginx():
            result = site.check("proxy.trusted")["proxy.trusted"]

    assert result.status == "fail"
    assert result.fix == "set FORWARDED_ALLOW_IPS=127.0.0.1, and restart the server"


def test_trust_in_every_address_is_warned_about(
    tmp_path: Path, certificate: Path, trust: None
) -> None:
    with ExitStack() as stack:
        site = Site(tmp_path, certificate, stack, trusted_proxies="*")
        with site.behind_nginx():
            result = site.check("proxy.trusted", FORWARDED_ALLOW_IPS="*")["proxy.trusted"]

    assert result.status == "warn"


def test_a_server_of_another_database_or_version_is_found(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other" / "anyscale.db"
    with closing(ControlPlane(Settings(database=other))) as control_plane:
        control_plane.tokens.create(OPERATOR, "jane", "owner", None)
    with site.behind_nginx():
        results = site.check(ANYSCALE_DATABASE_URL=f"sqlite:///{other}")
        monkeypatch.setattr(route, "__version__", "0.0.9")
        older = site.check("public_url.server")["public_url.server"]

    assert results["public_url.server"].status == "fail"
    assert "another database" in results["public_url.server"].found
    assert results["proxy.host"].status == "not tried"
    assert results["proxy.metrics"].status == "ok"
    assert older.status == "warn"
    assert "0.0.9" in older.found


def test_a_program_that_repeats_the_proof_of_the_command_is_not_the_server(site: Site) -> None:
    described = ReceivedRequest(
        proof=f"$http_{PROOF.replace('-', '_').lower()}",
        version=__version__,
        names=["host"],
        host=urlsplit(site.url).netloc,
        forwarded_for="127.0.0.1",
        forwarded_proto="https",
        scheme="https",
        client="127.0.0.1",
        peer="127.0.0.1",
    )
    text = msgspec.json.encode(described).decode()
    forged = f"location = {RECEIVED_REQUEST_PATH} {{ return 200 '{text}'; }} location / {{"
    with site.behind_nginx(("location / {", forged)):
        results = site.check()

    assert results["public_url.server"].status == "fail"
    assert results["proxy.host"].status == "not tried"


def test_without_a_token_the_server_is_recognized_too(
    tmp_path: Path, certificate: Path, trust: None
) -> None:
    with ExitStack() as stack:
        site = Site(tmp_path, certificate, stack)
        with closing(ControlPlane(Settings(database=site.database))) as control_plane:
            control_plane.tokens.revoke(OPERATOR, "jane")
        with site.behind_nginx():
            result = site.check("public_url.server")["public_url.server"]

    assert result.status == "ok"


def test_a_proxy_without_a_server_is_found(site: Site) -> None:
    with site.behind_nginx((f"127.0.0.1:{site.server_port}", f"127.0.0.1:{free_port()}")):
        results = site.check()

    assert results["public_url.reachable"].status == "fail"
    assert "responds with 502" in results["public_url.reachable"].found
    assert results["public_url.certificate"].status == "ok"
    assert results["proxy.host"].status == "not tried"


def test_a_proxy_that_does_not_run_is_found(site: Site) -> None:
    results = site.check()

    assert results["public_url.reachable"].status == "fail"
    assert results["public_url.reachable"].found == "Connection refused"
    others = {result.status for check, result in results.items() if check.startswith("proxy.")}
    assert others == {"not tried"}


def test_another_program_at_the_public_url_is_found(site: Site) -> None:
    change = ("location / {", 'location / { return 200 "hello"; ')
    with site.behind_nginx(change):
        result = site.check("public_url.reachable")["public_url.reachable"]

    assert result.status == "fail"
    assert "another program responds" in result.found


def test_a_certificate_that_is_not_trusted_or_expires_soon_is_found(
    site: Site, certificate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with site.behind_nginx():
        monkeypatch.delenv("SSL_CERT_FILE")
        untrusted = site.check("public_url.")
    soon = tmp_path / "soon"
    soon.mkdir()
    with ExitStack() as stack:
        site = Site(soon, create_certificate(soon, "localhost", 3), stack)
        monkeypatch.setenv("SSL_CERT_FILE", str(soon / "certificate.pem"))
        with site.behind_nginx():
            result = site.check("public_url.certificate")["public_url.certificate"]

    assert untrusted["public_url.certificate"].status == "fail"
    assert "self-signed certificate" in untrusted["public_url.certificate"].found
    assert result.status == "warn"
    assert result.found == "it is trusted, and expires in 2 days"


def test_a_public_url_that_never_responds_takes_limited_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("anyscale.server.check.network.SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"https://127.0.0.1:{silent.getsockname()[1]}"
        result = check_in_process(
            {"ANYSCALE_PUBLIC_URL": url, "HOME": str(tmp_path)}, "public_url.reachable"
        )["public_url.reachable"]

    assert result.status == "fail"
    assert "no response came within" in result.found


def test_a_server_without_a_proxy_has_no_checks_of_one(tmp_path: Path) -> None:
    settings = Settings(database=tmp_path / "anyscale.db")
    control_plane = ControlPlane(settings, profile=CHEAPEST)
    control_plane.tokens.create(OPERATOR, "jane", "owner", None)
    with serve_in_process(control_plane) as url:
        environment = {"ANYSCALE_PUBLIC_URL": url} | {
            "ANYSCALE_DATABASE_URL": f"sqlite:///{settings.database}"
        }
        results = check_in_process(environment, "p")

    assert results["public_url.reachable"].status == "ok"
    assert results["public_url.server"].status == "ok"
    assert results["public_url.clock"].status == "ok"
    assert "there is no proxy" in results["proxy.host"].found


@pytest.mark.parametrize(("skew", "status"), [(0, "ok"), (120, "warn")])
def test_a_clock_that_differs_is_warned_about(
    skew: int, status: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = time.time
    settings = Settings(database=tmp_path / "anyscale.db")
    with serve_in_process(ControlPlane(settings, profile=CHEAPEST)) as url:
        monkeypatch.setattr(time, "time", lambda: real() + skew)
        result = check_in_process(
            {"ANYSCALE_PUBLIC_URL": url, "HOME": str(tmp_path)}, "public_url.clock"
        )["public_url.clock"]

    assert result.status == status


@pytest.mark.parametrize(
    "date", [None, "", "today", "Mon, 99 Jan 2024 00:00:00 GMT", "Mon, 1 Jan 99999999999 00:00 GMT"]
)
def test_a_header_that_is_no_date_has_no_skew(date: str | None) -> None:
    assert skew_of(date) is None
