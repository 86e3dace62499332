"""The lists of the console: p99 of their pages, beside an open batch with as many users.

Each page is opened as an owner does: the list, the pages that its links lead to, filters, a search.
"""

import html
import re
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.search.search import add_published_and_open
from benchmarks.support.browsers import OwnerBrowser
from benchmarks.support.databases import each_kind
from benchmarks.support.measuring import p99, show
from benchmarks.support.people import person_at
from benchmarks.support.sites import site

_REQUESTS = 200
_BOUND_MS = 100.0

_LIST = "/console/users"

_FILTERS = ("state=password", "state=sso", "state=link", "state=none", "state=suspended")


def measure(folder: Path, users: int) -> None:
    with each_kind(folder) as kinds:
        for databases in kinds:
            with databases.new() as database:
                add_published_and_open(database, users)
                with site(database, folder) as place:
                    browser = OwnerBrowser(place)
                    for title, paths in _lines(browser, users):
                        high = p99([_milliseconds(browser, path) for path in paths])
                        show(f"{databases.name}: {title}, p99", high, _BOUND_MS, " ms")


def _lines(browser: OwnerBrowser, users: int) -> Sequence[tuple[str, Sequence[str]]]:
    """Return titles of pages, and the addresses to open for each."""
    first = browser.get(_LIST)
    following = _link(first, "Next")
    last = _link(first, "Last")
    people = [person_at(at * users // _REQUESTS) for at in range(_REQUESTS)]
    return (
        ("the list", [_LIST] * _REQUESTS),
        ("the next page", [following] * _REQUESTS),
        ("the previous page", [_link(browser.get(following), "Previous")] * _REQUESTS),
        ("the last page", [last] * _REQUESTS),
        ("the page before the last one", [_link(browser.get(last), "Previous")] * _REQUESTS),
        *((one, [f"{_LIST}?{one}"] * _REQUESTS) for one in (*_FILTERS, "role=owner")),
        ("an email, which opens the account", [f"{_LIST}?q={one.email}" for one in people]),
        ("a last name", [f"{_LIST}?q={one.lastname}" for one in people]),
        ("the batches", ["/console/batches"] * _REQUESTS),
    )


def _link(page: str, text: str) -> str:
    """Return where a link of a pager leads."""
    (address,) = set(re.findall(rf'href="([^"]+)">{text}</a>', page))
    return html.unescape(address)


def _milliseconds(browser: OwnerBrowser, path: str) -> float:
    start = time.perf_counter()
    browser.open(path)
    return (time.perf_counter() - start) * 1e3
