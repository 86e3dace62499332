"""List and sign in: p50 and p99 in ms, when idle and while a batch is created."""

import statistics
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.support.crowd import ACCOUNTS
from benchmarks.support.databases import each_kind
from benchmarks.support.files import credentials_of, write_users
from benchmarks.support.measuring import p99, point
from benchmarks.support.serving import Connection
from benchmarks.support.sites import Site, site

#: With a cursor, as the command lists: pages without one are for earlier clients.
_LIST = "/v1/users?cursor=&limit=100"

#: seconds between two requests
_INTERVAL = 0.005

#: seconds of the measurement without a batch
_IDLE = 15


def measure(folder: Path, users: int) -> None:
    known = write_users(folder / "known.yaml", ACCOUNTS, passwords=True, first=2 * users)
    batches = {
        f"{users:,} users": write_users(folder / "users.yaml", users),
        f"{users // 500:,} passwords": write_users(
            folder / "passwords.yaml", users // 500, passwords=True, first=users
        ),
    }
    with each_kind(folder) as kinds:
        for databases in kinds:
            with databases.new() as database, site(database, folder) as place:
                place.run("user", "batch-create", "-f", known)
                requests = _Requests(place, first=2 * users)
                _show(databases.name, "idle", requests.times(_before(time.monotonic() + _IDLE)))
                for name, file in batches.items():
                    client = place.begin("user", "batch-create", "-f", file)
                    times = requests.times(client.runs)
                    assert client.succeeded()
                    _show(databases.name, name, times)


def _before(end: float) -> Callable[[], bool]:
    return lambda: time.monotonic() < end


class _Requests:
    """Sends requests of another administrator and of users in turns.

    Args:
        place: with the accounts of users who sign in.
        first: the number of their first one in the users file.
    """

    def __init__(self, place: Site, first: int) -> None:
        self._administrator = Connection(place.server.url, place.token)
        self._user = Connection(place.server.url)
        self._first = first

    def times(self, goes_on: Callable[[], bool]) -> dict[str, list[float]]:
        """Send requests; return the seconds until each response, by kind of request."""
        times: dict[str, list[float]] = {"list 100 users": [], "sign in": []}
        while goes_on():
            times["list 100 users"].append(self._administrator.seconds(_LIST))
            time.sleep(_INTERVAL)
            start = time.perf_counter()
            self._sign_in(len(times["sign in"]))
            times["sign in"].append(time.perf_counter() - start)
            time.sleep(_INTERVAL)
        return times

    def _sign_in(self, number: int) -> None:
        self._user.post("/v1/sessions", credentials_of(self._first + number % ACCOUNTS))


def _show(store: str, situation: str, times: dict[str, list[float]]) -> None:
    for request, seconds in times.items():
        for name, quantile in {"p50": statistics.median(seconds), "p99": p99(seconds)}.items():
            point("latency", f"{store}: {request}, {name}", situation, quantile * 1e3, "ms")
