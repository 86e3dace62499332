"""Passwords, and a hash, that keep one core or all of them busy for a time."""

import os
import time
from collections.abc import Sequence
from functools import cache

from anyscale.server.core.hashing.argon2id import OWASP, Hasher, Profile
from anyscale.server.core.hashing.pool import PasswordHashPool

_MEASURED = 8

#: of a hash with the memory of `OWASP`: more would be refused as absurd
_MOST_PASSES = 50


def passwords_that_take(seconds: float) -> int:
    """Return how many passwords one core hashes in so many seconds, or a little longer.

    A fixed number is hashed too soon on a fast machine, and takes long on a slow one.
    """
    return int(seconds / _seconds_of_a_hash()) + 1


def passwords_for_all_cores(seconds: float) -> int:
    """Return how many passwords keep all cores busy for so many seconds, or a little longer.

    A process can be stopped meanwhile. It does not have to end in time: the work has the lowest
    priority, and takes much longer beside other processes.
    """
    return passwords_that_take(seconds * len(os.sched_getaffinity(0)))


def profile_that_takes(seconds: float) -> Profile:
    """Return a profile with which one core computes a hash in so many seconds, or a little longer.

    A very fast core needs less, because no hash may have more passes.
    """
    passes = int(seconds / _seconds_of_a_hash() * OWASP.passes) + 1
    return Profile(memory_kib=OWASP.memory_kib, passes=min(passes, _MOST_PASSES))


def record_hashed(pool: PasswordHashPool) -> list[str]:
    """Return a list to which each password is added that the pool hashes from now on."""
    hashed: list[str] = []
    compute = pool._hash

    def compute_and_record(passwords: Sequence[str]) -> list[str]:
        hashes = compute(passwords)
        hashed.extend(passwords)
        return hashes

    vars(pool)["_hash"] = compute_and_record
    return hashed


@cache
def _seconds_of_a_hash() -> float:
    hasher = Hasher(OWASP)
    hasher.hash(["warm up"])
    before = time.process_time()  # other processes do not count
    hasher.hash(["correct horse battery staple"] * _MEASURED)
    return (time.process_time() - before) / _MEASURED
