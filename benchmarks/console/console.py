"""The console on both stores: time and memory of users files, and the p99 of each list in ms.

There are a million accounts, and a batch of as many users is open beside them.
"""

from contextlib import closing
from pathlib import Path

from anyscale.server.core.search.index import SearchIndex
from anyscale.server.core.transactions import Transactions
from benchmarks.console.files import measure_files
from benchmarks.console.pages import measure_pages
from benchmarks.support.browsers import OwnerBrowser
from benchmarks.support.databases import each_kind
from benchmarks.support.filling import fill, fill_console
from benchmarks.support.sites import site


def measure(folder: Path, users: int) -> None:
    with each_kind(folder) as kinds:
        for databases in kinds:
            with databases.new() as database:
                fill(database, users)
                fill_console(database)
                with closing(database.open_store()) as store:
                    SearchIndex(Transactions(store)).fill()
                with site(database, folder) as place:
                    browser = OwnerBrowser(place)
                    measure_pages(databases.name, browser, users)
                    measure_files(databases.name, place, browser, folder, users)
