"""Steps that wait for the network: the limit of their time, and HTTP requests.

The responses show what a proxy or an identity provider does.
"""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, wait
from contextlib import closing, suppress
from email.utils import parsedate_to_datetime
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlsplit

from anyscale.certificates import certificate_advice
from anyscale.interruptible_wait import interruptible_wait

Value = TypeVar("Value")

#: for each step, from the lookup of a name to the last octet
SECONDS = 10.0

_MAX_OCTETS = 1 << 20


class NoResponse(Exception):
    """No response came. The text is the reason."""


class TlsFailed(NoResponse):
    """There is no TLS, or the certificate is not trusted."""

    def __init__(self, reason: str, advice: str) -> None:
        super().__init__(reason)
        #: what to do
        self.advice: str = advice


class Response(NamedTuple):
    """A response to a request."""

    status: int
    #: by their names in lower case
    headers: Mapping[str, str]
    body: bytes = b""


def within_time(step: Callable[[], Value]) -> Value:
    """Return what a step returns, or raise what it raises; Ctrl-C ends the wait at once.

    The step runs in a thread that the end of the process does not wait for: no timeout of a socket
    limits the lookup of a name.

    Raises:
        TimeoutError: it took longer than `SECONDS`.
    """
    outcome: Future[Value] = Future()

    def run() -> None:
        try:
            outcome.set_result(step())
        except BaseException as error:  # noqa: BLE001 - `result` raises it in the caller's thread
            outcome.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    if not interruptible_wait(lambda seconds: wait([outcome], seconds).done, SECONDS):
        raise TimeoutError(f"it took over {SECONDS:.0f} seconds")
    return outcome.result()


def get(url: str, headers: Mapping[str, str] | None = None) -> Response:
    """Send GET, follow no redirect, and return the response.

    Raises:
        NoResponse: none came in time.
    """

    def step() -> Response:
        with closing(_connection(url)) as connection:
            parts = urlsplit(url)
            target = f"{parts.path}?{parts.query}" if parts.query else parts.path
            connection.request("GET", target, headers=dict(headers or {}))
            response = connection.getresponse()
            headers_received = _lower(response.getheaders())
            return Response(response.status, headers_received, response.read(_MAX_OCTETS))

    return _limited(step)


def send_body(url: str, octets: int, headers: Mapping[str, str]) -> Response:
    """Send POST with a body of zeros, and return the response.

    Raises:
        NoResponse: none came in time.
    """

    def step() -> Response:
        with closing(_connection(url)) as connection:
            connection.connect()
            with suppress(ConnectionError):  # the receiver may respond before it has the body
                connection.request("POST", urlsplit(url).path, bytes(octets), dict(headers))
            response = connection.getresponse()
            headers_received = _lower(response.getheaders())
            return Response(response.status, headers_received, response.read(_MAX_OCTETS))

    return _limited(step)


def announce_body(url: str, octets: int) -> Response:
    """Announce a body by `Expect: 100-continue` (RFC 9110, 10.1.1), and do not send it.

    Returns:
        The first response; status 100 asks for the body.

    Raises:
        NoResponse: none came in time: the receiver waits for the body.
    """

    def step() -> Response:
        with closing(_connection(url)) as connection:
            connection.putrequest("POST", urlsplit(url).path)
            connection.putheader("Content-Length", str(octets))
            connection.putheader("Content-Type", "application/json")
            connection.putheader("Expect", "100-continue")
            connection.endheaders()
            # Not `getresponse`, which waits for the response after status 100.
            head = b""
            while b"\r\n\r\n" not in head and (part := connection.sock.recv(65_536)):
                head += part
            return _parsed(head)

    return _limited(step)


def get_certificate_end(url: str) -> float:
    """Return when the certificate of an `https://` URL expires, in seconds since 1970.

    Raises:
        TlsFailed: there is no TLS, or the certificate is not trusted.
        NoResponse: no connection can be opened.
    """

    def step() -> float:
        with closing(_connection(url)) as connection:
            connection.connect()
            assert isinstance(connection.sock, ssl.SSLSocket)
            certificate: Any = connection.sock.getpeercert()
            return ssl.cert_time_to_seconds(certificate["notAfter"])

    return _limited(step)


def skew_of(date: str | None) -> float | None:
    """Return by how many seconds a header `Date` is ahead of this machine's clock.

    None without a valid header. The header has whole seconds.
    """
    try:
        skew = parsedate_to_datetime(date or "").timestamp() + 0.5 - time.time()
    except (ValueError, OverflowError):  # the year may have any number of digits
        return None
    return 0.0 if abs(skew) < 1 else skew


def _connection(url: str) -> HTTPConnection:
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme == "https":
        # Trusts what this machine trusts, or `SSL_CERT_FILE`, as the client does.
        context = ssl.create_default_context()
        return HTTPSConnection(host, parts.port, timeout=SECONDS, context=context)
    return HTTPConnection(host, parts.port, timeout=SECONDS)


def _limited(step: Callable[[], Value]) -> Value:
    try:
        return within_time(step)
    except ssl.SSLCertVerificationError as error:
        reason = f"its certificate is not trusted: {error.verify_message}"
        raise TlsFailed(reason, certificate_advice(error)) from None
    except ssl.SSLError as error:
        advice = "correct the address, or let the proxy serve it with TLS"
        raise TlsFailed(f"TLS failed: {error.reason or error}", advice) from None
    except socket.gaierror as error:
        raise NoResponse(f"its name cannot be resolved: {error.strerror}") from None
    except TimeoutError:
        raise NoResponse(f"no response came within {SECONDS:.0f} seconds") from None
    except OSError as error:
        raise NoResponse(error.strerror or type(error).__name__) from None
    except (HTTPException, ValueError) as error:
        raise NoResponse(f"the response is not HTTP ({type(error).__name__})") from None


def _parsed(head: bytes) -> Response:
    """Parse a status line and headers (RFC 9112, 4 and 5)."""
    line, *fields = head.decode("latin-1").split("\r\n")
    pairs = (field.split(":", 1) for field in fields if ":" in field)
    _, status, *_ = line.split(" ")  # raises ValueError if it is not a status line
    return Response(int(status), _lower((pair[0], pair[1].strip()) for pair in pairs))


def _lower(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers}
