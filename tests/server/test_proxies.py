"""The proxies of the documents: Debian's nginx, Caddy and HAProxy run with the documented files.

Only names and ports of a file are replaced.
"""

import os
import re
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from tests.support.paths import ROOT
from tests.support.ports import free_port
from tests.support.programs import program
from tests.support.servers.certificates import create_certificate
from tests.support.servers.http_client import HttpClient, HttpResponse
from tests.support.servers.server_process import ServerProcess
from tests.support.users import create_accounts
from tests.support.waiting import wait_until

from anyscale.domain.schemas.protocol import IDENTITY
from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.hashing.pool import CHEAPEST
from anyscale.server.settings import Settings

HOST = "accounts.example.com"

#: Other spellings of `/metrics` that a server or a proxy may take for the same.
SPELLINGS = (
    "/metrics",
    "/metrics/",
    "/metrics//",
    "//metrics",
    "///metrics/",
    "/metrics%2f",
    "/metrics%2F",
    "/%6detrics",
    "/%6Detrics%2f",
)

#: of the client; the proxy has another one
CLIENT = "127.0.0.2"

FORGED = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "http"}


def documented(page: str, name: str) -> str:
    """Give a file that a page shows after a line like "`name`:"."""
    text = (ROOT / "docs" / "operations" / page).read_text(encoding="utf-8")
    (found,) = re.findall(rf"`{re.escape(name)}`:\n\n```\w+\n(.*?)```\n", text, re.DOTALL)
    return str(found)


def replaced(text: str, names: Mapping[str, str]) -> str:
    for old, new in names.items():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


class ProxyClient(HttpClient):
    """A client behind a proxy, which says that it has another address and scheme.

    Args:
        port: at which the proxy listens for TLS.
        context: trusts its certificate.
        folder: with the files of the proxy.
    """

    def __init__(self, port: int, context: ssl.SSLContext, folder: Path) -> None:
        super().__init__(f"https://{HOST}")
        self.port = port
        self.folder = folder
        self._context = context

    process_id: int
    address = CLIENT

    def connect(self) -> HTTPConnection:
        plain = socket.create_connection(("127.0.0.1", self.port), 30, (self.address, 0))
        connection = super().connect()
        connection.sock = self._context.wrap_socket(plain, server_hostname=HOST)
        return connection

    def request(self, *arguments: Any, **options: Any) -> HttpResponse:
        return super().request(*arguments, **{"headers": FORGED} | options)

    def is_open(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), 5).close()
        except OSError:
            return False
        return True


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with a key and its self-signed certificate."""
    return create_certificate(tmp_path_factory.mktemp("certificate"), HOST, 2)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server behind the proxies, with an account for each of them."""
    folder = tmp_path_factory.mktemp("server")
    database = folder / "anyscale.db"
    with closing(ControlPlane(Settings(database=database), profile=CHEAPEST)) as control_plane:
        create_accounts(control_plane, "nginx", "caddy", "haproxy")
    settings = {"ANYSCALE_PUBLIC_URL": f"https://{HOST}"}
    with ServerProcess(f"sqlite:///{database}", folder, settings=settings) as server:
        yield server


@pytest.fixture(scope="module")
def token(server: ServerProcess) -> str:
    """A token of the server."""
    return server.token()


