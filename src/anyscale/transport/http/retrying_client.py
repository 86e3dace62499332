"""An HTTP client that repeats a request until the control plane has responded."""

import gzip
import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, TypeVar
from urllib.parse import unquote, urlencode, urlsplit
from urllib.request import getproxies, proxy_bypass

import urllib3
from msgspec import json
from urllib3.exceptions import HTTPError

from anyscale import __version__
from anyscale.domain.struct_types import examine_structs
from anyscale.domain.urls import is_on_loopback
from anyscale.errors import (
    AnyscaleError,
    ConfigError,
    NotAControlPlane,
    NotAuthenticated,
    NotFound,
    Overloaded,
    Unavailable,
    VersionMismatch,
)
from anyscale.transport.base import Outage
from anyscale.transport.http.concurrency_limit import AdaptiveLimit
from anyscale.transport.http.outage_reporter import OutageReporter
from anyscale.transport.http.responses import (
    Response,
    decoded,
    error_of,
    read_response,
    unreachable,
)
from anyscale.transport.http.retry_policy import (
    FIRST_PATIENCE,
    LONGEST_RETRY_AFTER,
    PATIENCE,
    RetryState,
)

Kind = TypeVar("Kind")

#: Statuses of a control plane, or of a proxy in front of one, that restarts or waits for its
#: database. So the address is right.
_RESTARTING = frozenset(
    {HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT}
)

#: Reading times out at half of the patience, so that the call is repeated, and ends with it.
_READ_SECONDS = 50.0
_CONNECT_SECONDS = 10.0

#: seconds that the last attempt of a call gets at least, though the patience ends sooner
_SHORTEST_ATTEMPT = 1.0

#: octets of a body from which on it may be compressed
_COMPRESS_FROM = 1024


