"""Users with passwords a second, by the number of cores and the library that hashes."""

import os
import statistics
from collections.abc import Iterator
from pathlib import Path

from benchmarks.hashing.passwords import COMMAND_BY_ARGON2_CFFI
from benchmarks.support.files import write_users
from benchmarks.support.measuring import anyscale, point, python, run

_ROUNDS = 3


def measure(folder: Path, users: int) -> None:
    count = users // 1_000
    file = write_users(folder / "users.yaml", count, passwords=True)
    commands = {
        "PyNaCl": anyscale("user", "batch-create", "-f", file),
        "argon2-cffi": python(COMMAND_BY_ARGON2_CFFI, file),
    }
    homes = iter(range(1_000))

    def users_a_second(library: str, cores: int) -> float:
        home = {"ANYSCALE_DATA_DIR": str(folder / f"home{next(homes)}")}
        return count / run(commands[library], home, cores=cores).wall

    for cores in _numbers_of_cores():
        rounds = [[users_a_second(library, cores) for library in commands] for _ in range(_ROUNDS)]
        for library, values in zip(commands, zip(*rounds, strict=True), strict=True):
            point("passwords", library, cores, statistics.median(values), "users/s")


def _numbers_of_cores() -> Iterator[int]:
    """Yield 1, 2, 4 and so on, and the number of all cores."""
    every = len(os.sched_getaffinity(0))
    cores = 1
    while cores < every:
        yield cores
        cores *= 2
    yield every
