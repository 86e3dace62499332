"""Batches with passwords: their cost beside hashing alone, and beside hashing by argon2-cffi."""

import os
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from benchmarks.support.files import write_users
from benchmarks.support.measuring import Cost, anyscale, pairs, python, run, show

_FEW = 2_000
_MANY = 10_000
#: one pair, after the warm-up: a run takes minutes, in which the speed of a hash evens out
_PAIRS_OF_MANY = 1

#: Hash passwords on as many threads as cores, as an embedded run does, by the code of a library.
HASHING = """
import os
from concurrent.futures import ThreadPoolExecutor
{code}
with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
    assert len(list(pool.map(hash_one, range({count})))) == {count}
"""
PYNACL = """
from nacl.pwhash import argon2id
def hash_one(i):
    return argon2id.str(b"Xk9-vq%ddtrz" % i, 2, 19456 * 1024)
"""
_ARGON2_CFFI = """
from argon2.low_level import Type, hash_secret
def hash_one(i):
    return hash_secret(b"Xk9-vq%ddtrz" % i, os.urandom(16), 2, 19456, 1, 32, Type.ID)
"""

#: Run the command, but hash by argon2-cffi, as all did before PyNaCl was used.
COMMAND_BY_ARGON2_CFFI = """
import sys
from argon2 import PasswordHasher
from anyscale.cli import main
from anyscale.server.core.hashing.argon2id import Hasher
Hasher.hash = lambda _, passwords: list(map(PasswordHasher(2, 19456, 1).hash, passwords))
sys.argv = ["anyscale", "user", "batch-create", "-f", sys.argv[1]]
main()
"""


class _Gain(NamedTuple):
    """How much faster PyNaCl has to be where the processor has a set of instructions."""

    flag: str
    ratio: float


_GAINS = (_Gain("avx512f", 1.7), _Gain("avx2", 1.2))


def measure(folder: Path) -> None:
    few = write_users(folder / "few.yaml", _FEW, passwords=True)
    homes = iter(range(1_000))

    def run_with(*command: str) -> Cost:
        home = {"ANYSCALE_DATA_DIR": str(folder / f"home{next(homes)}")}
        return run(command, home)

    _measure_cost("PyNaCl", 1.10, lambda: run_with(*_batch_create(few)), PYNACL)
    _measure_cost(
        "argon2-cffi",
        1.05,
        lambda: run_with(*python(COMMAND_BY_ARGON2_CFFI, few)),
        _ARGON2_CFFI,
    )
    many = write_users(folder / "many.yaml", _MANY, passwords=True)
    _measure_gain(
        lambda: run_with(*python(COMMAND_BY_ARGON2_CFFI, many)),
        lambda: run_with(*_batch_create(many)),
    )


def _batch_create(users: Path) -> list[str]:
    return anyscale("user", "batch-create", "-f", users)


def _measure_cost(library: str, limit: float, ours: Callable[[], Cost], code: str) -> None:
    hashing = python(HASHING.format(code=code, count=_FEW))
    found = pairs(ours, lambda: run(hashing))
    show(
        f"CPU of {_FEW:,} users with passwords / CPU of hashing alone by {library}",
        found.ratio(lambda cost: cost.cpu),
        limit,
    )
    cores = len(os.sched_getaffinity(0))
    idle = statistics.median(1 - cost.cpu / cost.wall / cores for cost in found.ours)
    show(f"idle time of {cores} cores during these runs", idle * 100, 5, unit=" %")


def _measure_gain(before: Callable[[], Cost], now: Callable[[], Cost]) -> None:
    found = pairs(now, before, _PAIRS_OF_MANY)
    flag, ratio = next((gain for gain in _GAINS if gain.flag in _cpu_flags()), _Gain("none", 0))
    cpu = found.ratio(lambda cost: cost.cpu)
    show(
        f"time of {_MANY:,} users with passwords by PyNaCl / by argon2-cffi ({flag})",
        found.ratio(lambda cost: cost.wall),
        1 / ratio if ratio else 1,
        note=f" (CPU {cpu:.2f}x; {1 / cpu:.2f} times as fast)",
    )


def _cpu_flags() -> set[str]:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("flags"):
            return set(line.split())
    return set()
