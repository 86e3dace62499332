"""How fast this machine hashes passwords."""

import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from anyscale.errors import HashingUnavailable
from anyscale.server.check.findings import Finding, fail, ok
from anyscale.server.check.installation import Installation
from anyscale.server.core.hashing.argon2id import OWASP, Hasher
from anyscale.server.core.hashing.jobs import NICENESS
from anyscale.server.core.secrets import new_secret

#: for which each core hashes
_SECONDS = 0.5

_BATCHES = (10_000, 1_000_000)

#: a hash of no password: as expensive as a new one, with a salt of 8 octets, which PyNaCl refuses
_IMPORTED = f"$argon2id$v=19$m={OWASP.memory_kib},t={OWASP.passes},p=1$c2FsdHNhbHQ${'A' * 43}"

_MINUTE, _HOUR = 60, 3600


def check_new_hashes(_: Installation) -> Finding:
    """Measure the library that hashes the passwords of batches and sign-ins."""
    hasher = Hasher(OWASP)
    return _measured("PyNaCl, for new hashes", lambda: hasher.hash([new_secret()]))


def check_imported_hashes(_: Installation) -> Finding:
    """Measure the library that verifies hashes with other parameters than the new ones."""
    hasher = Hasher(OWASP)
    looked_at = "argon2-cffi, for hashes with other parameters"
    return _measured(looked_at, lambda: hasher.verify(_IMPORTED, new_secret()))


def _measured(looked_at: str, hash_one: Callable[[], object]) -> Finding:
    try:
        rates = _rates(hash_one)
    except HashingUnavailable as error:
        return fail(looked_at, str(error), "give this machine 20 MiB of memory for each core")
    total = sum(rates)
    times = "; ".join(f"{count:,} passwords take {_duration(count / total)}" for count in _BATCHES)
    # At the lowest priority, other work slows it down.
    load = os.getloadavg()[0]
    times += f" (measured beside other work: load {load:.1f})" if load > len(rates) / 2 else ""
    cores = "1 core" if len(rates) == 1 else f"{len(rates)} cores"
    each = ", ".join(f"{rate:.0f}" for rate in rates)
    return ok(looked_at, f"{cores} hash {each} a second, {total:.0f} together: {times}")


def _rates(hash_one: Callable[[], object]) -> list[float]:
    """Return the hashes a second of each core, while all of them hash."""
    cores: Sequence[int | None] = [None] * (os.cpu_count() or 1)
    if hasattr(os, "sched_getaffinity"):
        cores = sorted(os.sched_getaffinity(0))
    with ThreadPoolExecutor(len(cores)) as executor:
        return list(executor.map(partial(_rate_on, hash_one), cores))


def _rate_on(hash_one: Callable[[], object], core: int | None) -> float:
    if core is not None:
        os.sched_setaffinity(0, {core})  # only of this thread
        # As the server does: a server that runs here continues as if nothing were hashed.
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
    hash_one()  # the first one allocates the memory
    started, count, seconds = time.monotonic(), 0, 0.0
    while not count or seconds < _SECONDS:
        hash_one()
        count += 1
        seconds = time.monotonic() - started
    return count / seconds


def _duration(seconds: float) -> str:
    """Return a time in its two largest units, as in `2 min 13 s`."""
    whole = round(seconds)
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE} s"
    return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE} min"
