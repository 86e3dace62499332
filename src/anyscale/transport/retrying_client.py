"""Asking a control plane over HTTP, and again until it has answered."""

import gzip
import random
import threading
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import unquote, urlencode, urlsplit
from urllib.request import getproxies, proxy_bypass

import urllib3
from msgspec import json
from urllib3.exceptions import HTTPError

from anyscale import __version__
from anyscale.errors import (
    AnyscaleError,
    BatchGone,
    BatchRefused,
    BatchUnfinished,
    ConfigError,
    FeatureUnavailable,
    KeyReused,
    LastOwner,
    LinkRefused,
    NotAControlPlane,
    NotFound,
    Overloaded,
    ServerUnreachable,
    Unavailable,
    VersionMismatch,
)
from anyscale.transport.concurrency_limit import AdaptiveLimit
from anyscale.transport.responses import decoded, error_of, unreachable
from anyscale.urls import is_on_loopback

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["RetryingClient"]

Kind = TypeVar("Kind")

#: Seconds for which a call that gets no answer is repeated. A server restarts in less.
_PATIENCE = 100.0

#: The same for the first call of all: whoever mistyped the address does not want to wait.
_FIRST_PATIENCE = 2.0

#: The same while the control plane says that it has too much to do: it works, if not for us.
_BUSY_PATIENCE = 1800.0

_FIRST_PAUSE, _LONGEST_PAUSE = 0.25, 5.0

_LONGEST_RETRY_AFTER = 60.0

#: Reading is given up well before patience ends, so that the call is made once more.
_TIMEOUT = urllib3.Timeout(connect=10, read=45)

#: Seconds between two failures from which on they are of two outages. One outage meets every call
#: under way, and is told once.
_SAME_OUTAGE = 10.0

#: octets of a body from which on it is compressed
_COMPRESS_FROM = 1024


#: What says what became of a call, also of one that was made before and whose answer was lost.
_VERDICTS = (
    BatchGone,
    BatchRefused,
    BatchUnfinished,
    FeatureUnavailable,
    KeyReused,
    LastOwner,
    LinkRefused,
)


class RetryState:
    """Whether a call is made once more, and what is known of it.

    Args:
        hurry: is set when nobody waits for the call any more.
    """

    def __init__(self, hurry: threading.Event) -> None:
        self._hurry = hurry
        self._since = time.monotonic()
        self._pause = _FIRST_PAUSE
        self._waited = 0
        #: Whether it may have arrived. What became of it is then not known, whatever fails later.
        self.begun = False

    @property
    def is_first(self) -> bool:
        """Whether it was made once so far."""
        return self._waited == 1

    def waits(self, error: Unavailable | Overloaded, patience: float) -> bool:
        """Wait for a while, if there is hope; say whether there is."""
        wait = self._pause * random.uniform(0.5, 1.0)  # noqa: S311 - no secret; not all at once
        if isinstance(error, Overloaded):
            patience, wait = _BUSY_PATIENCE, max(wait, error.retry_after_seconds)
        if time.monotonic() + wait - self._since > patience or self._hurry.wait(wait):
            return False
        if isinstance(error, Overloaded):
            self._since = time.monotonic()  # it was an answer: patience with silence begins anew
        self._waited += 1
        self._pause = min(self._pause * 2, _LONGEST_PAUSE)
        return True

    def last(self, error: AnyscaleError) -> AnyscaleError:
        """Give the error with which the call ends."""
        if not self.begun or isinstance(error, _VERDICTS):
            return error
        if isinstance(error, Unavailable):
            error.begun = True
            return error
        return ServerUnreachable(str(error), begun=True)


