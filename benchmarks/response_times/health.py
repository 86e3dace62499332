"""GET /healthz: its p99 while a batch is hashed on every core, beside its p99 when idle."""

from pathlib import Path

from benchmarks.support.databases import SqliteDatabases
from benchmarks.support.files import write_users
from benchmarks.support.hashing import hashing
from benchmarks.support.measuring import Cost, p99_of_requests, pairs, show_beside_idle
from benchmarks.support.serving import Connection
from benchmarks.support.sites import site

_SAMPLES = 1_000
#: Enough passwords that the server hashes until the last sample.
_PASSWORDS = 3_000


def measure(folder: Path) -> None:
    numbers = iter(range(1_000))
    with SqliteDatabases(folder).new() as database, site(database, folder) as place:

        def busy() -> Cost:
            number = next(numbers)
            path = folder / f"users{number}.yaml"
            users = write_users(path, _PASSWORDS, passwords=True, first=number * _PASSWORDS)
            with hashing(users, place.client):
                return _p99(place.server.url)

        found = pairs(busy, lambda: _p99(place.server.url))
    show_beside_idle("p99 of GET /healthz while the passwords of a batch are hashed", found, 2)


def _p99(url: str) -> Cost:
    connection = Connection(url)
    connection.get("/healthz")
    return p99_of_requests(lambda _: connection.get("/healthz"), _SAMPLES)
