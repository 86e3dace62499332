"""How many passwords keep one core busy for a time."""

import time
from functools import cache

from anyscale.server.core.hashing.argon2id import OWASP, Hasher

__all__ = ["passwords_that_take"]

_MEASURED = 20


def passwords_that_take(seconds: float) -> int:
    """Return how many passwords one core hashes in so many seconds, or a little longer.

    A fixed number is hashed too soon on a fast machine, and takes long on a slow one.
    """
    return int(seconds / _seconds_of_a_hash()) + 1


@cache
def _seconds_of_a_hash() -> float:
    hasher = Hasher(OWASP)
    hasher.hash(["warm up"])
    before = time.process_time()  # other processes do not count
    hasher.hash(["correct horse battery staple"] * _MEASURED)
    return (time.process_time() - before) / _MEASURED
