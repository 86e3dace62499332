"""Cross-site request forgery: a request that changes something comes from our own pages.

A page of another host of the same site can send a request with the session's cookie, whatever
`SameSite` says. The browser adds `Sec-Fetch-Site` or `Origin`, which name the page that sent it,
and no page can change these headers (Fetch, 2.2.2).
"""

from urllib.parse import urlsplit

from litestar.connection import ASGIConnection
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Receive, Scope, Send

from anyscale.errors import CsrfRejected
from anyscale.server.http.authentication import IGNORES_COOKIES, authenticator_of
from anyscale.server.http.dependencies import Connection

__all__ = ["CsrfMiddleware"]

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})

#: `none`: the user typed the address or opened a bookmark.
_OURS = frozenset({"same-origin", "none"})


class CsrfMiddleware(ASGIMiddleware):
    """Refuses requests that a page of another origin may have sent."""

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        connection: Connection = ASGIConnection(scope)
        if not _is_allowed(connection):
            error = CsrfRejected("a page of another site may not make this call")
            await authenticator_of(connection).record_denial(connection, error)
            raise error
        await next_app(scope, receive, send)


def _is_allowed(connection: Connection) -> bool:
    if connection.scope["method"] in _SAFE or _has_token(connection):  # type: ignore[typeddict-item]  # there are no WebSockets
        return True
    if site := connection.headers.get("sec-fetch-site"):
        return site in _OURS
    # Clients that are no browsers send neither header. Browsers from before 2020 may not send them
    # either; there, `SameSite` protects the users.
    origin = connection.headers.get("origin")
    return origin is None or _is_this_host(origin, connection)


def _has_token(connection: Connection) -> bool:
    # A browser adds cookies and `Basic` credentials by itself, but no bearer token.
    is_sent = connection.headers.get("authorization", "").lower().startswith("bearer ")
    return is_sent and IGNORES_COOKIES in connection.route_handler.opt


def _is_this_host(origin: str, connection: Connection) -> bool:
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    # TLS may end at a proxy that does not say so.
    has_scheme = parts.scheme in ("https", connection.scope["scheme"])
    host = parts.netloc.lower()
    return has_scheme and bool(host) and host == connection.headers.get("host", "").lower()
