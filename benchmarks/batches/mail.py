"""Mail the links of a batch: beside the same batch without, a mail's CPU time, p99 of requests."""

import itertools
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from tests.support.mail.mail_site import relay_environment
from tests.support.mail.relay_process import RelayProcess
from tests.support.waiting import wait_until

from benchmarks.support.crowd import ACCOUNTS
from benchmarks.support.databases import Database, SqliteDatabases, each_kind
from benchmarks.support.files import credentials_of, write_users
from benchmarks.support.measuring import (
    Cost,
    anyscale,
    latest_batch,
    p99_of_requests,
    pairs,
    run,
    show,
    show_beside_idle,
)
from benchmarks.support.serving import Connection
from benchmarks.support.sites import Site, site

#: of each measurement
_PAIRS = 3

#: times as long as without mails, at most
_LONGER = 1.05

#: mails whose costs are measured, and milliseconds of a core for one, at most
_MAILS = 2_000
_MILLISECONDS = 2

#: a hundred times the default: a mailing of a million in three hours
_MAILS_A_MINUTE = 6_000

_SAMPLES = 500

#: times as long as without mails that are sent, at most
_P99 = 2


def measure(folder: Path, users: int) -> None:
    numbers = itertools.count()
    with each_kind(folder) as kinds:
        for databases in kinds:
            with databases.new() as database:
                _measure_batches(databases.name, database, folder, users // 10, numbers)
            with databases.new() as database:
                _measure_mails(databases.name, database, folder)
            if databases.name == SqliteDatabases.name:
                with databases.new() as database:
                    _measure_requests(databases.name, database, folder)


@contextmanager
def _mailing_site(
    database: Database, folder: Path, per_minute: int
) -> Iterator[tuple[Site, RelayProcess]]:
    """Run a server that sends so many mails a minute, and its relay."""
    with RelayProcess(folder) as relay:
        settings = relay_environment(relay.port, "none", MAIL_PER_MINUTE=str(per_minute))
        with site(database, folder, settings) as place:
            yield place, relay
    relay.forget()


def _measure_batches(
    kind: str, database: Database, folder: Path, count: int, numbers: Iterator[int]
) -> None:
    with _mailing_site(database, folder, 1) as (place, _):

        def create(*options: str) -> Cost:
            users = write_users(folder / "users.yaml", count, first=next(numbers) * count)
            before = place.server.cpu_seconds
            cost = run(anyscale("user", "batch-create", "-f", users, *options), place.client)
            return cost._replace(cpu=cost.cpu + place.server.cpu_seconds - before)

        found = pairs(partial(create, "--mail-links"), create, _PAIRS)
    show(
        f"{kind}: CPU time of a batch of {count:,} with --mail-links / without",
        found.ratio(lambda cost: cost.cpu),
        _LONGER,
        note=f" (and {found.ratio(lambda cost: cost.wall):.2f} times as long)",
    )


def _measure_mails(kind: str, database: Database, folder: Path) -> None:
    """Measure only the server: the relay and PostgreSQL are processes of their own."""
    with _mailing_site(database, folder, 60_000) as (place, relay):
        users = write_users(folder / "users.yaml", 2 * _MAILS)
        place.run("user", "batch-create", "-f", users)
        connection = Connection(place.server.url, place.token)
        wait_until(lambda: connection.unindexed_accounts() == 0, 60, interval=0.5)
        place.run("user", "set-password-link", "--without-credentials", "--mail")
        wait_until(lambda: relay.count() >= _MAILS // 10, 60)
        start, before, sent = time.perf_counter(), place.server.cpu_seconds, relay.count()
        wait_until(lambda: relay.count() >= sent + _MAILS, 300, interval=0.1)
        count = relay.count() - sent
        cpu = (place.server.cpu_seconds - before) / count
        rate = count / (time.perf_counter() - start)
    note = f" ({rate:.0f} mails a second)"
    show(f"{kind}: the server's CPU time of a mail", cpu * 1e3, _MILLISECONDS, " ms", note)


def _measure_requests(kind: str, database: Database, folder: Path) -> None:
    """Measure the responses of a server with mails that are due, and of one without."""
    known = write_users(folder / "known.yaml", ACCOUNTS, passwords=True)
    with _mailing_site(database, folder, _MAILS_A_MINUTE) as (place, relay):
        place.run("user", "batch-create", "-f", known)
        users = write_users(folder / "users.yaml", _SAMPLES * 100, first=ACCOUNTS)
        place.run("user", "batch-create", "-f", users)
        batch = latest_batch(place.client)

        def busy(sign_in: bool) -> Cost:
            place.run("user", "set-password-link", "--batch", batch, "--mail")
            before = relay.count()
            wait_until(lambda: relay.count() > before, 60)
            cost = _p99(place, sign_in)
            place.run("mail", "stop", batch)
            return cost

        for sign_in, name in ((False, "GET /healthz"), (True, "a sign-in")):
            found = pairs(partial(busy, sign_in), partial(_p99, place, sign_in), _PAIRS)
            what = f"{kind}: p99 of {name} while {_MAILS_A_MINUTE:,} mails a minute are sent"
            show_beside_idle(what, found, _P99)


def _p99(place: Site, sign_in: bool) -> Cost:
    connection = Connection(place.server.url)
    if not sign_in:
        return p99_of_requests(lambda _: connection.get("/healthz"), _SAMPLES)

    def request_session(number: int) -> None:
        connection.post("/v1/sessions", credentials_of(number % ACCOUNTS))

    return p99_of_requests(request_session, _SAMPLES // 5)