#: what the file of a site lacks, because the distribution's nginx.conf has it
NGINX = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    {site}
}}
"""


#: more ports: none for its administration, one of HTTP to redirect from, all of loopback
CADDY = "\tadmin off\n\thttp_port {port}\n\tdefault_bind 127.0.0.1"


def nginx(folder: Path, port: int, server: int, certificate: Path) -> list[str]:
    """Write the files of nginx; give its arguments."""
    plain = free_port()
    names = {
        "127.0.0.1:8000": f"127.0.0.1:{server}",
        "listen 443": f"listen 127.0.0.1:{port}",
        "listen [::]:443": f"listen [::1]:{port}",
        "listen 80": f"listen 127.0.0.1:{plain}",
        "listen [::]:80": f"listen [::1]:{plain}",
        f"/etc/ssl/{HOST}.pem": str(certificate),
        f"/etc/ssl/private/{HOST}.key": str(certificate),
    }
    site = replaced(documented("tls.md", "musterroll.conf"), names)
    site = site.replace("/var/log/nginx/", f"{folder}/")
    (folder / "http-port").write_text(str(plain))
    file = folder / "nginx.conf"
    file.write_text(NGINX.format(folder=folder, site=site))
    return ["-p", str(folder), "-e", str(folder / "error.log"), "-c", str(file)]


def caddy(folder: Path, port: int, server: int, certificate: Path) -> list[str]:
    """Write the file of Caddy; give its arguments. It gets no certificate from the internet."""
    names = {
        "127.0.0.1:8000": f"127.0.0.1:{server}",
        "{\n\tservers {": f"{{\n{CADDY.format(port=free_port())}\n\tservers {{",
        f"{HOST} {{": f"https://{HOST}:{port} {{\n\ttls {certificate} {certificate}",
    }
    file = folder / "Caddyfile"
    file.write_text(replaced(documented("tls.md", "Caddyfile"), names))
    return ["run", "--config", str(file), "--adapter", "caddyfile"]


def haproxy(folder: Path, port: int, server: int, certificate: Path, other: int = 0) -> list[str]:
    """Write the file of HAProxy, with another server or the same one twice; give its arguments."""
    names = {
        "10.0.0.11:8000": f"127.0.0.1:{server}",
        "10.0.0.12:8000": f"127.0.0.1:{other or server}",
        "bind :443": f"bind 127.0.0.1:{port}",
        f"/etc/haproxy/{HOST}.pem": str(certificate),
    }
    file = folder / "haproxy.cfg"
    file.write_text(replaced(documented("several-servers.md", "haproxy.cfg"), names))
    return ["-db", "-f", str(file)]


@contextmanager
def running(command: list[str], client: ProxyClient) -> Iterator[None]:
    """Run a proxy until the block ends."""
    log = client.folder / "output.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [program(command[0]), *command[1:]],
            env=os.environ | {"HOME": str(client.folder)},
            stdout=output,
            stderr=output,
        )
    try:
        wait_until(lambda: client.is_open() or process.poll() is not None)
        assert process.poll() is None, log.read_text()
        client.process_id = process.pid
        yield
    finally:
        process.terminate()
        process.wait(30)


def nginx_with_metrics(*arguments: Any) -> list[str]:
    """Write the files of nginx with the part that lets the address of the client read metrics."""
    command = nginx(*arguments)
    file = Path(command[-1])
    part = replaced(documented("monitoring.md", "metrics.conf"), {"10.0.0.20": CLIENT})
    end = "    location /metrics {"
    file.write_text(replaced(file.read_text(), {end: part + end}))
    return command


@pytest.fixture(
    scope="module", params=[nginx, caddy, haproxy], ids=lambda program: program.__name__
)
def client(
    request: pytest.FixtureRequest,
    server: ServerProcess,
    certificate: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[ProxyClient]:
    """A client of a proxy in front of the server."""
    folder = tmp_path_factory.mktemp(request.param.__name__)
    client = ProxyClient(free_port(), ssl.create_default_context(cafile=certificate), folder)
    command = request.param(folder, client.port, server.port, certificate)
    with running([request.param.__name__, *command], client):
        yield client


def test_a_proxy_passes_requests_on(client: ProxyClient) -> None:
    assert client.request("GET", "/healthz").json == {"status": "alive"}
    created = client.request("POST", "/v1/users%3AbatchCreate", {})
    assert (created.status, created.json["code"]) == (401, "not_authenticated")


def test_nginx_lets_only_the_address_of_prometheus_read_the_metrics(
    server: ServerProcess, certificate: Path, tmp_path: Path
) -> None:
    context = ssl.create_default_context(cafile=certificate)
    prometheus = ProxyClient(free_port(), context, tmp_path)
    command = nginx_with_metrics(tmp_path, prometheus.port, server.port, certificate)
    with running(["nginx", *command], prometheus):
        assert "anyscale_build_info" in prometheus.request("GET", "/metrics").text
        assert prometheus.request("GET", "/metrics/").status == 404
        other = ProxyClient(prometheus.port, context, tmp_path)
        other.address = "127.0.0.3"
        assert other.request("GET", "/metrics").status == 403


class GoneServer:
    """A server that ends: it reads the first octets of each request, and closes the connection."""

    def __init__(self, stack: ExitStack) -> None:
        self._listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        self.port: int = self._listener.getsockname()[1]
        self.requests = 0
        thread = threading.Thread(target=self._close_each)
        thread.start()
        stack.callback(thread.join)
        stack.callback(self._listener.shutdown, socket.SHUT_RDWR)

    def _close_each(self) -> None:
        with suppress(OSError):
            while True:
                connection = self._listener.accept()[0]
                with connection:
                    self.requests += connection.recv(65536).startswith((b"GET /v1", b"POST /v1"))


def test_haproxy_repeats_the_requests_of_a_server_that_ends_on_another_one(
    server: ServerProcess, certificate: Path, token: str, tmp_path: Path
) -> None:
    headers = {"Authorization": f"Bearer {token}"}
    client = ProxyClient(free_port(), ssl.create_default_context(cafile=certificate), tmp_path)
    with ExitStack() as stack:
        gone = GoneServer(stack)
        command = haproxy(tmp_path, client.port, server.port, certificate, gone.port)
        with running(["haproxy", *command], client):
            body = {"create_users": [], "dry_run": True}
            for number in range(10):
                key = {"Idempotency-Key": f"repeated-{number}"}
                read = client.request("GET", "/v1/policy", headers=headers)
                written = client.request(
                    "POST", "/v1/users:batchCreate", body, headers=headers | key
                )
                assert (read.status, written.status) == (200, 200)
    assert gone.requests > 0


@pytest.mark.parametrize("path", SPELLINGS)
def test_a_proxy_blocks_each_spelling_of_the_metrics(client: ProxyClient, path: str) -> None:
    response = client.request("GET", path)

    assert response.status == 404
    assert IDENTITY not in response.headers, "the server has answered"


def test_a_client_cannot_choose_its_address_and_scheme(client: ProxyClient, request: Any) -> None:
    client.sign_in_first_time(request.node.callspec.id)

    (session,) = client.request("GET", "/v1/me/sessions").json["sessions"]
    assert session["address"] == CLIENT
    assert "Strict-Transport-Security" in client.request("GET", "/healthz").headers


def nginx_of_debian_12(*arguments: Any) -> list[str]:
    """Write the files of nginx with the syntax that the page has for nginx 1.22."""
    command = nginx(*arguments)
    file = Path(command[-1])
    text = replaced(file.read_text(), {"    http2 on;\n": ""})
    file.write_text(re.sub(r"(listen \S+ ssl);", r"\1 http2;", text))
    return command


@pytest.mark.parametrize("client", [nginx], indirect=True)
@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_nginx_redirects_from_http_and_speaks_http_2_at_both_addresses(
    client: ProxyClient, address: str
) -> None:
    port = int((client.folder / "http-port").read_text())
    plain = HTTPConnection(address, port, timeout=30)
    plain.request("GET", "/sign-in?a=b", headers={"Host": "elsewhere.example.com"})
    response = plain.getresponse()
    assert response.status == 301
    assert response.headers["Location"] == f"https://{HOST}/sign-in?a=b"
    plain.close()
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    with (
        socket.create_connection((address, client.port), 30) as connection,
        context.wrap_socket(connection, server_hostname=HOST) as stream,
    ):
        assert stream.selected_alpn_protocol() == "h2"


def test_the_syntax_for_the_nginx_of_debian_12_is_valid(certificate: Path, tmp_path: Path) -> None:
    arguments = nginx_of_debian_12(tmp_path, free_port(), 8000, certificate)
    command = [program("nginx"), "-t", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("client", [nginx], indirect=True)
def test_nginx_writes_no_body_of_http_2_to_a_file(client: ProxyClient, tmp_path: Path) -> None:
    body = tmp_path / "body"
    body.write_bytes(b" " * 20_000_000)
    where = f"{HOST}:{client.port}:127.0.0.1"
    done = subprocess.run(
        [
            *(program("curl"), "--silent", "--insecure", "--http2", "--resolve", where),
            *("--data-binary", f"@{body}", "--write-out", "%{http_version} %{http_code}"),
            *("--output", os.devnull, f"https://{HOST}:{client.port}/v1/users:batchCreate"),
        ],
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout == "2 401"
    assert (client.folder / "error.log").read_text() == ""


@pytest.mark.parametrize("client", [nginx], indirect=True)
def test_nginx_writes_no_body_to_a_file(client: ProxyClient) -> None:
    raw = b" " * 20_000_000
    assert client.request("POST", "/v1/users:batchCreate", raw=raw).status == 401

    assert (client.folder / "error.log").read_text() == ""


#: requests of one address without a token, each with a body of this many octets
ATTACKERS, ATTACK_OCTETS = 20, 8_000_000


def memory(process_id: int) -> int:
    """Give the octets of memory that a process uses."""
    status = Path(f"/proc/{process_id}/status").read_text(encoding="ascii")
    (kibibytes,) = re.findall(r"^VmRSS:\s+(\d+) kB$", status, re.MULTILINE)
    return int(kibibytes) * 1024


def send_most(client: ProxyClient, path: str) -> HTTPConnection:
    """Begin a request, and send all of its body but the end, as far as the proxy takes it."""
    connection = client.connect()
    connection.putrequest("POST", path)
    connection.putheader("Content-Type", "application/x-www-form-urlencoded")
    connection.putheader("Content-Length", str(ATTACK_OCTETS))
    connection.endheaders()
    with suppress(OSError):  # the proxy closes the connection, or takes no more
        connection.sock.settimeout(5)
        connection.sock.sendall(b"a" * (ATTACK_OCTETS - 1))
    return connection


@pytest.mark.parametrize("path", ["/sign-in", "/v1/users:batchCreate"])
def test_strangers_cannot_fill_the_memory_of_a_proxy_and_its_server(
    client: ProxyClient, server: ServerProcess, path: str
) -> None:
    processes = (client.process_id, server.pid)
    before = [memory(process) for process in processes]

    with ThreadPoolExecutor(ATTACKERS) as executor:
        connections = list(executor.map(send_most, [client] * ATTACKERS, [path] * ATTACKERS))
    grown = [memory(process) for process in processes]
    for connection in connections:
        connection.close()

    assert sum(grown) - sum(before) < ATTACKERS * ATTACK_OCTETS / 4


def test_a_proxy_passes_large_bodies_of_batches_on(client: ProxyClient, token: str) -> None:
    body = b'{"create_users": [], "dry_run": true}'

    created = client.request(
        "POST",
        "/v1/users:batchCreate",
        raw=b" " * 45_000_000 + body,
        headers={"Authorization": f"Bearer {token}", "Idempotency-Key": "large-body"},
    )

    assert (created.status, created.json["users"]) == (200, [])
    assert not [file for file in client.folder.rglob("*") if file.parent.name == "body"]


@pytest.mark.parametrize("client", [nginx], indirect=True)
def test_the_log_of_nginx_has_no_query(client: ProxyClient) -> None:
    client.request("GET", "/sso/callback?code=secret-code&state=secret-state")

    wait_until(lambda: "/sso/callback" in (client.folder / "musterroll.log").read_text())
    for log in client.folder.glob("*.log"):
        assert "secret-" not in log.read_text(), log


@pytest.mark.parametrize("client", [nginx], indirect=True)
def test_nginx_limits_the_slow_bodies_of_an_address(client: ProxyClient) -> None:
    with ExitStack() as stack:
        for _ in range(100):
            connection = stack.enter_context(closing(client.connect()))
            connection.putrequest("POST", "/sign-in")
            connection.putheader("Content-Length", "100")
            connection.endheaders(b"email=")

        assert client.request("GET", "/healthz").status == 429

    wait_until(lambda: client.request("GET", "/healthz").status == 200)
