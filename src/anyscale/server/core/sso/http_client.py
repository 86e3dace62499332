"""HTTP requests to an identity provider, limited in time and size.

httpx limits the time of each operation, and not of a request: a server that sends an octet every
nine seconds keeps a synchronous client without end. An event loop of its own, for each request, can
cancel the request wherever it waits. Requests are few: two for a sign-in. httpx is loaded by the
first one: a server without an identity provider starts without it.
"""

import asyncio
import ssl
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING

from anyscale.certificates import certificate_advice
from anyscale.domain.urls import is_on_loopback
from anyscale.errors import ProviderUnavailable
from anyscale.server.core.secrets import SensitiveStruct

if TYPE_CHECKING:
    import httpx

#: Octets of a response. Metadata and key sets have some thousands.
_MAX_OCTETS = 256 * 1024

#: for the whole request, from the lookup of the host to the last octet
_SECONDS = 10.0

#: Without compression, so that the size limit is one of the memory, too.
_HEADERS = {"Accept": "application/json", "Accept-Encoding": "identity"}


class HttpResponse(SensitiveStruct, frozen=True):
    """A response."""

    status: int
    body: bytes
    #: the header `Date`; empty without it
    date: str = ""


def get(url: str) -> HttpResponse:
    """Send GET. Raises `ProviderUnavailable` without a response in time and within the limits."""
    return _send("GET", url, {})


def post(url: str, form: Mapping[str, str], headers: Mapping[str, str]) -> HttpResponse:
    """Send a form by POST, and raise as `get` does."""
    return _send("POST", url, headers, form)


def _send(
    method: str, url: str, headers: Mapping[str, str], form: Mapping[str, str] | None = None
) -> HttpResponse:
    import httpx

    request = httpx.Request(method, url, headers={**_HEADERS, **headers}, data=form)
    try:
        return asyncio.run(_send_within(_SECONDS, request))
    except TimeoutError:
        raise ProviderUnavailable(f"{_name(request)} took over {_SECONDS:.0f} seconds") from None
    except httpx.ConnectError as error:  # before the request was sent: the text has none of it
        raise ProviderUnavailable(f"{_name(request)} cannot be reached: {_reason(error)}") from None
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        kind = type(error).__name__
        raise ProviderUnavailable(f"the request to {_name(request)} failed: {kind}") from None


def _reason(error: "httpx.ConnectError") -> str:
    """Return why no connection was opened, and what to do about a certificate."""
    cause: BaseException | None = error
    while cause:
        if isinstance(cause, ssl.SSLCertVerificationError):
            reason = f"its certificate is not trusted ({cause.verify_message})"
            return f"{reason}; {certificate_advice(cause)}"
        cause = cause.__cause__ or cause.__context__
    return str(error)


async def _send_within(seconds: float, request: "httpx.Request") -> HttpResponse:
    import httpx

    # The proxy of the environment is for other hosts.
    use_proxy = not is_on_loopback(str(request.url))
    client = httpx.AsyncClient(verify=_trusted_ca(), trust_env=use_proxy, timeout=seconds)
    async with asyncio.timeout(seconds), client:
        response = await client.send(request, stream=True, follow_redirects=False)
        try:
            date = response.headers.get("date", "")
            return HttpResponse(response.status_code, await _read(response), date)
        finally:
            await response.aclose()


@cache
def _trusted_ca() -> ssl.SSLContext:
    """Trust the certificate authorities of this machine, or those of `SSL_CERT_FILE`."""
    return ssl.create_default_context()


async def _read(response: "httpx.Response") -> bytes:
    if response.has_redirect_location:
        raise ProviderUnavailable(f"{_name(response.request)} responds with a redirect")
    if response.headers.get("content-encoding", "identity") != "identity":
        raise ProviderUnavailable(f"{_name(response.request)} responds with a compressed body")
    body = b""
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > _MAX_OCTETS:
            raise ProviderUnavailable(f"{_name(response.request)} responds with too much")
    return body


def _name(request: "httpx.Request") -> str:
    # Without the query, which may have a secret.
    return str(request.url.copy_with(query=None))
