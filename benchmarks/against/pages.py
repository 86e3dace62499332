"""Open the pages of the console with two trees in turns, and compare their processor time.

Both servers run at the same time, and each page is opened on the one and then on the other, so that
what else the machine does meets both. What counts is the server's time, without PostgreSQL.
"""

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.against.trees import Tree
from benchmarks.console.pages import paths_of_pages
from benchmarks.support.measuring import show

__all__ = ["compare_pages"]

#: times the processor time of the other commit, at most
_LIMIT = 1.1

#: requests for a page in a round
_REQUESTS = 8

_SERVE = Path(__file__).with_name("serve_pages.py")

#: opens a page, and returns the milliseconds that the server took
_Open = Callable[[str], float]


def compare_pages(trees: Sequence[Tree], users: int, rounds: int) -> None:
    """Compare all pages of this tree, on each kind of database."""
    for kind in ("SQLite", "PostgreSQL"):
        with ExitStack() as stack:
            consoles = [stack.enter_context(_served(tree, kind, users)) for tree in trees]
            for title, path in paths_of_pages(users):
                _compare(f"{kind}: {title}", path, consoles, rounds * _REQUESTS)


def _compare(what: str, path: str, consoles: Sequence[_Open], requests: int) -> None:
    times: list[list[float]] = [[], []]
    for number in range(requests):
        for which in (0, 1) if number % 2 else (1, 0):
            times[which].append(consoles[which](path))
    # Other processes, and what a server does now and then, only add to the time of a request.
    ours, theirs = (sorted(of_one)[len(of_one) // 10] for of_one in times)
    show(what, ours / theirs, _LIMIT, note=f" ({ours:.2f} / {theirs:.2f} ms)")


@contextmanager
def _served(tree: Tree, kind: str, users: int) -> Iterator[_Open]:
    """Serve the console of a tree until the end of the block."""
    command = [sys.executable, str(_SERVE), kind, str(users)]
    with TemporaryDirectory() as home, ExitStack() as stack:
        with tree.used(Path(home)):
            process = stack.enter_context(
                subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            )

        def open_page(path: str) -> float:
            assert process.stdin
            assert process.stdout
            print(path, file=process.stdin, flush=True)
            if line := process.stdout.readline():
                return float(line)
            raise SystemExit(f"{path} could not be opened with {tree.folder}: see above")

        yield open_page
        process.communicate("")
