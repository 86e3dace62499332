"""Sign in on all cores: CPU time besides the hash in ms, and the p99 of other requests."""

import asyncio
import os
import statistics
import subprocess
import time
from contextlib import nullcontext
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import uvloop

from benchmarks.support.crowd import ACCOUNTS, Browser, Crowd, crowd_process
from benchmarks.support.databases import each_kind
from benchmarks.support.files import write_users
from benchmarks.support.measuring import Cost, p99, pairs, python, show, show_beside_idle
from benchmarks.support.serving import Server
from benchmarks.support.sites import site

#: Short runs and many of them: the speed of a hash drifts by some percent in a minute.
_SECONDS = 2.5
_RUNS = 11

#: of the server for a sign-in, at most
_MILLISECONDS = {"SQLite": 3, "PostgreSQL": 4}

#: more sign-ins at once than a server has places for
_TOO_MANY = 200

_SAMPLES = 1_000
_INTERVAL = 0.005
#: A thousand samples have few slow ones: their share differs by a tenth from run to run.
_SAMPLINGS = 9

#: Verify one hash again and again, in a process for each core, without a server.
_VERIFY = """
import sys, time
from nacl.pwhash import argon2id
stored = argon2id.str(b"correct horse battery", 2, 19456 * 1024)
print("ready", flush=True)
sys.stdin.readline()
end, count = time.monotonic() + float(sys.argv[1]), 0
while time.monotonic() < end:
    argon2id.verify(stored, b"correct horse battery")
    count += 1
print(count)
"""


class _Run(NamedTuple):
    """A run of a crowd."""

    sign_ins_a_second: float
    #: of the server's process, without those that hash
    cpu_seconds_each: float


def measure(folder: Path) -> None:
    users = write_users(folder / "users.yaml", ACCOUNTS, passwords=True)
    with each_kind(folder) as kinds:
        for databases in kinds:
            with databases.new() as database, site(database, folder) as place:
                place.run("user", "batch-create", "-f", users)
                _measure_sign_ins(databases.name, place.server)
                if database.sqlite_path:
                    address = urlsplit(place.server.url).netloc
                    _measure_overload(address)
                    _measure_others(address)


def _measure_sign_ins(kind: str, server: Server) -> None:
    runs, rates = list[_Run](), list[float]()
    for _ in range(_RUNS):
        runs.append(uvloop.run(_run_crowd(server)))
        rates.append(_hashes_a_second())
    ours = statistics.median(run.sign_ins_a_second for run in runs)
    alone = statistics.median(rates)
    show(
        f"{kind}: the server's CPU time of a sign-in besides its hash, while all cores hash",
        statistics.median(run.cpu_seconds_each for run in runs) * 1e3,
        _MILLISECONDS[kind],
        unit=" ms",
        note=f" ({ours:.0f} sign-ins a second; hashing alone {alone:.0f})",
    )


async def _run_crowd(server: Server) -> _Run:
    """Measure some seconds in the middle of the run."""
    crowd = Crowd(urlsplit(server.url).netloc)
    async with asyncio.TaskGroup() as group:
        group.create_task(crowd.run())
        await crowd.is_warm.wait()
        start, before, cpu = time.perf_counter(), crowd.sign_ins, server.cpu_seconds
        await asyncio.sleep(_SECONDS)
        seconds = time.perf_counter() - start
        sign_ins, cpu = crowd.sign_ins - before, server.cpu_seconds - cpu
        crowd.stop()
    return _Run(sign_ins / seconds, cpu / sign_ins)


def _hashes_a_second() -> float:
    """Hash on each core, all at the same time, and return the sum."""
    processes = [_ready_to_hash() for _ in os.sched_getaffinity(0)]
    for process in processes:
        assert process.stdin
        process.stdin.write("go\n")
        process.stdin.flush()
    return sum(int(process.communicate()[0]) for process in processes) / _SECONDS


def _ready_to_hash() -> subprocess.Popen[str]:
    """Start a process that hashes when it gets a line."""
    command = python(_VERIFY, str(_SECONDS))
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    process.stdout.readline()
    return process


def _measure_overload(address: str) -> None:
    def refused() -> Cost:
        return Cost(p99(uvloop.run(_refusals(address))))

    found = pairs(refused, lambda: Cost(0.1))
    show(
        f"p99 of the response 429 to {_TOO_MANY} sign-ins at once / 100 ms",
        found.ratio(lambda cost: cost.wall),
        1,
    )


async def _refusals(address: str) -> list[float]:
    """Sign in on too many connections at once; return the response times of the refusals."""
    browsers = [Browser(address) for _ in range(_TOO_MANY)]
    await asyncio.gather(*(browser.open() for browser in browsers))

    async def sign_in(number: int) -> float | None:
        start = time.perf_counter()
        status = await browsers[number].sign_in(number)
        assert status in (200, 429)
        return time.perf_counter() - start if status == 429 else None

    times = await asyncio.gather(*map(sign_in, range(_TOO_MANY)))
    await asyncio.gather(*(browser.close() for browser in browsers))
    return [seconds for seconds in times if seconds is not None]


def _measure_others(address: str) -> None:
    found = pairs(
        lambda: uvloop.run(_p99_of_me(address, busy=True)),
        lambda: uvloop.run(_p99_of_me(address, busy=False)),
        _SAMPLINGS,
    )
    show_beside_idle("p99 of GET /v1/me during sign-ins on all cores", found, 8)


async def _p99_of_me(address: str, *, busy: bool) -> Cost:
    with crowd_process(address) if busy else nullcontext():
        async with Browser(address) as browser:
            assert await browser.sign_in(0) == 200
            times = []
            for _ in range(_SAMPLES):
                await asyncio.sleep(_INTERVAL)
                start = time.perf_counter()
                assert await browser.request("GET", "/v1/me") == 200
                times.append(time.perf_counter() - start)
    return Cost(p99(times))
