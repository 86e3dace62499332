"""Ask for links: does the time of the mail to oneself tell whether other emails have accounts?

In each trial a stranger requests links for an email, with or without an account, and then for two
emails of one's own. The servers work side by side, each with a database and a relay of its own.

The result is the area under the curve (ROC) of a guess by the time: 0.5 is a blind guess, 1.0 is
certainty. It has noise: of 400 trials its standard error is 0.03, so that a time that tells nothing
is beyond 0.55 in one of twelve results. Such a shape is measured again, with more trials.
"""

import asyncio
import math
import os
import random
import statistics
import time
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

from tests.support.mail.mail_site import relay_environment
from tests.support.mail.relays import running_relay
from tests.support.rank_sum import area_under_curve, rank_score
from tests.support.servers.http_client import HttpClient

from benchmarks.support.databases import SqliteDatabases
from benchmarks.support.files import email_of, write_users
from benchmarks.support.measuring import claim, show
from benchmarks.support.sites import site

#: side by side, at most: each one works for some milliseconds of a trial
_SERVERS = 16

#: of the area under the curve
_LIMIT = 0.55

#: Seconds between two trials of a server, and random ones: nothing of one is left in the next one.
_PAUSE, _RANDOM = 3.0, 1.0

#: seconds until one's own mails have arrived
_PATIENCE = 90.0


class _Shape(NamedTuple):
    """What a stranger requests, and of which relay."""

    #: requests for the email of somebody else, before those for one's own
    requests: int
    #: seconds that the relay needs for a mail
    relay: float
    #: mails a minute
    rate: int

    def __str__(self) -> str:
        before = "1 request" if self.requests == 1 else f"{self.requests} requests"
        return f"{before} before, the relay takes {self.relay:g} s, {self.rate} mails a minute"


_SHAPES = (
    _Shape(1, 0.0, 60),
    _Shape(3, 0.0, 60),
    _Shape(1, 2.5, 60),
    _Shape(3, 2.5, 60),
    _Shape(1, 0.3, 600),
)


class _Trial(NamedTuple):
    """The seconds from the first request of a trial to one's own mails."""

    has_account: bool
    own: float
    later: float


def measure(folder: Path, trials: int) -> None:
    for shape in _SHAPES:
        found = _run(folder, shape, trials)
        for which in ("own", "later"):
            _show(shape, which, found)
        orders = {
            kind: {one.own < one.later for one in found if one.has_account is kind}
            for kind in (True, False)
        }
        claim(
            f"{shape}: the order of one's own mails is the same in each trial",
            is_met=orders[True] == orders[False] == {True},
        )


def _show(shape: _Shape, which: str, found: list[_Trial]) -> None:
    times = {
        kind: [getattr(one, which) for one in found if one.has_account is kind]
        for kind in (True, False)
    }
    there, nobody = times[True], times[False]
    area, n, m = area_under_curve(there, nobody), len(there), len(nobody)
    error = math.sqrt((n + m + 1) / (12 * n * m))
    show(
        f"{shape}: area under the curve of the {which} mail",
        max(area, 1 - area),
        _LIMIT,
        unit="",
        note=f" (noise +-{error:.3f}, rank score {rank_score(there, nobody):.2f}; after"
        f" {statistics.median(there):.3f} s with an account and {statistics.median(nobody):.3f} s"
        f" without, medians of {n} and {m}; all {min(there + nobody):.2f} to"
        f" {max(there + nobody):.2f} s)",
    )


def _run(folder: Path, shape: _Shape, trials: int) -> list[_Trial]:
    """Run the trials of a shape: half of them with an account, in random order."""
    kinds = [True, False] * (trials // 2)
    random.shuffle(kinds)
    count = min(_SERVERS, len(kinds))
    # One after the other for each core: many that start at once respond only after a minute.
    with ExitStack() as stack, ThreadPoolExecutor(os.cpu_count()) as pool:
        servers = list(
            pool.map(
                lambda number: stack.enter_context(
                    _server(folder / f"server-{number}", shape, kinds[number::count])
                ),
                range(count),
            )
        )
        return asyncio.run(_run_all(servers))


async def _run_all(servers: "list[_Server]") -> list[_Trial]:
    found = await asyncio.gather(*(server.run() for server in servers))
    return [trial for trials in found for trial in trials]


class _Server:
    """A server, and the trials at it."""

    def __init__(
        self, url: str, shape: _Shape, kinds: list[bool], arrived: dict[str, list[float]]
    ) -> None:
        self._url, self._shape, self._kinds = url, shape, kinds
        #: email -> when mails to it arrived
        self._arrived = arrived

    async def run(self) -> list[_Trial]:
        # The first trial imports modules and opens files: it does not count.
        return [await self._trial(*one) for one in enumerate((True, *self._kinds))][1:]

    async def _trial(self, number: int, has_account: bool) -> _Trial:
        await asyncio.sleep(_PAUSE + random.random() * _RANDOM)
        own, later, other = map(email_of, _accounts_of(number))
        asked = other if has_account else f"nobody{number}@example.com"
        request = partial(self._request, f"198.51.{number >> 8}.{number & 255}")
        began = time.monotonic()
        for email in (*[asked] * self._shape.requests, own, later):
            await asyncio.to_thread(request, email)
        times = [await self._arrival(email) - began for email in (own, later)]
        return _Trial(has_account, *times)

    def _request(self, address: str, email: str) -> None:
        headers = {"X-Forwarded-For": address, "Sec-Fetch-Site": "same-origin"}
        client = HttpClient(self._url)
        answer = client.request("POST", "/forgot-password", form={"email": email}, headers=headers)
        assert answer.status == 303, (answer.status, answer.text)

    async def _arrival(self, email: str) -> float:
        until = time.monotonic() + _PATIENCE
        while email not in self._arrived:
            if time.monotonic() > until:
                raise SystemExit("a mail did not arrive")
            await asyncio.sleep(0.05)
        (at,) = self._arrived[email]
        return at


@contextmanager
def _server(folder: Path, shape: _Shape, kinds: list[bool]) -> Iterator[_Server]:
    """Run a server with the accounts of its trials, and a relay that notes when mails arrive."""
    folder.mkdir(exist_ok=True)
    arrived = defaultdict[str, list[float]](list)

    def take(address: str) -> None:
        time.sleep(shape.relay)
        arrived[address].append(time.monotonic())

    users = write_users(folder / "users.yaml", len(_accounts_of(0)) * (len(kinds) + 1))
    with running_relay() as relay, SqliteDatabases(folder).new() as database:
        relay.on_recipient = take
        settings = relay_environment(relay.port, "none", MAIL_PER_MINUTE=str(shape.rate))
        with site(database, folder, settings) as place:
            place.run("user", "batch-create", "-f", users)
            yield _Server(place.server.url, shape, kinds, arrived)


def _accounts_of(number: int) -> range:
    """Return the numbers of the accounts of a trial: two of the stranger, and another one."""
    return range(3 * number, 3 * number + 3)
