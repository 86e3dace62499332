"""Serve the console among many accounts, by the tree on the path, and open its pages.

`compare_pages` runs this file with each tree, so it imports what earlier commits have, too. Each
line of standard input is the path of a page, each of standard output the milliseconds of processor
time that the server took for it.
"""

import sys
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

from anyscale.server.core.search.index import SearchIndex
from anyscale.server.core.transactions import Transactions
from benchmarks.support.browsers import OwnerBrowser
from benchmarks.support.databases import each_kind
from benchmarks.support.filling import fill, fill_console
from benchmarks.support.sites import Site, site


def main(kind: str, users: int) -> None:
    with TemporaryDirectory() as name, each_kind(Path(name)) as kinds:
        databases = next(one for one in kinds if one.name == kind)
        with databases.new() as database:
            fill(database, users)
            fill_console(database)
            with closing(database.open_store()) as store:
                SearchIndex(Transactions(store)).fill()
            with site(database, Path(name)) as place:
                _open_pages(place)


def _open_pages(place: Site) -> None:
    browser = OwnerBrowser(place)
    for line in sys.stdin:
        before = place.server.cpu_seconds
        browser.open(line.strip())
        print((place.server.cpu_seconds - before) * 1e3, flush=True)


main(sys.argv[1], int(sys.argv[2]))
