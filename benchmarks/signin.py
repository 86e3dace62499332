"""Sign-ins at the rate that their hashing allows, and how the rest of a server fares meanwhile."""

import asyncio
import json
import os
import re
import signal
import statistics
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

import uvloop

from benchmarks.files import write_users
from benchmarks.measuring import Cost, anyscale, pairs, python, show
from benchmarks.serving import served, token

_ACCOUNTS = 16

#: Short runs and many pairs of them: the speed of a hash drifts by some percent in a minute.
_SECONDS = 2.5
_RUNS = 11

#: Requests under way: twice what the cores take along, so that a core that ends some has the next.
_AT_ONCE = 8 * (os.cpu_count() or 1)
#: more than a server lets wait
_TOO_MANY = 200

_SAMPLES = 1_000
_EVERY = 0.005
#: The slowest of a thousand are few: one run's share differs from the next one's by a tenth.
_SAMPLINGS = 9

#: What bare processes reach, one a core.
_BARE = """
import sys, time
from argon2 import PasswordHasher
hasher = PasswordHasher(time_cost=2, memory_cost=19456, parallelism=1)
kept = hasher.hash("correct horse battery")
print("ready", flush=True)
sys.stdin.readline()
end, count = time.monotonic() + float(sys.argv[1]), 0
while time.monotonic() < end:
    hasher.verify(kept, "correct horse battery")
    count += 1
print(count)
"""


#: Others who sign in meanwhile: were it this process, its own work would count as the server's.
_CROWD = """
import sys, uvloop
from benchmarks.signin import Crowd
uvloop.run(Crowd(sys.argv[1]).until_told())
"""


def measure(folder: Path) -> None:
    server = {"ANYSCALE_DATA_DIR": str(folder / "server")}
    secret = token(server)
    with served(server, folder / "server.log") as url:
        _create(folder, {"ANYSCALE_HOST": url, "ANYSCALE_CLI_TOKEN": secret})
        address = urlsplit(url).netloc
        _rate(address)
        _overload(address)
        _beside(address)


def _create(folder: Path, client: Mapping[str, str]) -> None:
    users = write_users(folder / "users.yaml", _ACCOUNTS, passwords=True)
    command = anyscale("user", "batch-create", "-f", users)
    environment = os.environ | client | {"ANYSCALE_DATA_DIR": str(folder / "client")}
    subprocess.run(command, env=environment, check=True, capture_output=True)


def _rate(address: str) -> None:
    found = pairs(lambda: _a_sign_in(address), _a_hash, _RUNS)
    a_second = 1 / statistics.median(cost.wall for cost in found.ours)
    show(
        "time of a sign-in on all cores, of a bare check of its hash (0.9 of the rate)",
        found.ratio(lambda cost: cost.wall),
        1 / 0.9,
        note=f" ({a_second:.0f} a second)",
    )


def _a_sign_in(address: str) -> Cost:
    return Cost(uvloop.run(_time_each(Crowd(address))), 0, 0)


async def _time_each(crowd: "Crowd") -> float:
    """Count the answers of some seconds in the middle of many; give the time for each."""
    async with asyncio.TaskGroup() as group:
        group.create_task(crowd.go_on())
        await crowd.is_going.wait()
        begun, before = time.perf_counter(), crowd.answers
        await asyncio.sleep(_SECONDS)
        seconds, answers = time.perf_counter() - begun, crowd.answers - before
        crowd.stop()
    return seconds / answers


