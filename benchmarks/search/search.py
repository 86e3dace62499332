"""Search over HTTP: p50 and p99 of the first page in ms, and seconds to read all pages.

Each line is a kind of query among the users of a published batch, with a batch of as many users
open beside them. A page has 100 accounts, as a screen shows them. At the end, two frequent words
are compared with one while the users of another batch are inserted, and while passwords are hashed.
"""

import itertools
import json
import random
import statistics
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

from anyscale.server.core.search.index import SearchIndex
from anyscale.server.core.transactions import Transactions
from benchmarks.support.databases import Database, each_kind
from benchmarks.support.files import write_users
from benchmarks.support.hashing import hashing, inserting
from benchmarks.support.measuring import Cost, p99, pairs, point, show, timed
from benchmarks.support.people import Person, add_people, person_at
from benchmarks.support.serving import Connection
from benchmarks.support.sites import Site, site

_LIMIT = 100
_REQUESTS = 200
_BOUND_MS = 100.0
#: pages of a query that are read
_MOST_PAGES = 100

#: The places of the names that are searched for, by their frequency. Of a million people, 1,200
#: have the last name at the last place: a page has to read the accounts by it.
_NAMES, _LASTNAMES = (0, 1, 2), (0, 1, 2, 70)
#: accounts of a page of the console
_SCREEN = 50
_COMPARISONS = 45
#: enough that the server inserts or hashes until the last comparison
_INSERTED, _PASSWORDS = 500_000, 3_000
#: the numbers of the users with passwords begin there: the others have lower ones
_FIRST_PASSWORD = 10**9


#: of the batches beside the comparisons
_numbers = itertools.count()


class _Draw:
    """Draws what to search for: the same in each run.

    Args:
        seed: chooses the draws.
        users: how many people there are.
    """

    def __init__(self, seed: str, users: int) -> None:
        self._chance = random.Random(seed)
        self._users = users

    def person(self) -> Person:
        return person_at(self._chance.randrange(self._users))

    def nobody(self) -> str:
        """Return a word that no person has."""
        return f"nobody{self._chance.randrange(10**9)}"


class _Line(NamedTuple):
    """A line of the table."""

    title: str
    #: returns the parameters of one of many queries of this kind
    query: Callable[[_Draw], Mapping[str, Any]]


class _FrequentWords(NamedTuple):
    """Frequent names of people."""

    first: Sequence[str]
    last: Sequence[str]
    #: how many people have a first name, a last name, or both
    people: Mapping[str, int]


def measure(folder: Path, users: int) -> None:
    with each_kind(folder) as kinds:
        for databases in kinds:
            with databases.new() as database:
                _add_people(database, users)
                _measure(databases.name, database, folder, users)
                if not database.sqlite_path:
                    database.execute("analyze")
                    _measure(f"{databases.name}, analyzed", database, folder, users)


def _add_people(database: Database, users: int) -> None:
    """Publish a batch and index its words, and leave another one open."""
    with closing(database.open_store()) as store:
        add_people(store, 1, range(users), publish=True)
        SearchIndex(Transactions(store)).fill()
        add_people(store, 2, range(users, 2 * users), publish=False)


def _measure(kind: str, database: Database, folder: Path, users: int) -> None:
    with site(database, folder) as place:
        connection = Connection(place.server.url, place.token)
        for line in _LINES:
            draw = _Draw(line.title, users)
            paths = [_path(line.query(draw)) for _ in range(_REQUESTS)]
            _show(kind, line.title, connection, paths)
        _compare_words(kind, place, folder, users)


def _compare_words(kind: str, place: Site, folder: Path, users: int) -> None:
    """Compare first pages while users are inserted, and while passwords are hashed."""
    number, words = next(_numbers), _frequent_words(users)
    path = write_users(folder / f"inserted{number}.yaml", _INSERTED, first=number * _INSERTED)
    with inserting(path, place.client, place.database.count_chunks):
        _compare_pages(f"{kind}, users are inserted", place, words)
    first = _FIRST_PASSWORD + number * _PASSWORDS
    path = write_users(folder / f"hashed{number}.yaml", _PASSWORDS, passwords=True, first=first)
    with hashing(path, place.client):
        _compare_pages(f"{kind}, passwords are hashed", place, words)


