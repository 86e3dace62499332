"""Kill client and server while a batch is created and undone: all users are visible or none.

Each run has a new database with a thousand other accounts. The kills are spread over the time that
a run takes without them. What is visible is read from the database itself, by the view that every
reader uses.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from benchmarks.support.databases import Databases, each_kind
from benchmarks.support.files import email_of, write_users
from benchmarks.support.measuring import claim, latest_batch, show
from benchmarks.support.sites import Client, Site, site

_KILLS = 5
_OTHERS = 1_000

#: microseconds a user, at most
_UNDO = 60


class _Work(NamedTuple):
    """What each run does."""

    folder: Path
    users: int
    file: Path
    others: Path


class _Run(NamedTuple):
    """What a run with a kill found."""

    #: shares of the users that had a row at the kill, and that were visible, from 0 to 1
    progress: float
    visible: float
    is_completed: bool
    is_right: bool


def measure(folder: Path, users: int) -> None:
    file = write_users(folder / "users.yaml", users)
    others = write_users(folder / "others.yaml", _OTHERS, first=users)
    work = _Work(folder, users, file, others)
    with each_kind(folder) as kinds:
        claims = [met for databases in kinds for met in _check(databases, work)]
    if not all(claims):
        raise SystemExit(1)


def _check(databases: Databases, work: _Work) -> Iterator[bool]:
    seconds = _seconds_of_a_run(databases, work)
    for victim in ("client", "server"):
        moments = [seconds * (number + 0.5) / _KILLS for number in range(_KILLS)]
        runs = [_create_with_kill(databases, work, victim, moment) for moment in moments]
        progress = ", ".join(f"{run.progress:.0%}/{run.visible:.0%}" for run in runs)
        what = f"{databases.name}: {victim} killed {_KILLS} times while it creates {work.users:,}"
        whole = all(run.visible in {0, 1} for run in runs)
        note = f" (written/visible at the kills: {progress})"
        yield claim(f"{what}: all users are visible or none", is_met=whole, note=note)
        completed = all(run.is_completed for run in runs)
        yield claim(f"{what}: the same command completes", is_met=completed)
        right = all(run.is_right for run in runs)
        yield claim(f"{what}: number and emails are right", is_met=right)
    yield from _check_undo(databases, work)


def _seconds_of_a_run(databases: Databases, work: _Work) -> float:
    with _site(databases, work) as place:
        start = time.perf_counter()
        place.run("user", "batch-create", "-f", work.file)
        return time.perf_counter() - start


@contextmanager
def _site(databases: Databases, work: _Work) -> Iterator[Site]:
    """Start a server on a new database with some accounts."""
    with databases.new() as database, site(database, work.folder) as place:
        place.run("user", "batch-create", "-f", work.others)
        yield place


def _create_with_kill(databases: Databases, work: _Work, victim: str, moment: float) -> _Run:
    """Create the users, and kill once, so many seconds after the start."""
    with _site(databases, work) as place:
        client = place.begin("user", "batch-create", "-f", work.file)
        if not client.has_ended(moment):
            place.kill(victim, client)
            return _outcome(place, work, victim, client)
    # It was faster than the run before.
    return _create_with_kill(databases, work, victim, moment * 0.9)


def _outcome(place: Site, work: _Work, victim: str, client: Client) -> _Run:
    progress = (_count(place, "users") - _OTHERS) / work.users
    visible = (_count(place, "live_users") - _OTHERS) / work.users
    is_completed = place.complete(victim, client)
    return _Run(progress, visible, is_completed, _is_right(place, work))


def _count(place: Site, table: str) -> int:
    ((count,),) = place.database.rows(f"select count(*) from {table}")
    return int(count)


def _is_right(place: Site, work: _Work) -> bool:
    """Whether the visible emails are those of the files, each once."""
    emails = sorted(email for (email,) in place.database.rows("select email from live_users"))
    return emails == sorted(map(email_of, range(work.users + _OTHERS)))


def _check_undo(databases: Databases, work: _Work) -> Iterator[bool]:
    with _site(databases, work) as place:
        before = _listing(place)
        place.run("user", "batch-create", "-f", work.file)
        batch_id = latest_batch(place.client)
        what = f"{databases.name}: undo of {work.users:,} users, client and server killed"
        undo = _undo_with_kills(place, work, batch_id)
        note = f" (left: {', '.join(f'{share:.0%}' for share in undo.left)})"
        yield claim(f"{what}: the same command completes", is_met=undo.is_completed, note=note)
        show(f"{what}, from start to end", undo.each, _UNDO, " us a user")
        yield claim(f"{what}: the user list is as before", is_met=_listing(place) == before)
        is_created = place.begin("user", "batch-create", "-f", work.file).succeeded()
        is_right = is_created and _is_right(place, work)
        yield claim(f"{what}: the same file is created again", is_met=is_right)


def _listing(place: Site) -> bytes:
    listing = place.run("user", "list", "-o", "jsonl")
    assert listing.count(b"\n") >= _OTHERS
    return listing


class _Undo(NamedTuple):
    """An undo with two kills."""

    is_completed: bool
    #: shares of the accounts that were left at the kills
    left: list[float]
    #: microseconds a user, with the start of what was killed
    each: float


def _undo_with_kills(place: Site, work: _Work, batch_id: str) -> _Undo:
    """Kill the client when a third is deleted, and the server when two thirds are."""
    left = []
    start = time.perf_counter()
    for victim, share in (("client", 1 / 3), ("server", 2 / 3)):
        client = place.begin("batch", "undo", batch_id, "--yes")
        while _exists(place, batch_id, int(work.users * share)):
            assert not client.has_ended(0.05), "the undo ended before it was killed"
        place.kill(victim, client)
        left.append((_count(place, "users") - _OTHERS) / work.users)
    is_completed = place.complete("server", client)
    return _Undo(is_completed, left, (time.perf_counter() - start) / work.users * 1e6)


def _exists(place: Site, batch_id: str, position: int) -> bool:
    """Whether an account of the batch exists. An undo deletes them in the order of the file."""
    user_id = f"usr_{batch_id[4:]}{position:08x}"
    return bool(place.database.rows(f"select 1 from users where user_id = '{user_id}'"))
