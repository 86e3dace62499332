"""Serve the console among many accounts, by the tree on the path, until standard input ends.

`compare_pages` runs this file with each tree, so it imports what earlier commits have, too. It
prints how to open the pages as one line of JSON.
"""

import json
import sys
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlencode

from anyscale.server.core.search.index import SearchIndex
from anyscale.server.core.transactions import Transactions
from benchmarks.console import pages
from benchmarks.support.browsers import OwnerBrowser
from benchmarks.support.databases import each_kind
from benchmarks.support.filling import fill, fill_console
from benchmarks.support.sites import site


def main(kind: str, users: int) -> None:
    with TemporaryDirectory() as name, each_kind(Path(name)) as kinds:
        databases = next(one for one in kinds if one.name == kind)
        with databases.new() as database:
            fill(database, users)
            fill_console(database)
            with closing(database.open_store()) as store:
                SearchIndex(Transactions(store)).fill()
            with site(database, Path(name)) as place:
                browser = OwnerBrowser(place)
                server = {"pid": place.server.pid, "url": place.server.url}
                paths = {
                    title: f"{path}?{urlencode(parameters)}".rstrip("?")
                    for title, path, parameters in pages._pages(users)  # noqa: SLF001 - its name in earlier commits
                }
                cookie = browser._cookie  # noqa: SLF001 - its name in earlier commits
                print(json.dumps(server | {"cookie": cookie, "paths": paths}), flush=True)
                sys.stdin.read()


main(sys.argv[1], int(sys.argv[2]))
