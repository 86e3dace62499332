"""Search a million accounts over HTTP, with a batch of a million open beside them.

Each line is a kind of query: how long the first response takes, and how long it takes to read all
pages. A page has 100 accounts, as a screen shows them.
"""

import json
import random
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

from tests.support.postgres import PostgresServer

from anyscale.server.core.users.search_index import SearchIndex
from anyscale.server.store.interface import Store
from anyscale.server.store.postgres.store import PostgresStore
from anyscale.server.store.sqlite.store import SqliteStore
from benchmarks.support.measuring import point, show
from benchmarks.support.people import Person, add_people, person_at
from benchmarks.support.serving import Connection, served, token

_COUNT = 1_000_000
_LIMIT = 100
_REQUESTS = 200
_BOUND_MS = 100.0
#: pages of a query that are read
_MOST_PAGES = 100


class Line(NamedTuple):
    """A line of the table."""

    title: str
    #: returns the parameters of one of many queries of this kind
    query: Callable[[random.Random], Mapping[str, Any]]


def measure(folder: Path) -> None:
    home = {"ANYSCALE_DATA_DIR": str(folder)}
    database = folder / "many.db"
    _fill(SqliteStore(database))
    _measure("SQLite", home | {"ANYSCALE_DATABASE_URL": f"sqlite:///{database}"}, folder)
    server = PostgresServer(settings={})
    try:
        _fill(PostgresStore(server.url))
        _measure("PostgreSQL", home | {"ANYSCALE_DATABASE_URL": server.url}, folder)
        server.execute("analyze")
        _measure("PostgreSQL, analyzed", home | {"ANYSCALE_DATABASE_URL": server.url}, folder)
    finally:
        server.remove()


def _fill(store: Store) -> None:
    """Publish a batch and index its words, and leave another one open."""
    add_people(store, 1, range(_COUNT), publish=True)
    SearchIndex(store).fill()
    add_people(store, 2, range(_COUNT, 2 * _COUNT), publish=False)
    store.close()


def _measure(kind: str, environment: Mapping[str, str], folder: Path) -> None:
    secret = token(environment)
    with served(environment, folder / "server.log") as server:
        connection = Connection(server.url, secret)
        for line in LINES:
            _show(kind, connection, line)


def _show(kind: str, connection: Connection, line: Line) -> None:
    chance = random.Random(line.title)
    paths = [_path(line.query(chance)) for _ in range(_REQUESTS)]
    times = sorted(connection.seconds(f"{path}&cursor=") * 1e3 for path in paths)
    median, high = statistics.median(times), times[len(times) * 99 // 100]
    point("search", f"{kind}, p50", line.title, median, "ms")
    point("search", f"{kind}, p99", line.title, high, "ms")
    users, pages, seconds = _read_all(connection, paths[0])
    note = f" (p50 {median:.1f} ms; all {users:,} users in {pages} pages: {seconds:.2f} s)"
    show(f"{kind}: {line.title}, p99 of the first page", high, _BOUND_MS, " ms", note)


def _path(query: Mapping[str, Any]) -> str:
    return f"/v1/users?{urlencode({'limit': _LIMIT, **query})}"


def _read_all(connection: Connection, path: str) -> tuple[int, int, float]:
    """Read all pages of a query, or the first ones."""
    start = time.perf_counter()
    cursor: str | None = ""
    users = pages = 0
    while cursor is not None and pages < _MOST_PAGES:
        page = json.loads(connection.get(f"{path}&cursor={cursor}"))
        users, pages, cursor = users + len(page["users"]), pages + 1, page["cursor"]
    return users, pages, time.perf_counter() - start


def _person(chance: random.Random) -> Person:
    return person_at(chance.randrange(_COUNT))


LINES: Sequence[Line] = (
    Line("an email", lambda chance: {"search": _person(chance).email}),
    Line("a first name", lambda chance: {"search": _person(chance).name}),
    Line("a last name", lambda chance: {"search": _person(chance).lastname}),
    Line("a first and a last name", lambda chance: {"search": _person(chance).full_name}),
    Line("the beginning of an email", lambda chance: {"search": _person(chance).email[:6]}),
    Line("the beginning of a name", lambda chance: {"search": _person(chance).lastname[:3]}),
    Line("one letter", lambda chance: {"search": _person(chance).name[:1]}),
    Line("the domain of an email", lambda chance: {"search": _person(chance).email.split("@")[1]}),
    Line(
        "the beginnings of two words",
        lambda chance: {
            "search": f"{_person(chance).lastname[:4]} {_person(chance).name[:2]}",
        },
    ),
    Line(
        "two words that are never together",
        lambda chance: {"search": f"{_person(chance).name} qwertz"},
    ),
    Line("a frequent part of a word", lambda chance: {"search": _person(chance).lastname[1:4]}),
    Line("a rare part of a word", lambda chance: {"search": _person(chance).email[3:11]}),
    Line("nothing found", lambda chance: {"search": f"nobody{chance.randrange(10**9)}"}),
    Line(
        "a first name of suspended users",
        lambda chance: {"search": _person(chance).name, "suspended": "true"},
    ),
    Line("owners", lambda _: {"role": "owner"}),
    Line("suspended users", lambda _: {"suspended": "true"}),
    Line("SSO users", lambda _: {"sso": "true"}),
    Line("users without credentials", lambda _: {"without_credentials": "true"}),
    Line("all users", lambda _: {}),
    Line("the newest first", lambda _: {"order": "-created"}),
    Line("--email with a rare part", lambda chance: {"email": _person(chance).email[3:11]}),
    Line("--name with a frequent part", lambda chance: {"name": _person(chance).name[1:3]}),
    Line("--name that nobody has", lambda chance: {"name": f"nobody{chance.randrange(10**9)}"}),
)
