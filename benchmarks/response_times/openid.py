"""Exchange codes of an OpenID provider: CPU time besides the signature / session and commit."""

import http.client
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import urlencode

from tests.support.sign_in.openid_provider import (
    CALLBACK,
    VERIFIER,
    Site,
    create_jane_and_kim,
    keys_folder,
)

from anyscale.server.control_plane import ControlPlane
from anyscale.server.settings import Settings
from benchmarks.support.databases import Database, each_kind
from benchmarks.support.measuring import Cost, pairs, show
from benchmarks.support.serving import Server, served

#: of a run: an account has at most 50 sessions, and a code works for a minute
_CALLS = 48
_RUNS = 11
_CONNECTIONS = 8
_PUBLIC_URL = "http://127.0.0.1"

#: the CPU time of an exchange without its signature, at most, of a sign-out: a session and a commit
_LIMIT = 2

_Send = Callable[[http.client.HTTPConnection, str], int]


def measure(folder: Path) -> None:
    keys = keys_folder(folder / "keys")
    with each_kind(folder) as kinds:
        for databases in kinds:
            with databases.new() as database, _site(database, keys, folder) as (site, server):
                _measure(databases.name, site, server)


@contextmanager
def _site(database: Database, keys: Path, folder: Path) -> Iterator[tuple[Site, Server]]:
    """Run a provider, whose database this process opens, too."""
    environment = {
        "ANYSCALE_DATABASE_URL": database.url,
        "ANYSCALE_PUBLIC_URL": _PUBLIC_URL,
        "ANYSCALE_SIGNING_KEYS": str(keys),
    }
    settings = Settings(
        database=database.sqlite_path or database.url, public_url=_PUBLIC_URL, signing_keys=keys
    )
    with (
        closing(ControlPlane(settings)) as control_plane,
        served(environment, folder / "server.log") as server,
    ):
        yield Site(control_plane, create_jane_and_kim(control_plane)), server


def _measure(kind: str, site: Site, server: Server) -> None:
    signature = _signature(site)

    def exchange() -> Cost:
        cost = _cost(server, _codes(site), _exchange(site))
        return cost._replace(cpu=cost.cpu - signature)

    found = pairs(exchange, lambda: _cost(server, _sessions(site), _sign_out), _RUNS)
    rate = statistics.median(_exchanges_a_second(site, server) for _ in range(3))
    ours, bound = (
        statistics.median(cost.cpu for cost in costs) * 1e3 for costs in (found.ours, found.bound)
    )
    show(
        f"{kind}: the server's CPU time of an exchange besides its signature / of a sign-out",
        found.ratio(lambda cost: cost.cpu),
        _LIMIT,
        note=f" ({ours:.2f} / {bound:.2f} ms; the signature {signature * 1e3:.2f} ms; {rate:.0f}"
        " exchanges a second)",
    )


def _codes(site: Site) -> list[str]:
    session = site.sign_in()
    return [site.code(session) for _ in range(_CALLS)]


def _sessions(site: Site) -> list[str]:
    return [site.sign_in() for _ in range(_CALLS)]


def _cost(server: Server, secrets: list[str], send: _Send) -> Cost:
    """Return the time and the CPU time of the server for a request, on one connection."""
    with closing(_connection(server)) as connection:
        start, before = time.perf_counter(), server.cpu_seconds
        for secret in secrets:
            assert send(connection, secret) in (200, 204)
        cpu, wall = server.cpu_seconds - before, time.perf_counter() - start
    return Cost(wall / len(secrets), cpu / len(secrets))


def _connection(server: Server) -> http.client.HTTPConnection:
    return http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)


def _exchange(site: Site) -> _Send:
    form = {
        "grant_type": "authorization_code",
        "redirect_uri": CALLBACK,
        "code_verifier": VERIFIER,
        "client_id": site.client_id,
        "client_secret": site.secret or "",
    }

    def send(connection: http.client.HTTPConnection, code: str) -> int:
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        connection.request("POST", "/oauth2/token", urlencode(form | {"code": code}), headers)
        return _status(connection)

    return send


def _sign_out(connection: http.client.HTTPConnection, session: str) -> int:
    headers = {"Cookie": f"__Host-session={session}", "Sec-Fetch-Site": "same-origin"}
    connection.request("DELETE", "/v1/sessions/current", headers=headers)
    return _status(connection)


def _status(connection: http.client.HTTPConnection) -> int:
    with connection.getresponse() as response:
        response.read()
        return response.status


def _signature(site: Site) -> float:
    """Return the CPU seconds of this process for the signature of an ID token."""
    claims = site.claims(site.exchange(site.code(site.sign_in())))
    start = time.process_time()
    for _ in range(_CALLS):
        site.provider.keys.sign(claims)
    return (time.process_time() - start) / _CALLS


def _exchanges_a_second(site: Site, server: Server) -> float:
    parts = [_codes(site) for _ in range(_CONNECTIONS)]
    send = _exchange(site)
    start = time.perf_counter()
    with ThreadPoolExecutor(_CONNECTIONS) as pool:
        list(pool.map(lambda codes: _cost(server, codes, send), parts))
    return sum(map(len, parts)) / (time.perf_counter() - start)
