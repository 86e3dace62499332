"""Create a batch beside none, N and 5 N other users: us a user, on both stores."""

import statistics
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.support.databases import GUIDE, Database, Databases, configure, each_kind
from benchmarks.support.files import write_users
from benchmarks.support.filling import fill
from benchmarks.support.measuring import point
from benchmarks.support.sites import site

_ROUNDS = 3

#: All accounts have their words: nothing fills the index of the search during a measurement.
_FINISH_INDEX = """
    update search_index
    set publication = (select max(publication) from batches), position = 2147483647
"""


def measure(folder: Path, users: int) -> None:
    count = users // 10
    files = [
        write_users(folder / f"{number}.yaml", count, first=number * count)
        for number in range(_ROUNDS)
    ]
    with each_kind(folder) as (sqlite, postgres):
        for existing in (0, users, 5 * users):
            for name, databases, settings in (
                ("SQLite", sqlite, None),
                ("PostgreSQL, default settings", postgres, {}),
                ("PostgreSQL, settings of the guide", postgres, GUIDE),
            ):
                if settings is not None:
                    configure(postgres.server, settings)
                rounds = zip(_filled(databases, existing), files, strict=True)
                times = [_seconds(database, folder, file) for database, file in rounds]
                each = statistics.median(times) / count * 1e6
                point("growth", name, existing, each, "us a user")


def _filled(databases: Databases, existing: int) -> Iterator[Database]:
    """Yield a database for each round: the same one, unless a batch would change its size much."""
    if not existing:
        for _ in range(_ROUNDS):
            with databases.new() as database:
                yield database
        return
    with databases.new() as database:
        fill(database, existing)
        for _ in range(_ROUNDS):
            database.execute(_FINISH_INDEX)
            yield database


def _seconds(database: Database, folder: Path, file: Path) -> float:
    """Return the time of the command that creates the users of a file over HTTP."""
    with site(database, folder) as place:
        start = time.perf_counter()
        place.run("user", "batch-create", "-f", file)
        return time.perf_counter() - start
