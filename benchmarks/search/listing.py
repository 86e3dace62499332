"""List accounts over HTTP: the last page of a million accounts and the first page."""

import statistics
from collections.abc import Mapping
from pathlib import Path

from tests.support.postgres import PostgresServer

from benchmarks.support.filling import fill_postgres, fill_sqlite, filled_id
from benchmarks.support.measuring import Cost, pairs, show
from benchmarks.support.serving import Connection, served, token

_COUNT = 1_000_000
_REQUESTS = 200
_LIMIT = 100


def measure(folder: Path) -> None:
    home = {"ANYSCALE_DATA_DIR": str(folder)}
    database = folder / "many.db"
    fill_sqlite(database, _COUNT)
    _compare("SQLite", home | {"ANYSCALE_DATABASE_URL": f"sqlite:///{database}"}, folder)
    server = PostgresServer(settings={})
    try:
        fill_postgres(server.url, _COUNT)
        _compare("PostgreSQL", home | {"ANYSCALE_DATABASE_URL": server.url}, folder)
    finally:
        server.remove()


def _compare(kind: str, environment: Mapping[str, str], folder: Path) -> None:
    secret = token(environment)
    with served(environment, folder / "server.log") as server:
        connection = Connection(server.url, secret)
        last = filled_id(_COUNT - _LIMIT - 1)
        found = pairs(lambda: _usual(connection, last), lambda: _usual(connection, ""))
    milliseconds = statistics.median(cost.wall for cost in found.bound) * 1e3
    show(
        f"{kind}: listing the last of 1,000,000 accounts over HTTP / listing the first",
        found.ratio(lambda cost: cost.wall),
        1.5,
        note=f" ({milliseconds:.2f} ms)",
    )


def _usual(connection: Connection, after: str) -> Cost:
    path = f"/v1/users?limit={_LIMIT}&after={after}"
    assert connection.get(path).count(b'"user_id"') == _LIMIT
    return Cost(statistics.median(connection.seconds(path) for _ in range(_REQUESTS)), 0, 0)
