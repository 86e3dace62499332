"""Open the pages of the console with two trees in turns, and compare their processor time.

Both servers run at the same time, and each page is opened on the one and then on the other, so that
what else the machine does meets both. All pages are opened in each round, so that what lasts for
seconds meets a part of the requests for each page. What counts is the server's time, without
PostgreSQL.

With a commit and itself, no page of a quiet machine was over by more than a twentieth in ten rounds
with 100,000 accounts; with all requests for a page one after the other, some were by a third.
"""

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from benchmarks.against.trees import Tree
from benchmarks.console.pages import paths_of_pages
from benchmarks.support.measuring import show

#: times the processor time of the other commit, at most
_LIMIT = 1.1

#: requests for a page in a round
_REQUESTS = 10

_SERVE = Path(__file__).with_name("serve_pages.py")

#: opens a page, and returns the milliseconds that the server took
_Open = Callable[[str], float]

#: the times of a page in a round, by tree
_Times = tuple[list[float], list[float]]


def compare_pages(trees: Sequence[Tree], users: int, rounds: int) -> None:
    """Compare all pages of this tree, on each kind of database."""
    pages = list(paths_of_pages(users))
    for kind in ("SQLite", "PostgreSQL"):
        with ExitStack() as stack:
            consoles = [stack.enter_context(_served(tree, kind, users)) for tree in trees]
            times = [[_times(path, consoles) for _, path in pages] for _ in range(rounds)]
        for (title, _), of_page in zip(pages, zip(*times, strict=True), strict=True):
            _show(f"{kind}: {title}", of_page)


def _times(path: str, consoles: Sequence[_Open]) -> _Times:
    """Open a page some times on each console in turns."""
    times: _Times = ([], [])
    for number in range(_REQUESTS):
        for which in (0, 1) if number % 2 else (1, 0):
            times[which].append(consoles[which](path))
    return times


def _show(what: str, rounds: Sequence[_Times]) -> None:
    """Print the median of the ratios of all rounds."""
    pairs = [(median(ours), median(theirs)) for ours, theirs in rounds]
    ratio = median(ours / theirs for ours, theirs in pairs)
    ours, theirs = (median(column) for column in zip(*pairs, strict=True))
    show(what, ratio, _LIMIT, note=f" ({ours:.2f} / {theirs:.2f} ms)")


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
