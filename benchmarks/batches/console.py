"""Check a file in the console beside the command's dry run of it over HTTP: time and memory."""

from functools import partial
from pathlib import Path

from benchmarks.support.browsers import OwnerBrowser
from benchmarks.support.databases import SqliteDatabases
from benchmarks.support.files import write_users
from benchmarks.support.measuring import p99, pairs, show, timed
from benchmarks.support.serving import Server
from benchmarks.support.sites import Site, site

#: requests of a page
_REQUESTS = 200

_MIB = 1 << 20


def measure(folder: Path) -> None:
    with SqliteDatabases(folder).new() as database, site(database, folder) as place:
        browser = OwnerBrowser(place)
        idle = _resident(place.server)
        for count in (10_000, 100_000):
            file = write_users(folder / f"{count}.yaml", count)
            _check(place, browser, file, count)
        over = _resident(place.server) - idle
        show("memory after the checks, over idle", over, 64, unit=" MiB")
        browser.create(file)
        over = place.server.peak_memory - idle - file.stat().st_size / _MIB
        show(
            f"peak memory of a run of {count:,} users over idle and its file", over, 64, unit=" MiB"
        )
        for name, page in (("the list", "/console/batches"), ("the batch", browser.batch)):
            times = [timed(partial(browser.get, page)).wall for _ in range(_REQUESTS)]
            show(f"p99 of the page of {name}", p99(times) * 1e3, 100, unit=" ms")


def _check(place: Site, browser: OwnerBrowser, file: Path, count: int) -> None:
    content = file.read_bytes()
    place.server.forget_peak_memory()
    before = place.server.peak_memory
    browser.check(content)
    show(
        f"peak memory of a check of {count:,} users beyond its file",
        place.server.peak_memory - before - len(content) / _MIB,
        64,
        unit=" MiB",
    )
    found = pairs(
        lambda: timed(lambda: browser.check(content)),
        lambda: timed(lambda: place.run("user", "batch-create", "-f", file, "--dry-run")),
        count=3,
    )
    ratio = found.ratio(lambda cost: cost.wall)
    show(f"check of {count:,} users / the command's dry run over HTTP", ratio, 1.5)


def _resident(server: Server) -> float:
    """Return the memory that the server and its workers have now, in MiB."""
    server.forget_peak_memory()
    return server.peak_memory