class RetryingClient:
    """The requests to one control plane; threads share it.

    Args:
        host: the address of the control plane.
        token: of the caller.
        at_once: requests at a time, at most.
        on_notice, on_outage: see `open_transport`.
        token_source: where the token comes from, for the message if it is refused.
    """

    def __init__(
        self,
        host: str,
        token: str,
        at_once: int,
        on_notice: Callable[[str], None],
        on_outage: Callable[[Outage], None] = lambda _: None,
        *,
        token_source: str = "",
    ) -> None:
        examine_structs()  # those of requests and responses
        self.host = host
        self._outages = OutageReporter(host, self._seconds_of_call, on_notice, on_outage)
        self._headers = {
            "Authorization": f"Bearer {token}",
            "User-Agent": f"musterroll/{__version__}",
            "Accept-Encoding": "gzip",
        }
        self._token_source = token_source
        self._pool = _pool(host, at_once)
        self._limit = AdaptiveLimit(at_once)
        self._patience = FIRST_PATIENCE
        self._cancelled = threading.Event()
        #: how often a call without a response was repeated so far; of two at once it may count one
        self.retries: int = 0
        #: whether anything at the address has responded by HTTP, be it a proxy
        self._has_responded = False

    def close(self) -> None:
        """Close the connections."""
        self._outages.close()
        self._pool.clear()

    def request(
        self,
        kind: type[Kind],
        method: str,
        path: str,
        body: Any = None,
        *,
        key: str | None = None,
        changes: bool | None = None,
        compress: bool = True,
        **query: Any,
    ) -> Kind:
        """Make a call; repeat it while that may help. Repeating it changes nothing more.

        `kind` is the type of the response, and `key` the idempotency key. `changes` tells whether
        the call may change something; by default every method but GET may. `compress` tells whether
        a long body is compressed.

        Raises:
            AnyscaleError: the one that the control plane returned, or why there is no response.
        """
        url = f"{self.host}{path}" + (f"?{urlencode(query)}" if query else "")
        data, headers = _encoded(body, key, compress=compress)
        changes = method != "GET" if changes is None else changes
        state = RetryState(self._cancelled)
        while True:
            try:
                with self._outages.attempt(state):
                    response = self._send(state, method, url, data, headers, changes=changes)
                return decoded(self.host, response, kind)
            except (Unavailable, Overloaded) as error:
                failed_at = time.monotonic()
                state.outcome_unknown |= isinstance(error, Unavailable) and error.outcome_unknown
                if not state.wait(error, self._patience):
                    raise state.given_up(error) from None
                if isinstance(error, Unavailable):
                    self.retries += 1
                    self._outages.report_retry(error, failed_at, state)
            except AnyscaleError as error:
                if isinstance(error, NotAControlPlane | VersionMismatch):
                    # There was a response, but it does not tell the outcome of the call.
                    state.outcome_unknown |= changes
                if isinstance(error, NotFound) and method == "DELETE" and state.outcome_unknown:
                    return kind()  # the attempt whose response was lost has deleted it
                raise state.final_error(error) from None

    def cancel_retries(self) -> None:
        """Make the calls fail that wait for their next attempt; later calls wait again."""
        self._cancelled.set()
        self._cancelled = threading.Event()

    def _seconds_of_call(self) -> float:
        # The only attempt of the first call may take longer than that call would be repeated.
        return max(self._patience, _READ_SECONDS)

    def _timeout(self, state: RetryState) -> urllib3.Timeout:
        remaining = max(_SHORTEST_ATTEMPT, state.remaining(self._seconds_of_call()))
        return urllib3.Timeout(total=remaining, connect=_CONNECT_SECONDS, read=_READ_SECONDS)

    def _send(
        self,
        state: RetryState,
        method: str,
        url: str,
        data: bytes | None,
        headers: dict[str, str],
        *,
        changes: bool,
    ) -> Response:
        with self._limit.slot():
            state.got_response = False
            try:
                streamed = self._pool.request(
                    method,
                    url,
                    body=data,
                    headers=self._headers | headers,
                    retries=False,
                    redirect=False,
                    timeout=self._timeout(state),
                    preload_content=False,
                )
                self._has_responded = True
                response = read_response(self.host, streamed)
                state.got_response = True
            except HTTPError as error:
                raise unreachable(
                    self.host, error, outcome_unknown=changes, has_responded=self._has_responded
                ) from None
        if response.status >= HTTPStatus.MULTIPLE_CHOICES:  # all that is not a success
            raise self._error(response, changes=changes)
        self._patience = PATIENCE
        self._outages.note_success()
        self._limit.increase()
        return response

    def _error(self, response: Response, *, changes: bool) -> Exception:
        error = error_of(self.host, response, outcome_unknown=changes)
        if isinstance(error, NotAuthenticated) and self._token_source:
            error.args = (f"{error}. The token for {self.host} is from {self._token_source}",)
        if response.status in _RESTARTING:
            self._patience = PATIENCE
        if isinstance(error, Overloaded):
            self._patience = PATIENCE  # the control plane exists, though it is busy
            self._limit.decrease()
            retry_after = response.headers.get("retry-after", "")
            seconds = float(retry_after) if retry_after.isdecimal() else 0.0
            error.retry_after_seconds = min(seconds, LONGEST_RETRY_AFTER)
        return error


def _encoded(body: Any, key: str | None, *, compress: bool) -> tuple[bytes | None, dict[str, str]]:
    headers = {"Idempotency-Key": key} if key else {}
    if body is None:
        return None, headers
    headers["Content-Type"] = "application/json"
    data = json.encode(body)
    if compress and len(data) >= _COMPRESS_FROM:
        headers["Content-Encoding"] = "gzip"
        data = gzip.compress(data, compresslevel=1, mtime=0)
    return data, headers


def _pool(host: str, at_once: int) -> urllib3.PoolManager:
    """Create the connection pool, through the proxy that the environment names for the host.

    The system decides which certificates are trusted, or the file that `SSL_CERT_FILE` names.
    """
    parts = urlsplit(host)
    proxies = getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if not proxy or is_on_loopback(host) or proxy_bypass(parts.netloc):
        return urllib3.PoolManager(maxsize=at_once, block=True)
    try:
        credentials = urllib3.util.parse_url(proxy).auth
        headers = (
            urllib3.make_headers(proxy_basic_auth=unquote(credentials)) if credentials else None
        )
        return urllib3.ProxyManager(proxy, proxy_headers=headers, maxsize=at_once, block=True)
    except (HTTPError, ValueError):
        # The message leaves out the address, which may contain a password.
        raise ConfigError("the proxy URL of the environment is not valid") from None
