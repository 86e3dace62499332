"""Open the pages of the console with two trees in turns, and compare their processor time.

Both servers run at the same time, and each page is opened on the one and then on the other, so that
what else the machine does meets both. What counts is the server's time, without PostgreSQL.
"""

import http.client
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from benchmarks.against.trees import Tree
from benchmarks.support.measuring import show
from benchmarks.support.serving import Server

__all__ = ["compare_pages"]

#: times the processor time of the other commit, at most
_LIMIT = 1.1

#: requests for a page in a round
_REQUESTS = 8

_SERVE = Path(__file__).with_name("serve_pages.py")


class _Console(NamedTuple):
    """The console of a tree, and the browser of an owner."""

    server: Server
    cookie: str
    #: by the title of the page
    paths: Mapping[str, str]
    connection: http.client.HTTPConnection

    def milliseconds(self, title: str) -> float:
        """Return the processor time of the server for a page."""
        before = self.server.cpu_seconds
        path = self.paths[title]
        while path:  # a page may redirect
            self.connection.request("GET", path, headers={"Cookie": self.cookie})
            response = self.connection.getresponse()
            response.read()
            assert response.status in {200, 303}, (title, response.status)
            path = response.headers.get("location", "")
        return (self.server.cpu_seconds - before) * 1e3


def compare_pages(trees: Sequence[Tree], users: int, rounds: int) -> None:
    """Compare the pages that both trees have, on each kind of database."""
    for kind in ("SQLite", "PostgreSQL"):
        with ExitStack() as stack:
            ours, theirs = [stack.enter_context(_served(tree, kind, users)) for tree in trees]
            for title in ours.paths:
                if title in theirs.paths:
                    _compare(f"{kind}: {title}", title, (ours, theirs), rounds * _REQUESTS)


def _compare(what: str, title: str, consoles: tuple[_Console, _Console], requests: int) -> None:
    times: dict[int, list[float]] = {0: [], 1: []}
    for number in range(requests):
        for which in (0, 1) if number % 2 else (1, 0):
            times[which].append(consoles[which].milliseconds(title))
    # Other processes, and what a server does now and then, only add to the time of a request.
    ours, theirs = (sorted(of_one)[len(of_one) // 10] for of_one in times.values())
    show(what, ours / theirs, _LIMIT, note=f" ({ours:.2f} / {theirs:.2f} ms)")


@contextmanager
def _served(tree: Tree, kind: str, users: int) -> Iterator[_Console]:
    """Serve the console of a tree until the end of the block."""
    command = [sys.executable, str(_SERVE), kind, str(users)]
    with TemporaryDirectory() as home, ExitStack() as stack:
        with tree.used(Path(home)):
            process = stack.enter_context(
                subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            )
        assert process.stdout
        line = process.stdout.readline()
        if not line:
            raise SystemExit(f"the console of {tree.folder} could not be served: see above")
        place = json.loads(line)
        server = Server(place["url"], place["pid"])
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)
        yield _Console(server, place["cookie"], place["paths"], connection)
        connection.close()
        process.communicate("")
