"""Other requests during a flood of sign-ins to the most expensive hashes made elsewhere."""

import http.client
import json
import multiprocessing
import os
import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from functools import partial
from itertools import count
from multiprocessing.synchronize import Event
from pathlib import Path

from tests.support.waiting import wait_until

from benchmarks.support.crowd import ACCOUNTS
from benchmarks.support.databases import SqliteDatabases
from benchmarks.support.files import credentials_of, email_of, write_users
from benchmarks.support.measuring import Cost, p99_of_requests, pairs, show_beside_idle
from benchmarks.support.serving import Connection, Server
from benchmarks.support.sites import site

#: Some seconds each: no bcrypt hash that is allowed takes longer.
_EXPENSIVE = "$2b$15$"

#: accounts of the flood: each has some tries until it has to wait
_FLOODED = 2_000

#: Sign-ins at once: enough that each core has the next one when it has finished one.
_CLIENTS = 4 * (os.cpu_count() or 1)

#: seconds of each client after an answer
_PAUSE = 0.1

_PAIRS = 3
_SAMPLES = 400

#: how many sign-ins to such hashes the server has in work or in line
_WAITING = 'anyscale_pool_requests{pool="imported_login"}'

#: Times as long as without the flood, at most. A sign-in gets three quarters of a core that the
#: flood keeps busy, and waits for it.
_HEALTHZ, _OURS = 2, 3


#: sends one request, the number of which is given
_Request = Callable[[Connection, int], None]


def measure(folder: Path) -> None:
    ours = write_users(folder / "ours.yaml", ACCOUNTS, passwords=True)
    others = write_users(
        folder / "others.yaml", _FLOODED, password_hashes=_EXPENSIVE, first=ACCOUNTS
    )
    with SqliteDatabases(folder).new() as database, site(database, folder) as place:
        for file in (ours, others):
            place.run("user", "batch-create", "-f", file)
        requests = (
            ("GET /healthz", _healthz, _HEALTHZ),
            ("a sign-in by a hash of ours", _sign_in, _OURS),
        )
        for what, request, limit in requests:
            calm = partial(_p99, place.server.url, request)
            found = pairs(partial(_p99_in_a_flood, place.server, request), calm, _PAIRS)
            show_beside_idle(f"p99 of {what} during the flood", found, limit)


def _p99_in_a_flood(server: Server, request: _Request) -> Cost:
    with _flood(server):
        return _p99(server.url, request)


def _healthz(connection: Connection, _: int) -> None:
    connection.get("/healthz")


def _sign_in(connection: Connection, number: int) -> None:
    connection.post("/v1/sessions", credentials_of(number % ACCOUNTS))


def _p99(url: str, request: _Request) -> Cost:
    return p99_of_requests(partial(request, Connection(url)), _SAMPLES)


@contextmanager
def _flood(server: Server) -> Iterator[None]:
    """Sign in with wrong passwords until the block ends."""
    ending = multiprocessing.Event()
    process = multiprocessing.Process(target=_run_flood, args=(server.port, ending))
    process.start()
    connection = Connection(server.url)
    wait_until(lambda: connection.metric(_WAITING) >= _CLIENTS // 2, 60)
    try:
        yield
    finally:
        ending.set()
        process.join()
        wait_until(lambda: connection.metric(_WAITING) == 0, 120)  # before the next calm run


def _run_flood(port: int, ending: Event) -> None:
    os.nice(10)  # its work is not the server's
    with ThreadPoolExecutor(_CLIENTS) as executor:
        for client in range(_CLIENTS):
            executor.submit(_guess, port, client, ending)


def _guess(port: int, client: int, ending: Event) -> None:
    chosen = random.Random(client)
    for number in count():
        if ending.is_set():
            return
        # Each address of IPv4 is a network of its own, with limits of its own.
        address = f"127.2.{client}.{number % 250 + 1}", 0
        connection = http.client.HTTPConnection("127.0.0.1", port, 5, address)
        email = email_of(ACCOUNTS + chosen.randrange(_FLOODED))
        body = json.dumps({"email": email, "password": "a wrong password"})
        with closing(connection), suppress(OSError, http.client.HTTPException):
            connection.request("POST", "/v1/sessions", body, {"Content-Type": "application/json"})
            connection.getresponse().read()
        ending.wait(_PAUSE)  # a refused request is cheap: the hashes are what is measured
