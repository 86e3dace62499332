"""Fill the index of words: us a user, ms of a transaction, and the p99 of other requests.

Filling is measured without a server, with the pauses between the transactions. Then a server fills
the index again, as often as needed for enough samples, while a client asks for its health and
changes an account. Each time, as many requests follow when the server has nothing to fill, so that
the noise of the machine is in both.
"""

import json
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from itertools import cycle
from pathlib import Path

from tests.support.waiting import wait_until

from anyscale.server.core.search.index import SearchIndex, Segment
from anyscale.server.core.transactions import Transactions
from anyscale.server.store.transaction import Store
from anyscale.server.store.word_rows import WordRow
from benchmarks.support.databases import Database, each_kind
from benchmarks.support.measuring import p99, show, timed
from benchmarks.support.people import add_people
from benchmarks.support.serving import Connection
from benchmarks.support.sites import site

#: microseconds a user, and milliseconds of the writer
_FILL, _SLICE = 40, 50

#: times as slow as beside an idle server
_OTHERS = {"GET /healthz": 4, "a change of a title": 2}

#: requests of a kind while the index is filled: ten of them are over the p99
_ENOUGH = 1_000

#: seconds of requests while the index is filled, at most
_LONGEST = 90

#: requests of a kind between two looks at the progress, and the seconds before each
_ROUND, _INTERVAL = 10, 0.003


def measure(folder: Path, users: int) -> None:
    with each_kind(folder) as kinds:
        for databases in kinds:
            with databases.new() as database:
                with closing(database.open_store()) as store:
                    add_people(store, 1, range(users), publish=True)
                    _fill(databases.name, store, users)
                with site(database, folder) as place:
                    connection = Connection(place.server.url, place.token)
                    _show_others(databases.name, connection, database)


class _TimedIndex(SearchIndex):
    """Notes how long each slice takes."""

    def __init__(self, store: Store) -> None:
        super().__init__(Transactions(store))
        self.milliseconds: list[float] = []

    def _write(self, segment: Segment, rows: Sequence[WordRow], patience: float | None) -> bool:
        start = time.perf_counter()
        try:
            return super()._write(segment, rows, patience)
        finally:
            self.milliseconds.append((time.perf_counter() - start) * 1e3)


def _fill(kind: str, store: Store, users: int) -> None:
    index = _TimedIndex(store)
    each = timed(index.fill).wall / users * 1e6
    assert index.count_unindexed() == 0
    show(f"{kind}: filling the index of words of {users:,}", each, _FILL, " us a user")
    times = index.milliseconds
    median, over = statistics.median(times), sum(one > _SLICE for one in times)
    note = f" (p50 {median:.1f}, longest {max(times):.1f}; {over} of {len(times)} over {_SLICE})"
    show(f"{kind}: p99 of a slice, for which others wait", p99(times), _SLICE, " ms", note)


def _show_others(kind: str, connection: Connection, database: Database) -> None:
    busy, idle = _compare(connection, database)
    for what, limit in _OTHERS.items():
        filling, alone = busy.p99(what), idle.p99(what)
        note = f" ({filling:.2f} and {alone:.2f} ms, of {len(busy)} requests each)"
        title = f"{kind}: p99 of {what} while the index is filled / when idle"
        show(title, filling / alone, limit, note=note)


class _Times:
    """The milliseconds of each kind of request."""

    def __init__(self) -> None:
        self._found: dict[str, list[float]] = {}

    def __len__(self) -> int:
        return max(map(len, self._found.values()), default=0)

    def are_enough(self) -> bool:
        """Whether there are enough requests, or they have taken the time that there is for them."""
        seconds = sum(map(sum, self._found.values())) / 1e3
        return len(self) >= _ENOUGH or seconds > _LONGEST

    def add(self, found: Mapping[str, list[float]]) -> None:
        for what, times in found.items():
            self._found.setdefault(what, []).extend(times)

    def p99(self, what: str) -> float:
        return p99(self._found[what])


def _compare(connection: Connection, database: Database) -> tuple[_Times, _Times]:
    """Send requests while the index is filled, and as many beside an idle server, in turns."""
    calls = dict(zip(_OTHERS, (_health(connection), _change(connection)), strict=True))
    busy, idle = _Times(), _Times()
    while not busy.are_enough():
        before = len(busy)
        for found in _rounds_while_filled(calls, connection, database):
            busy.add(found)
            if busy.are_enough():
                break
        if len(busy) == before:
            raise SystemExit("indexing: so few users take too little time; give --users 20000")
        _mark_as_filled(connection, database)
        while len(idle) < len(busy):
            idle.add(_round(calls))
    return busy, idle


_Calls = Mapping[str, Callable[[], object]]


def _health(connection: Connection) -> Callable[[], object]:
    return lambda: connection.get("/healthz")


def _change(connection: Connection) -> Callable[[], object]:
    (user,) = json.loads(connection.get("/v1/users?limit=1"))["users"]
    bodies = cycle([json.dumps({"title": title}) for title in ("Dr", "Prof")])
    return lambda: connection.patch(f"/v1/users/{user['user_id']}", next(bodies))


def _rounds_while_filled(
    calls: _Calls, connection: Connection, database: Database
) -> Iterator[Mapping[str, list[float]]]:
    """Empty the index, and yield the rounds that end before the server has filled it again."""
    _empty(database)
    every = connection.unindexed_accounts()
    # The server looks every two seconds whether there is something to fill.
    wait_until(lambda: connection.unindexed_accounts() < every)
    found = _round(calls)
    while connection.unindexed_accounts():
        yield found
        found = _round(calls)


def _empty(database: Database) -> None:
    # SQLite deletes all rows at once; those that PostgreSQL deletes stay in its index for a while.
    database.execute("delete from user_words" if database.sqlite_path else "truncate user_words")
    # With its end: the words of a segment that was left half done are added by slower statements.
    database.execute(
        "update search_index set publication = 0, position = 0, end_publication = 0,"
        " end_position = 0"
    )


def _mark_as_filled(connection: Connection, database: Database) -> None:
    """Leave the server nothing to fill: a million accounts would take it minutes."""
    database.execute("update search_index set publication = 9, position = 0")
    assert not connection.unindexed_accounts()


def _round(calls: _Calls) -> Mapping[str, list[float]]:
    """Call each in turns, and return the milliseconds of each."""
    found: dict[str, list[float]] = {what: [] for what in calls}
    for _ in range(_ROUND):
        for what, call in calls.items():
            time.sleep(_INTERVAL)
            found[what].append(timed(call).wall * 1e3)
    return found
