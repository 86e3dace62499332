"""Fill the index of words of a million accounts, and what that costs the others.

Filling is measured without a server: the time a user, with the pauses, and the longest transaction.
Then a server fills the index again, while a client asks for its health and changes an account.
"""

import json
import statistics
import time
from collections.abc import Callable
from itertools import cycle
from pathlib import Path

from anyscale.server.core.users.search_index import SearchIndex
from anyscale.server.store.interface import Store
from anyscale.server.store.postgres.store import PostgresStore
from anyscale.server.store.sqlite.store import SqliteStore
from benchmarks.support.databases import Database, each_kind
from benchmarks.support.measuring import show, timed
from benchmarks.support.people import add_people
from benchmarks.support.serving import Connection, served, token

_COUNT = 1_000_000

#: microseconds a user, milliseconds of the writer, and times as slow as beside an idle server
_FILL, _SLICE, _OTHERS = 40, 50, 2

#: requests of a kind in one round, and the seconds before each
_SAMPLES, _INTERVAL = 100, 0.003

_RESET = ("delete from user_words", "update search_index set publication = 0, position = 0")


def measure(folder: Path) -> None:
    with each_kind(folder) as kinds:
        for databases in kinds:
            with databases.new() as database:
                store = _open(database)
                add_people(store, 1, range(_COUNT), publish=True)
                _fill(databases.name, store)
                store.close()
                for statement in _RESET:
                    database.execute(statement)
                _serve(databases.name, database, folder)


def _open(database: Database) -> Store:
    path = database.sqlite_path
    return SqliteStore(path) if path else PostgresStore(database.url)


class _TimedIndex(SearchIndex):
    """Notes how long each slice takes."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.milliseconds: list[float] = []

    def _fill_slice(self, deadline: float) -> bool:
        start = time.perf_counter()
        try:
            return super()._fill_slice(deadline)
        finally:
            self.milliseconds.append((time.perf_counter() - start) * 1e3)


def _fill(kind: str, store: Store) -> None:
    index = _TimedIndex(store)
    cost = timed(index.fill)
    assert index.count_unindexed() == 0
    show(
        f"{kind}: filling the index of words of {_COUNT:,}",
        cost.wall / _COUNT * 1e6,
        _FILL,
        " us a user",
    )
    times = sorted(index.milliseconds)
    median, high = statistics.median(times), times[len(times) * 99 // 100]
    over = sum(one > _SLICE for one in times)
    note = (
        f" (p50 {median:.1f}, longest {times[-1]:.1f} ms; {over} of {len(times)} over {_SLICE} ms)"
    )
    show(f"{kind}: p99 of a slice, for which others wait", high, _SLICE, " ms", note)


def _serve(kind: str, database: Database, folder: Path) -> None:
    environment = {
        "ANYSCALE_DATA_DIR": str(folder / kind),
        "ANYSCALE_DATABASE_URL": database.url,
    }
    secret = token(environment)
    with served(environment, folder / "server.log") as server:
        connection = Connection(server.url, secret)
        _show_others(kind, connection)


def _show_others(kind: str, connection: Connection) -> None:
    calls = {"GET /healthz": _health(connection), "a change of a title": _change(connection)}
    busy, idle = _Times(), _Times()
    while _unindexed(connection):
        found = _round(calls)
        if _unindexed(connection):
            busy.add(found)
    while len(idle) < len(busy):
        idle.add(_round(calls))
    for what in calls:
        filling, alone = busy.p99(what), idle.p99(what)
        note = f" ({filling:.2f} and {alone:.2f} ms, of {len(busy)} requests)"
        title = f"{kind}: p99 of {what} while the index is filled / when idle"
        show(title, filling / alone, _OTHERS, note=note)


class _Times:
    """The milliseconds of each kind of request."""

    def __init__(self) -> None:
        self._found: dict[str, list[float]] = {}

    def __len__(self) -> int:
        return max(map(len, self._found.values()), default=0)

    def add(self, found: dict[str, list[float]]) -> None:
        for what, times in found.items():
            self._found.setdefault(what, []).extend(times)

    def p99(self, what: str) -> float:
        return statistics.quantiles(self._found[what], n=100)[-1]


def _health(connection: Connection) -> Callable[[], object]:
    return lambda: connection.get("/healthz")


def _change(connection: Connection) -> Callable[[], object]:
    (user,) = json.loads(connection.get("/v1/users?limit=1"))["users"]
    bodies = cycle([json.dumps({"title": title}) for title in ("Dr", "Prof")])
    return lambda: connection.patch(f"/v1/users/{user['user_id']}", next(bodies))


def _round(calls: dict[str, Callable[[], object]]) -> dict[str, list[float]]:
    """Call each in turns, and return the milliseconds of each."""
    found: dict[str, list[float]] = {what: [] for what in calls}
    for _ in range(_SAMPLES):
        for what, call in calls.items():
            time.sleep(_INTERVAL)
            found[what].append(timed(call).wall * 1e3)
    return found


def _unindexed(connection: Connection) -> float:
    lines = connection.get("/metrics").decode().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("anyscale_unindexed"))
