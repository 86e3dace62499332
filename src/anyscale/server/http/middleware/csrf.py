"""Cross-site request forgery: the rule of a route for the requests of pages of other sites.

A page of another host of the same site can send a request with the session's cookie, whatever
`SameSite` says. The browser adds `Sec-Fetch-Site` or `Origin`, which name the page that sent it,
and no page can change these headers (Fetch, 2.2.2).

A route names its rule as an option, `opt={CSRF_RULE: csrf_exempt}`. By default it is `same_origin`.
"""

from collections.abc import Callable
from urllib.parse import urlsplit

from litestar.connection import ASGIConnection
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Receive, Scope, Send

from anyscale.errors import CsrfRejected
from anyscale.server.http.authentication import authenticator_of
from anyscale.server.http.dependencies import Connection

#: Returns whether a request is allowed.
CsrfRule = Callable[[Connection], bool]

#: the option of a route (`opt`) for its rule
CSRF_RULE = "csrf_rule"

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})

#: `none`: the user typed the address or opened a bookmark.
_OURS = frozenset({"same-origin", "none"})


class CsrfMiddleware(ASGIMiddleware):
    """Refuses requests that the rule of their route does not allow."""

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        connection: Connection = ASGIConnection(scope)
        rule: CsrfRule = connection.route_handler.opt.get(CSRF_RULE, same_origin)
        if not rule(connection):
            error = CsrfRejected("a page of another site may not make this call")
            await authenticator_of(connection).record_denial(connection, error)
            raise error
        await next_app(scope, receive, send)


def same_origin(connection: Connection) -> bool:
    """Allow what only reads, what our own pages send, and what no browser sends."""
    if connection.scope["method"] in _SAFE:  # type: ignore[typeddict-item]  # there are no WebSockets
        return True
    if site := connection.headers.get("sec-fetch-site"):
        return site in _OURS
    # Clients that are not browsers send neither header. Browsers from before 2020 may not send them
    # either; there, `SameSite` protects the users.
    origin = connection.headers.get("origin")
    return origin is None or _is_this_host(origin, connection)


def csrf_exempt(_: Connection) -> bool:
    """Allow all requests, of a route that reads no cookie.

    Browsers add cookies and `Basic` credentials to a request by themselves, but no bearer token.
    """
    return True


def _is_this_host(origin: str, connection: Connection) -> bool:
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    # TLS may end at a proxy that does not say so.
    has_scheme = parts.scheme in ("https", connection.scope["scheme"])
    host = parts.netloc.lower()
    return has_scheme and bool(host) and host == connection.headers.get("host", "").lower()