def _compare_pages(kind: str, place: Site, words: _FrequentWords) -> None:
    """Compare the first page of two words, of which many accounts have both, with that of one."""
    connection = Connection(place.server.url, place.token)
    missing, unindexed = list[int](), list[int]()

    def request(text: str) -> None:
        path = f"/v1/users?{urlencode({'limit': _SCREEN, 'search': text})}"
        page = json.loads(connection.get(path))
        missing.append(min(words.people[text], _SCREEN) - len(page["users"]))
        unindexed.append(page["unindexed"])

    def search(text: str) -> Cost:
        return timed(lambda: request(text))

    turns = itertools.cycle(itertools.product(words.first, words.last))
    singles = itertools.cycle([*words.first, *words.last])
    found = pairs(
        lambda: search(" ".join(next(turns))), lambda: search(next(singles)), _COMPARISONS
    )
    ratio = found.ratio(lambda cost: cost.wall)
    one = statistics.median(cost.wall for cost in found.bound) * 1e3
    note = f" (one word {one:.1f} ms)"
    show(f"{kind}: first page of two words / of one", ratio, 3, note=note)
    note = f" ({max(unindexed):,} accounts not in the index)"
    show(f"{kind}: accounts missing on these pages", max(missing), 0, " ", note)


@cache
def _frequent_words(users: int) -> _FrequentWords:
    people = [person_at(position) for position in range(users)]
    first, last = Counter(one.name for one in people), Counter(one.lastname for one in people)
    both = Counter(one.full_name for one in people)
    return _FrequentWords(_at(_NAMES, first), _at(_LASTNAMES, last), first + last + both)


def _at(places: Sequence[int], words: Counter[str]) -> Sequence[str]:
    by_frequency = [word for word, _ in words.most_common()]
    return [by_frequency[place] for place in places]


def _show(kind: str, title: str, connection: Connection, paths: Sequence[str]) -> None:
    times = [connection.seconds(f"{path}&cursor=") * 1e3 for path in paths]
    median, high = statistics.median(times), p99(times)
    point("search", f"{kind}, p50", title, median, "ms")
    point("search", f"{kind}, p99", title, high, "ms")
    users, pages, seconds = _read_all(connection, paths[0])
    note = f" (p50 {median:.1f} ms; all {users:,} users in {pages} pages: {seconds:.2f} s)"
    show(f"{kind}: {title}, p99 of the first page", high, _BOUND_MS, " ms", note)


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


_LINES: Sequence[_Line] = (
    _Line("an email", lambda draw: {"search": draw.person().email}),
    _Line("a first name", lambda draw: {"search": draw.person().name}),
    _Line("a last name", lambda draw: {"search": draw.person().lastname}),
    _Line("a first and a last name", lambda draw: {"search": draw.person().full_name}),
    _Line("the beginning of an email", lambda draw: {"search": draw.person().email[:6]}),
    _Line("the beginning of a name", lambda draw: {"search": draw.person().lastname[:3]}),
    _Line("one letter", lambda draw: {"search": draw.person().name[:1]}),
    _Line("the domain of an email", lambda draw: {"search": draw.person().email.split("@")[1]}),
    _Line(
        "the beginnings of two words",
        lambda draw: {
            "search": f"{draw.person().lastname[:4]} {draw.person().name[:2]}",
        },
    ),
    _Line(
        "two words that are never together",
        lambda draw: {"search": f"{draw.person().name} qwertz"},
    ),
    _Line("a frequent part of a word", lambda draw: {"search": draw.person().lastname[1:4]}),
    _Line("a rare part of a word", lambda draw: {"search": draw.person().email[3:11]}),
    _Line("nothing found", lambda draw: {"search": draw.nobody()}),
    _Line(
        "a first name of suspended users",
        lambda draw: {"search": draw.person().name, "suspended": "true"},
    ),
    _Line("owners", lambda _: {"role": "owner"}),
    _Line("suspended users", lambda _: {"suspended": "true"}),
    _Line("SSO users", lambda _: {"sso": "true"}),
    _Line("users without credentials", lambda _: {"without_credentials": "true"}),
    _Line("all users", lambda _: {}),
    _Line("the newest first", lambda _: {"order": "-created"}),
    _Line("--email with a rare part", lambda draw: {"email": draw.person().email[3:11]}),
    _Line("--name with a frequent part", lambda draw: {"name": draw.person().name[1:3]}),
    _Line("--name that nobody has", lambda draw: {"name": draw.nobody()}),
)
