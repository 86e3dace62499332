"""List the last 100 accounts over HTTP: the time, beside that of the first 100."""

import json
import statistics
from pathlib import Path

from benchmarks.support.databases import each_kind
from benchmarks.support.filling import fill
from benchmarks.support.measuring import Cost, pairs, show
from benchmarks.support.serving import Connection
from benchmarks.support.sites import Site, site

_REQUESTS = 200
_LIMIT = 100
#: accounts of the largest page
_LARGEST = 5_000


def measure(folder: Path, users: int) -> None:
    with each_kind(folder) as kinds:
        for databases in kinds:
            with databases.new() as database:
                fill(database, users)
                with site(database, folder) as place:
                    _measure(databases.name, place, users)


def _measure(kind: str, place: Site, users: int) -> None:
    connection = Connection(place.server.url, place.token)
    last = _cursor_after(connection, users - _LIMIT)
    found = pairs(lambda: _usual(connection, last), lambda: _usual(connection, ""))
    milliseconds = statistics.median(cost.wall for cost in found.bound) * 1e3
    show(
        f"{kind}: listing the last of {users:,} accounts over HTTP / listing the first",
        found.ratio(lambda cost: cost.wall),
        1.5,
        note=f" ({milliseconds:.2f} ms)",
    )


def _cursor_after(connection: Connection, accounts: int) -> str:
    """Read pages up to a number of accounts, and return the cursor of the next page."""
    cursor, left = "", accounts
    while left:
        limit = min(left, _LARGEST)
        page = json.loads(connection.get(f"/v1/users?limit={limit}&cursor={cursor}"))
        cursor, left = page["cursor"], left - len(page["users"])
    return str(cursor)


def _usual(connection: Connection, cursor: str) -> Cost:
    """Return the median of many response times."""
    path = f"/v1/users?limit={_LIMIT}&cursor={cursor}"
    assert connection.get(path).count(b'"user_id"') == _LIMIT
    return Cost(statistics.median(connection.seconds(path) for _ in range(_REQUESTS)))