class RetryingClient:
    """Connections to one control plane, which threads share.

    Args:
        host: `https://...`
        token: an owner's.
        at_once: requests at a time, at most.
    """

    def __init__(self, host: str, token: str, at_once: int) -> None:
        self._host = host
        self._headers = {
            "Authorization": f"Bearer {token}",
            "User-Agent": f"musterroll/{__version__}",
            "Accept-Encoding": "gzip",
        }
        self._pool = _pool(host, at_once)
        self._pace = AdaptiveLimit(at_once)
        self._patience = _FIRST_PATIENCE
        self._hurry = threading.Event()
        self._telling = threading.Lock()
        self._failed = -_SAME_OUTAGE
        #: is told what a person should know
        self.notice: Callable[[str], None] = lambda _: None

    def __repr__(self) -> str:
        return f"RetryingClient({self._host!r})"

    def close(self) -> None:
        """Let the connections go."""
        self._pool.clear()

    def ask(
        self,
        kind: type[Kind],
        method: str,
        path: str,
        body: Any = None,
        *,
        key: str | None = None,
        changes: bool | None = None,
        **query: Any,
    ) -> Kind:
        """Make a call, and again while there is hope: each is the same when it is repeated.

        Args:
            kind: of the answer.
            method: of HTTP.
            path: of the call.
            body: to be sent as JSON.
            key: the idempotency key.
            changes: whether it may change something; by default what is not a GET does.
            query: parameters.

        Raises:
            AnyscaleError: the one that the control plane tells of, or why there is no answer.
        """
        url = f"{self._host}{path}" + (f"?{urlencode(query)}" if query else "")
        data, headers = _packed(body, key)
        changes = method != "GET" if changes is None else changes
        hope = RetryState(self._hurry)
        while True:
            try:
                answer = self._once(method, url, data, headers, changes=changes)
                return decoded(self._host, answer, kind)
            except (Unavailable, Overloaded) as error:
                hope.begun = hope.begun or (isinstance(error, Unavailable) and error.begun)
                if not hope.waits(error, self._patience):
                    raise hope.last(error) from None
                if hope.is_first and isinstance(error, Unavailable):
                    self._tell(error)
            except (NotAControlPlane, VersionMismatch) as error:
                # Something was answered, and not what became of the call.
                hope.begun = hope.begun or changes
                raise hope.last(error) from None
            except NotFound as error:
                if method == "DELETE" and hope.begun:
                    return kind()  # it is gone by the call whose answer was lost
                raise hope.last(error) from None
            except AnyscaleError as error:
                raise hope.last(error) from None

    def _tell(self, error: Unavailable) -> None:
        """Say that calls are made again, with the reason last: it may end with a question."""
        with self._telling:
            last, self._failed = self._failed, time.monotonic()
            is_new = self._failed - last >= _SAME_OUTAGE
        if is_new:
            self.notice(f"Trying again: {error}")

    def hurry(self) -> None:
        """Let the calls fail that wait to be repeated; later ones wait again."""
        self._hurry.set()
        self._hurry = threading.Event()

    def _once(
        self, method: str, url: str, data: bytes | None, headers: dict[str, str], *, changes: bool
    ) -> urllib3.BaseHTTPResponse:
        with self._pace.turn():
            try:
                answer = self._pool.request(
                    method,
                    url,
                    body=data,
                    headers=self._headers | headers,
                    retries=False,
                    redirect=False,
                    timeout=_TIMEOUT,
                )
            except HTTPError as error:
                raise unreachable(self._host, error, begun=changes) from None
        if answer.status >= HTTPStatus.MULTIPLE_CHOICES:  # all that is not a success
            raise self._refusal(answer, changes=changes)
        self._patience = _PATIENCE
        self._pace.answered()
        return answer

    def _refusal(self, answer: urllib3.BaseHTTPResponse, *, changes: bool) -> Exception:
        error = error_of(self._host, answer, begun=changes)
        if isinstance(error, Overloaded):
            self._patience = _PATIENCE  # it is there, if busy
            self._pace.refused()
            asked = answer.headers.get("retry-after", "")
            seconds = float(asked) if asked.isdigit() else 0.0
            error.retry_after_seconds = min(seconds, _LONGEST_RETRY_AFTER)
        return error


def _packed(body: Any, key: str | None) -> tuple[bytes | None, dict[str, str]]:
    headers = {"Idempotency-Key": key} if key else {}
    if body is None:
        return None, headers
    headers["Content-Type"] = "application/json"
    data = json.encode(body)
    if len(data) >= _COMPRESS_FROM:
        headers["Content-Encoding"] = "gzip"
        data = gzip.compress(data, compresslevel=1, mtime=0)
    return data, headers


def _pool(host: str, at_once: int) -> urllib3.PoolManager:
    """Make the pool, through the proxy that the environment names for this host, if it does.

    Whose certificates are trusted is the system's to say, or the file in `SSL_CERT_FILE`.

    Raises:
        ConfigError: the proxy's address is not fit.
    """
    parts = urlsplit(host)
    proxies = getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if not proxy or is_on_loopback(host) or proxy_bypass(parts.netloc):
        return urllib3.PoolManager(maxsize=at_once, block=True)
    try:
        secret = urllib3.util.parse_url(proxy).auth
        headers = urllib3.make_headers(proxy_basic_auth=unquote(secret)) if secret else None
        return urllib3.ProxyManager(proxy, proxy_headers=headers, maxsize=at_once, block=True)
    except (HTTPError, ValueError):
        # Not the address: it may hold a password.
        raise ConfigError("the proxy that the environment names has no fit address") from None
