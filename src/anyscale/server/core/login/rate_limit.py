"""Limits of failed sign-ins, by account and network, and of the sign-ins of an account.

The counts are in the memory of this process, so that a flood of wrong passwords writes nothing:
docs/decisions/0008-sign-in.md.
"""

import hashlib
import math
import threading
import time
from collections import deque
from operator import itemgetter

from msgspec import Struct

from anyscale.errors import TooManyFailedLogins
from anyscale.server.core.login.networks import site_of, subscriber_of

_MINUTE = 60.0


class _Limit(Struct, frozen=True):
    failures: int
    seconds: float
    counted: str = "failed sign-ins"


#: of an address (of IPv6 a /64), for any accounts: an office may have one address
_ADDRESS = _Limit(100, 10 * _MINUTE)
#: of an IPv6 /48, for any accounts: it has 65,536 networks of /64
_SITE = _Limit(300, 10 * _MINUTE)
#: of an account from one address, or from one browser that the account knows
_ACCOUNT_AND_ADDRESS = _Limit(10, 10 * _MINUTE)
#: of an account from all browsers that it does not know
_ACCOUNT = _Limit(100, 60 * _MINUTE)

#: of an address, for codes of the identity provider whose exchange is refused
_CODES = _Limit(10, 10 * _MINUTE)
#: Of an address, for codes whose exchange the provider does not answer. It is more, since users in
#: an office with one address cannot help that.
_UNANSWERED_CODES = _Limit(100, 10 * _MINUTE)

#: Of an account by one method, from one browser that the account knows, or from all others: each
#: one writes a session and an audit entry.
_SIGN_INS = _Limit(60, _MINUTE, "sign-ins")
#: Of an account, by a first factor without the second one: from one browser that the account knows,
#: or from one address (of IPv6 a /64). Each one writes a row, which lasts ten minutes.
_HALF_SIGN_INS = _Limit(20, _MINUTE, "sign-ins")
#: of an account, the same from all browsers that it does not know
_ALL_HALF_SIGN_INS = _Limit(1_000, 10 * _MINUTE, "sign-ins")

_LONGEST = 60 * _MINUTE

#: The counts in memory, at most some 190 MB. Then those with the oldest last failure are deleted.
_MAX_COUNTS = 200_000

#: a limit, and the key of its count
_Count = tuple[_Limit, bytes]


class LoginRateLimiter:
    """Counts failed sign-ins, and refuses more where a limit is reached."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        #: key -> times of the failures; the key with the latest failure is the last one
        self._failures: dict[bytes, deque[float]] = {}

    def check(self, address: str, account: str, known_device: str = "") -> None:
        """Check that a password may be tried.

        Args:
            address: of the client.
            account: the email's key, whether it has an account or not.
            known_device: the device cookie, if the account knows it; else empty.

        Raises:
            TooManyFailedLogins: a limit is reached.
        """
        self._check(_counts(address, account, known_device))

    def record_failure(self, address: str, account: str, known_device: str = "") -> None:
        """Count a failed sign-in. The arguments are those of `check`.

        Raises:
            TooManyFailedLogins: a limit was reached before; the failure is not counted.
        """
        self._record(_counts(address, account, known_device))

    def record_sign_in(self, user_id: str, method: str, known_by: str) -> None:
        """Count a complete sign-in of an account.

        Strangers and the user are counted apart: another method, and each browser that the account
        knows, has a count of its own.

        Args:
            user_id: of the account.
            method: how it began: see `Shown.auth_method`.
            known_by: see `LockedAccount.known_by`.

        Raises:
            TooManyFailedLogins: too many were counted in the last minute; this one is not counted.
        """
        self._record([(_SIGN_INS, _key("sign-ins", user_id, method, known_by))])

    def record_half_sign_in(self, user_id: str, address: str, known_by: str) -> None:
        """Count a sign-in that waits for its second factor, as `record_sign_in` does.

        Strangers who know the password have such sign-ins, so they count by the network of the
        client, if the account does not know its browser.
        """
        if known_by:
            self._record([(_HALF_SIGN_INS, _key("known half sign-ins", user_id, known_by))])
            return
        by_address = _key("half sign-ins", user_id, subscriber_of(address))
        self._record(
            [(_HALF_SIGN_INS, by_address), (_ALL_HALF_SIGN_INS, _key("half sign-ins", user_id))]
        )

    def check_exchange(self, address: str) -> None:
        """Check that a code of the identity provider may be exchanged, as `check` does."""
        self._check([_refused_count(address), _unanswered_count(address), *_site_counts(address)])

    def record_refused_exchange(self, address: str) -> None:
        """Count a code whose exchange was refused, as `record_failure` does."""
        self._record([_refused_count(address), *_site_counts(address)])

    def record_unanswered_exchange(self, address: str) -> None:
        """Count a code whose exchange the provider did not answer, as `record_failure` does."""
        self._record([_unanswered_count(address), *_site_counts(address)])

    def _check(self, counts: list[_Count]) -> None:
        with self._lock:
            self._require_below(counts, time.monotonic())

    def _record(self, counts: list[_Count]) -> None:
        now = time.monotonic()
        with self._lock:
            self._require_below(counts, now)
            for limit, key in counts:
                times = self._failures.pop(key, None) or deque(maxlen=limit.failures)
                times.append(now)
                self._failures[key] = times
            self._delete_old(now)

    def _require_below(self, counts: list[_Count], now: float) -> None:
        wait, (limit, _) = max(
            ((self._wait(count, now), count) for count in counts), key=itemgetter(0)
        )
        if wait > 0:
            raise TooManyFailedLogins(
                f"too many {limit.counted}: wait {math.ceil(wait)} seconds, or ask an administrator"
                " for a link to set a new password",
                wait,
            )

    def _wait(self, count: _Count, now: float) -> float:
        limit, key = count
        times = self._failures.get(key)
        if not times or len(times) < limit.failures:
            return 0
        return times[0] + limit.seconds - now

    def _delete_old(self, now: float) -> None:
        """Delete counts whose last failure is too old, and the oldest where there are too many."""
        while self._failures:
            key = next(iter(self._failures))
            is_recent = self._failures[key][-1] > now - _LONGEST
            if is_recent and len(self._failures) <= _MAX_COUNTS:
                return
            del self._failures[key]


def _counts(address: str, account: str, known_device: str) -> list[_Count]:
    if known_device:
        return [(_ACCOUNT_AND_ADDRESS, _key("device", account, known_device))]
    subscriber = subscriber_of(address)
    return [
        (_ACCOUNT_AND_ADDRESS, _key("account and address", account, subscriber)),
        (_ADDRESS, _key("address", subscriber)),
        (_ACCOUNT, _key("account", account)),
        *_site_counts(address),
    ]


def _refused_count(address: str) -> _Count:
    return _CODES, _key("codes", subscriber_of(address))


def _unanswered_count(address: str) -> _Count:
    return _UNANSWERED_CODES, _key("unanswered codes", subscriber_of(address))


def _site_counts(address: str) -> list[_Count]:
    # IPv4 has no count by site: the addresses of one /24 may belong to any number of subscribers.
    site = site_of(address)
    return [(_SITE, _key("site", site))] if ":" in site else []


def _key(*parts: str) -> bytes:
    # It is a hash, so that all keys have one length, whatever a client sends.
    text = "\0".join(parts)
    return hashlib.sha256(text.encode(errors="surrogatepass")).digest()[:16]
