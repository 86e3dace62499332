"""Create users with passwords: CPU time beside hashing alone, and time beside argon2-cffi."""

import os
import statistics
from collections.abc import Mapping, Sequence
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

from benchmarks.support.files import write_users
from benchmarks.support.measuring import Pairs, anyscale, pairs, python, run, run_afresh, show

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
_COMMAND_BY_ARGON2_CFFI = """
import sys
from argon2 import PasswordHasher
from anyscale.cli import main
from anyscale.server.core.hashing.argon2id import Hasher
Hasher.hash = lambda _, passwords: list(map(PasswordHasher(2, 19456, 1).hash, passwords))
sys.argv = ["anyscale", "user", "batch-create", "-f", sys.argv[1]]
main()
"""


class _Library(NamedTuple):
    """A library that hashes, and its limits."""

    name: str
    #: defines `hash_one`
    code: str
    #: CPU time of the command / of hashing alone
    cpu: float
    #: percent: the faster a hash, the more of the time is that of one core before and after it
    idle: float


_LIBRARIES = (
    _Library("PyNaCl", PYNACL, cpu=1.10, idle=10),
    _Library("argon2-cffi", _ARGON2_CFFI, cpu=1.05, idle=5),
)


def commands(file: Path) -> Mapping[str, Sequence[str]]:
    """Return the command that creates the users of a file, by the library that hashes."""
    return {
        "PyNaCl": anyscale("user", "batch-create", "-f", file),
        "argon2-cffi": python(_COMMAND_BY_ARGON2_CFFI, file),
    }


def measure(folder: Path, users: int) -> None:
    few, many = users // 500, users // 100
    of_few = commands(write_users(folder / "few.yaml", few, passwords=True))
    for library in _LIBRARIES:
        ours = partial(run_afresh, of_few[library.name], folder)
        hashing = partial(run, python(HASHING.format(code=library.code, count=few)))
        _show_cost(library, few, pairs(ours, hashing))
    of_many = commands(write_users(folder / "many.yaml", many, passwords=True))
    now, before = (partial(run_afresh, command, folder) for command in of_many.values())
    _print_gain(many, pairs(now, before, _PAIRS_OF_MANY))


def _show_cost(library: _Library, count: int, found: Pairs) -> None:
    show(
        f"CPU of {count:,} users with passwords / CPU of hashing alone by {library.name}",
        found.ratio(lambda cost: cost.cpu),
        library.cpu,
    )
    cores = len(os.sched_getaffinity(0))
    idle = statistics.median(1 - cost.cpu / cost.wall / cores for cost in found.ours)
    show(f"idle time of {cores} cores during these runs", idle * 100, library.idle, unit=" %")


def _print_gain(count: int, found: Pairs) -> None:
    wall, cpu = (1 / found.ratio(attrgetter(part)) for part in ("wall", "cpu"))
    what = f"times as fast by PyNaCl as by argon2-cffi: {count:,} users with passwords"
    print(f"     {wall:8.2f}x {what} (CPU {cpu:.2f}x; {_instructions()})", flush=True)


def _instructions() -> str:
    """Return the set of instructions that decides how fast libsodium is."""
    text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    return next((name for name in ("avx512f", "avx2") if name in text), "neither AVX2 nor AVX-512")
