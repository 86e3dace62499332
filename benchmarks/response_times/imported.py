"""Other requests during a flood of sign-ins to the most expensive hashes made elsewhere."""

import http.client
import json
import multiprocessing
import os
import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from functools import partial
from itertools import count
from multiprocessing.synchronize import Event
from pathlib import Path

from benchmarks.support.crowd import ACCOUNTS
from benchmarks.support.databases import SqliteDatabases
from benchmarks.support.files import email_of, write_users
from benchmarks.support.measuring import Cost, p99, pairs, show_beside_idle
from benchmarks.support.serving import Connection, Server
from benchmarks.support.sites import site

#: Some seconds each: no bcrypt hash that is allowed takes longer.
_EXPENSIVE = "$2b$15$"

#: accounts of the flood: each has some tries until it has to wait
_FLOODED = 2_000

#: at once, each with a pause in seconds after each request
_CLIENTS, _PAUSE = 40, 0.1

_PAIRS = 3
_SAMPLES = 400
_INTERVAL = 0.005

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
    with _flood(server.port):
        return _p99(server.url, request)


def _healthz(connection: Connection, _: int) -> None:
    connection.get("/healthz")


def _sign_in(connection: Connection, number: int) -> None:
    i = number % ACCOUNTS
    credentials = {"email": email_of(i), "password": f"Xk9-vq{i}dtrz"}
    connection.post("/v1/sessions", json.dumps(credentials))


def _p99(url: str, request: _Request) -> Cost:
    """Return the 99th percentile of many response times."""
    connection = Connection(url)
    times = []
    for number in range(_SAMPLES):
        time.sleep(_INTERVAL)  # the rate of the requests is part of the measurement
        start = time.perf_counter()
        request(connection, number)
        times.append(time.perf_counter() - start)
    return Cost(p99(times))


@contextmanager
def _flood(port: int) -> Iterator[None]:
    """Sign in with wrong passwords until the block ends."""
    ending = multiprocessing.Event()
    process = multiprocessing.Process(target=_run_flood, args=(port, ending))
    process.start()
    time.sleep(1)  # the server is as busy as it will be
    try:
        yield
    finally:
        ending.set()
        process.join()


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
