"""Users with passwords a second, by the number of cores and the library that hashes."""

import os
import statistics
from collections.abc import Iterator
from pathlib import Path

from benchmarks.hashing.passwords import commands
from benchmarks.support.files import write_users
from benchmarks.support.measuring import point, run_afresh

_ROUNDS = 3


def measure(folder: Path, users: int) -> None:
    count = users // 1_000
    file = write_users(folder / "users.yaml", count, passwords=True)
    by_library = commands(file)
    for cores in _numbers_of_cores():
        rounds = [
            [run_afresh(command, folder, cores=cores).wall for command in by_library.values()]
            for _ in range(_ROUNDS)
        ]
        for library, times in zip(by_library, zip(*rounds, strict=True), strict=True):
            point("passwords", library, cores, count / statistics.median(times), "users/s")


def _numbers_of_cores() -> Iterator[int]:
    """Yield 1, 2, 4 and so on, and the number of all cores."""
    every = len(os.sched_getaffinity(0))
    cores = 1
    while cores < every:
        yield cores
        cores *= 2
    yield every
