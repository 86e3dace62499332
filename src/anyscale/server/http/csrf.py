"""Requests that change something come from our own pages, or from no page at all.

A browser sends the session's cookie with whatever another site makes it send, if it is one of the
same registrable domain. What a browser says about who made a request, no page can change: these are
forbidden header names (Fetch, 2.2.2).
"""

from urllib.parse import urlsplit

from litestar.handlers import BaseRouteHandler

from anyscale.errors import CsrfRejected
from anyscale.server.http.api.authentication import note
from anyscale.server.http.dependencies import Connection

__all__ = ["same_origin_only"]

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})

#: `none` is the person: an address typed, a bookmark.
_OURS = frozenset({"same-origin", "none"})


async def same_origin_only(connection: Connection, _: BaseRouteHandler) -> None:
    """Let pass what another site's page cannot have sent.

    Raises:
        CsrfRejected: it may be from such a page.
    """
    method = connection.scope["method"]  # type: ignore[typeddict-item]  # there are no WebSockets
    if method in _SAFE or _carries_token(connection):
        return
    site = connection.headers.get("sec-fetch-site")
    origin = connection.headers.get("origin")
    # Neither is sent by what is no browser, and by browsers from before 2020 with a form: those
    # heed SameSite.
    passes = site in _OURS if site else origin is None or _is_here(origin, connection)
    if not passes:
        error = CsrfRejected("a page of another site may not make this call")
        await note(connection, error)
        raise error


def _carries_token(connection: Connection) -> bool:
    # No browser adds a bearer token by itself, as it does with cookies and `Basic`.
    return connection.headers.get("authorization", "").lower().startswith("bearer ")


def _is_here(origin: str, connection: Connection) -> bool:
    try:
        there = urlsplit(origin).netloc
    except ValueError:
        return False
    return bool(there) and there.lower() == connection.headers.get("host", "").lower()
