"""Asking an identity provider over HTTP: no answer is waited for, or read, without a limit."""

import asyncio
import ssl
from collections.abc import Mapping
from functools import cache

import httpx
from msgspec import Struct

from anyscale.errors import ProviderUnavailable
from anyscale.urls import is_on_loopback

__all__ = ["Answer", "get", "post"]

#: Octets of an answer at most. Metadata and key sets have some thousands.
_MOST_OCTETS = 256 * 1024

#: for all of it, from the name's look-up to the last octet
_SECONDS = 10.0

#: What is not compressed cannot grow.
_HEADERS = {"Accept": "application/json", "Accept-Encoding": "identity"}


class Answer(Struct, frozen=True):
    """What was answered."""

    status: int
    body: bytes

    def __repr__(self) -> str:
        return f"Answer({self.status})"


def get(url: str) -> Answer:
    """Ask for a document.

    Raises:
        ProviderUnavailable: no answer came in time, or one that is too large or points elsewhere.
    """
    return _asked(httpx.Request("GET", url, headers=_HEADERS))


def post(url: str, form: Mapping[str, str], headers: Mapping[str, str]) -> Answer:
    """Send a form.

    Raises:
        ProviderUnavailable: likewise.
    """
    return _asked(httpx.Request("POST", url, data=form, headers={**_HEADERS, **headers}))


def _asked(request: httpx.Request) -> Answer:
    try:
        # In a loop of its own, since what is cut off there ends at once, wherever it waits.
        return asyncio.run(_within(_SECONDS, request))
    except TimeoutError:
        raise ProviderUnavailable(f"{_named(request)} took over {_SECONDS:.0f} seconds") from None
    except httpx.ConnectError as error:  # nothing was sent yet that its text could hold
        raise ProviderUnavailable(f"{_named(request)} cannot be reached: {error}") from None
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        kind = type(error).__name__
        raise ProviderUnavailable(f"{_named(request)} cannot be asked: {kind}") from None


async def _within(seconds: float, request: httpx.Request) -> Answer:
    # A proxy that the environment names is for hosts elsewhere.
    by_proxy = not is_on_loopback(str(request.url))
    client = httpx.AsyncClient(verify=_trusted(), trust_env=by_proxy, timeout=seconds)
    async with asyncio.timeout(seconds), client:
        answer = await client.send(request, stream=True, follow_redirects=False)
        try:
            return Answer(answer.status_code, await _body(answer))
        finally:
            await answer.aclose()


@cache
def _trusted() -> ssl.SSLContext:
    """Trust whom this machine trusts, or `SSL_CERT_FILE`."""
    return ssl.create_default_context()


async def _body(answer: httpx.Response) -> bytes:
    if answer.has_redirect_location:
        raise ProviderUnavailable(f"{_named(answer.request)} points elsewhere")
    if answer.headers.get("content-encoding", "identity") != "identity":
        raise ProviderUnavailable(f"{_named(answer.request)} answers compressed, unasked")
    body = b""
    async for piece in answer.aiter_raw():
        body += piece
        if len(body) > _MOST_OCTETS:
            raise ProviderUnavailable(f"{_named(answer.request)} answers too much")
    return body


def _named(request: httpx.Request) -> str:
    # Without a query, which might be a secret's.
    return str(request.url.copy_with(query=None))
