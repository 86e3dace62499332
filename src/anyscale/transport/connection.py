"""Asking a control plane over HTTP, and again until it has answered."""

import gzip
import time
from typing import Any, TypeVar
from urllib.parse import urlencode, urlsplit
from urllib.request import getproxies, proxy_bypass

import urllib3
from msgspec import json
from urllib3.exceptions import HTTPError

from anyscale import __version__
from anyscale.errors import ConfigError, Overloaded, Unavailable
from anyscale.transport.answers import decoded, error_of, unreachable
from anyscale.transport.pace import Pace

__all__ = ["Connection"]

Kind = TypeVar("Kind")

#: Seconds for which a call that gets no answer is repeated. A server restarts in less.
_PATIENCE = 60.0

#: The same for the first call of all: whoever mistyped the address does not want to wait.
_FIRST_PATIENCE = 2.0

#: The same while the control plane says that it has too much to do: it works, if not for us.
_BUSY_PATIENCE = 1800.0

_FIRST_PAUSE, _LONGEST_PAUSE = 0.25, 5.0

_LONGEST_RETRY_AFTER = 60.0

_TIMEOUT = urllib3.Timeout(connect=10, read=60)

#: octets of a body from which on it is compressed
_COMPRESS_FROM = 1024


class Connection:
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
        self._pace = Pace(at_once)
        self._patience = _FIRST_PATIENCE

    def __repr__(self) -> str:
        return f"Connection({self._host!r})"

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
        begun_at, pause, begun = time.monotonic(), _FIRST_PAUSE, False
        while True:
            try:
                answer = self._once(method, url, data, headers, changes=changes)
                return decoded(self._host, answer, kind)
            except (Unavailable, Overloaded) as error:
                # Once it may have arrived, what became of it is not known, whatever fails later.
                begun = begun or (isinstance(error, Unavailable) and error.begun)
                if isinstance(error, Unavailable):
                    error.begun = begun
                wait = max(pause, getattr(error, "retry_after_seconds", 0))
                if time.monotonic() + wait - begun_at > self._patience_with(error):
                    raise
            time.sleep(wait)
            pause = min(pause * 2, _LONGEST_PAUSE)

    def _patience_with(self, error: Exception) -> float:
        return _BUSY_PATIENCE if isinstance(error, Overloaded) else self._patience

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
        if answer.status >= 300:  # noqa: PLR2004 - what is not a success
            raise self._refusal(answer, changes=changes)
        self._patience = _PATIENCE
        self._pace.answered()
        return answer

    def _refusal(self, answer: urllib3.BaseHTTPResponse, *, changes: bool) -> Exception:
        error = error_of(self._host, answer, begun=changes)
        if isinstance(error, Overloaded):
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
    if not proxy or proxy_bypass(parts.netloc):
        return urllib3.PoolManager(maxsize=at_once, block=True)
    try:
        secret = urllib3.util.parse_url(proxy).auth
        headers = urllib3.make_headers(proxy_basic_auth=secret) if secret else None
        return urllib3.ProxyManager(proxy, proxy_headers=headers, maxsize=at_once, block=True)
    except (HTTPError, ValueError):
        # Not the address: it may hold a password.
        raise ConfigError("the proxy that the environment names has no fit address") from None
