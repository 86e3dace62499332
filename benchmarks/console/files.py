"""Users files in the console: the time of a check, and the memory of checks and runs."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.support.waiting import wait_until

from benchmarks.support.browsers import OwnerBrowser
from benchmarks.support.files import write_users
from benchmarks.support.measuring import pairs, show, timed
from benchmarks.support.serving import Connection, Server
from benchmarks.support.sites import Site

#: MiB over the file at the peak, and after the run
_PEAK, _AFTER = 64, 16

#: times as long as the dry run of the command
_CHECK = 1.5

#: Seconds between two looks at the index of words: a server with requests does not fill it.
_INTERVAL = 0.5

_MIB = 1 << 20


def measure_files(kind: str, place: Site, browser: OwnerBrowser, folder: Path, users: int) -> None:
    """Check files of some users, and create two fifths of them by nearly the largest file."""
    # An idle server has its caches: those of SQLite grow up to some 28 MiB.
    browser.create(write_users(folder / "first.yaml", users // 10, first=users))
    _wait_for_index(place)
    idle = _memory(place.server)
    for count in (users // 100, users // 10):
        file = write_users(folder / f"{count}.yaml", count)
        check = partial(browser.check, file.read_bytes())
        _show_peak(f"{kind}: a check of {count:,} users", place.server, idle, file, check)
        _show_time(f"{kind}: check of {count:,} users", place, file, check)
    largest = users * 2 // 5  # of a million users: 57 MiB
    file = write_users(folder / "largest.yaml", largest)
    what = f"{kind}: a run of {largest:,} users"
    _show_peak(what, place.server, idle, file, lambda: browser.create(file))
    _wait_for_index(place)
    over = _memory(place.server) - idle
    show(f"{what}, memory after it, over idle", over, _AFTER, " MiB")


def _show_peak(
    what: str, server: Server, idle: float, file: Path, work: Callable[[], object]
) -> None:
    server.forget_peak_memory()
    work()
    over = server.peak_memory - idle - file.stat().st_size / _MIB
    show(f"{what}, peak memory over idle and its file", over, _PEAK, " MiB")


def _show_time(what: str, place: Site, file: Path, check: Callable[[], object]) -> None:
    found = pairs(
        lambda: timed(check),
        lambda: timed(lambda: place.run("user", "batch-create", "-f", file, "--dry-run")),
        count=3,
    )
    ratio = found.ratio(lambda cost: cost.wall)
    show(f"{what} / the command's dry run over HTTP", ratio, _CHECK)


def _memory(server: Server) -> float:
    """Return the MiB that the server and its workers have now."""
    server.forget_peak_memory()
    return server.peak_memory


def _wait_for_index(place: Site) -> None:
    connection = Connection(place.server.url, place.token)
    wait_until(lambda: not connection.unindexed_accounts(), 600, interval=_INTERVAL)
