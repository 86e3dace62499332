"""How often somebody may be wrong, before sign-ins have to wait.

It is counted in the memory of this process: a flood of wrong passwords writes nothing. See
docs/decisions/0008-sign-in.md.
"""

import hashlib
import ipaddress
import threading
import time
from collections import deque

from msgspec import Struct

from anyscale.errors import TooManyFailedLogins

__all__ = ["LoginRateLimiter"]

_MINUTE = 60.0


class _Limit(Struct, frozen=True):
    failures: int
    seconds: float


#: from an address, whatever the accounts: an office may stand behind one
_OF_ADDRESS = _Limit(100, 10 * _MINUTE)
#: for an account from one address, or by one browser that it knows
_OF_ACCOUNT_HERE = _Limit(10, 10 * _MINUTE)
#: for an account from everywhere that it was never signed in to from
_OF_ACCOUNT = _Limit(100, 60 * _MINUTE)

_LONGEST = 60 * _MINUTE

#: What is kept at most, some 100 MB; then whoever failed longest ago is forgotten.
_MOST = 200_000

#: Of an IPv6 address the network, which is what one subscriber has.
_IPV6_PREFIX = 64

Count = tuple[_Limit, bytes]


class LoginRateLimiter:
    """Counts failures, and refuses whoever had too many."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        #: who -> when, the latest last; whoever failed last stands last
        self._failures: dict[bytes, deque[float]] = {}

    def __len__(self) -> int:
        return len(self._failures)

    def check(self, address: str, account: str, *, known: str = "") -> None:
        """Check that a password may be tried.

        Args:
            address: from where.
            account: the email's key, whether there is such an account or not.
            known: what tells the browser from others, if it has signed in to the account before.

        Raises:
            Throttled: not now.
        """
        with self._lock:
            self._check(_counts(address, account, known), time.monotonic())

    def failed(self, address: str, account: str, *, known: str = "") -> None:
        """Count a failure: the same arguments.

        Raises:
            TooManyFailedLogins: the limit was reached before; the failure is not counted.
        """
        now, counts = time.monotonic(), _counts(address, account, known)
        with self._lock:
            self._check(counts, now)
            for limit, who in counts:
                times = self._failures.pop(who, None) or deque(maxlen=limit.failures)
                times.append(now)
                self._failures[who] = times
            self._forget(now)

    def _check(self, counts: list[Count], now: float) -> None:
        wait = max(self._wait(count, now) for count in counts)
        if wait > 0:
            raise TooManyFailedLogins(
                "too many wrong passwords: wait some minutes, or ask an administrator for a "
                "link by which you set a new one",
                wait,
            )

    def _wait(self, count: Count, now: float) -> float:
        limit, who = count
        times = self._failures.get(who)
        if not times or len(times) < limit.failures:
            return 0
        return times[0] + limit.seconds - now

    def _forget(self, now: float) -> None:
        """Forget the first ones, as long as they failed long ago or are too many."""
        while self._failures:
            who = next(iter(self._failures))
            is_recent = self._failures[who][-1] > now - _LONGEST
            if is_recent and len(self._failures) <= _MOST:
                return
            del self._failures[who]


def _counts(address: str, account: str, known: str) -> list[Count]:
    if known:
        return [(_OF_ACCOUNT_HERE, _who("known", account, known))]
    network = _network(address)
    return [
        (_OF_ACCOUNT_HERE, _who("here", account, network)),
        (_OF_ADDRESS, _who("address", network)),
        (_OF_ACCOUNT, _who("account", account)),
    ]


def _who(*parts: str) -> bytes:
    # Of one length, whatever somebody enters.
    text = "\0".join(parts)
    return hashlib.sha256(text.encode(errors="surrogatepass")).digest()[:16]


def _network(address: str) -> str:
    try:
        known = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(known, ipaddress.IPv4Address):
        return address
    if known.ipv4_mapped:
        return str(known.ipv4_mapped)
    return str(ipaddress.ip_network((known, _IPV6_PREFIX), strict=False))
