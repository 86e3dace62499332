"""How often somebody may be wrong, before sign-ins have to wait.

It is counted in the memory of this process: a flood of wrong passwords writes nothing. See
docs/decisions/0008-people-sign-in.md.
"""

import ipaddress
import time

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from anyscale.errors import Throttled

__all__ = ["Throttle"]

#: failures from an address, whatever the accounts: an office may stand behind one
_OF_ADDRESS = RateLimitItemPerMinute(100, 10)
#: failures for an account from one address
_OF_ACCOUNT_HERE = RateLimitItemPerMinute(10, 10)
#: failures for an account from everywhere that it was never signed in to from
_OF_ACCOUNT = RateLimitItemPerMinute(100, 60)

#: Of an IPv6 address the network, which is what one subscriber has.
_IPV6_PREFIX = 64


class Throttle:
    """Counts failures, and refuses whoever had too many."""

    def __init__(self) -> None:
        self._limiter = MovingWindowRateLimiter(MemoryStorage())

    def check(self, address: str, account: str, *, known: bool) -> None:
        """Check that a password may be tried.

        Args:
            address: from where.
            account: the email's key, whether there is such an account or not.
            known: whether the browser has signed in to the account before.

        Raises:
            Throttled: not now.
        """
        for limit, *keys in _counts(address, account, known=known):
            if not self._limiter.test(limit, *keys):
                until = self._limiter.get_window_stats(limit, *keys).reset_time
                raise Throttled(
                    "too many wrong passwords: wait some minutes, or ask an administrator for a "
                    "link by which you set a new one",
                    max(1.0, until - time.time()),
                )

    def failed(self, address: str, account: str, *, known: bool) -> None:
        """Count a failure: the same arguments."""
        for limit, *keys in _counts(address, account, known=known):
            self._limiter.hit(limit, *keys)


def _counts(
    address: str, account: str, *, known: bool
) -> list[tuple[RateLimitItemPerMinute, *tuple[str, ...]]]:
    network = _network(address)
    here = (_OF_ACCOUNT_HERE, "here" if not known else "known", account, network)
    return [here] if known else [here, (_OF_ADDRESS, network), (_OF_ACCOUNT, "all", account)]


def _network(address: str) -> str:
    try:
        known = ipaddress.ip_address(address)
    except ValueError:
        return address
    if known.version == 4:  # noqa: PLR2004 - of the internet protocol
        return address
    return str(ipaddress.ip_network((known, _IPV6_PREFIX), strict=False))