def _a_hash() -> Cost:
    cores = len(os.sched_getaffinity(0))
    processes = [
        subprocess.Popen(
            python(_BARE, str(_SECONDS)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(cores)
    ]
    for process in processes:
        assert process.stdout
        process.stdout.readline()
    said = [process.communicate("go\n")[0] for process in processes]
    return Cost(_SECONDS / sum(map(int, said)), 0, 0)


class Crowd:
    """People who sign in on several connections, again and again until it stops."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._stops = False
        self._begun = 0
        self.answers = 0
        #: when each was answered once, so that the server has as much to do as it will have
        self.is_going = asyncio.Event()

    async def until_told(self) -> None:
        """Go on until SIGTERM, and say when that is going."""
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self.stop)
        async with asyncio.TaskGroup() as group:
            group.create_task(self.go_on())
            await self.is_going.wait()
            print("going", flush=True)

    async def go_on(self) -> None:
        await asyncio.gather(*map(self._one, range(_AT_ONCE)))

    def stop(self) -> None:
        """Let each finish what is under way."""
        self._stops = True

    async def _one(self, number: int) -> None:
        async with _Browser(self._address) as browser:
            await self._sign_in(browser, number)
            self._begun += 1
            if self._begun == _AT_ONCE:
                self.is_going.set()
            while not self._stops:
                number += 1
                await self._sign_in(browser, number)

    async def _sign_in(self, browser: "_Browser", number: int) -> None:
        assert await browser.sign_in(number) == 200
        self.answers += 1


def _overload(address: str) -> None:
    def refused() -> Cost:
        return Cost(statistics.quantiles(uvloop.run(_refusals(address)), n=100)[-1], 0, 0)

    found = pairs(refused, lambda: Cost(0.1, 0, 0))
    show(
        "p99 of the answer 429 to a sign-in when too many wait, of 100 ms",
        found.ratio(lambda cost: cost.wall),
        1,
    )


async def _refusals(address: str) -> list[float]:
    """Sign in on too many connections at once; give the times of those who were refused."""
    browsers = [_Browser(address) for _ in range(_TOO_MANY)]
    await asyncio.gather(*(browser.open() for browser in browsers))

    async def once(number: int) -> float | None:
        begun = time.perf_counter()
        status = await browsers[number].sign_in(number)
        assert status in (200, 429)
        return time.perf_counter() - begun if status == 429 else None

    times = await asyncio.gather(*map(once, range(_TOO_MANY)))
    await asyncio.gather(*(browser.close() for browser in browsers))
    return [seconds for seconds in times if seconds is not None]


def _beside(address: str) -> None:
    found = pairs(
        lambda: uvloop.run(_slow(address, beside=True)),
        lambda: uvloop.run(_slow(address, beside=False)),
        _SAMPLINGS,
    )
    idle = statistics.median(cost.wall for cost in found.bound) * 1e3
    show(
        "p99 of GET /v1/me while people sign in on all cores, of the same when idle",
        found.ratio(lambda cost: cost.wall),
        2,
        note=f" (idle {idle:.2f} ms)",
    )


async def _slow(address: str, *, beside: bool) -> Cost:
    with _crowd(address) if beside else nullcontext():
        async with _Browser(address) as browser:
            assert await browser.sign_in(0) == 200
            times = []
            for _ in range(_SAMPLES):
                await asyncio.sleep(_EVERY)
                begun = time.perf_counter()
                assert await browser.ask("GET", "/v1/me") == 200
                times.append(time.perf_counter() - begun)
    return Cost(statistics.quantiles(times, n=100)[-1], 0, 0)


@contextmanager
def _crowd(address: str) -> Iterator[None]:
    with subprocess.Popen(python(_CROWD, address), stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline(), "nobody can sign in"
        try:
            yield
        finally:
            process.terminate()
    assert process.returncode == 0, "signing in has failed"


class _Browser:
    """One connection that is kept alive, and its cookies."""

    def __init__(self, address: str) -> None:
        self._host, _, port = address.partition(":")
        self._port = int(port)
        self._cookies = ""

    async def open(self) -> None:
        self._reader, self._writer = await asyncio.open_connection(self._host, self._port)

    async def close(self) -> None:
        self._writer.close()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def sign_in(self, number: int) -> int:
        i = number % _ACCOUNTS
        person = {"email": f"user{i}@example{i % 100}.com", "password": f"Xk9-vq{i}dtrz"}
        return await self.ask("POST", "/v1/sessions", json.dumps(person))

    async def ask(self, method: str, path: str, body: str = "") -> int:
        head = f"{method} {path} HTTP/1.1\r\nHost: {self._host}\r\nContent-Length: {len(body)}\r\n"
        kind = "Content-Type: application/json\r\n" if body else ""
        cookies = f"Cookie: {self._cookies}\r\n" if self._cookies else ""
        self._writer.write(f"{head}{kind}{cookies}\r\n{body}".encode())
        answer = (await self._reader.readuntil(b"\r\n\r\n")).decode()
        length = re.search(r"content-length: (\d+)", answer, re.IGNORECASE)
        await self._reader.readexactly(int(length[1]) if length else 0)
        if set_ := re.findall(r"set-cookie: ([^;\r]+)", answer, re.IGNORECASE):
            self._cookies = "; ".join(set_)
        return int(answer.split(" ", 2)[1])
