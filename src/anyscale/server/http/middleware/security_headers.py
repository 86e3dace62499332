"""Headers of every response that limit what browsers do with it."""

from litestar.connection import ASGIConnection
from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from anyscale.domain.schemas.protocol import API, IDENTITY
from anyscale.server.http.cookies import AUTHORIZATION, read_cookie
from anyscale.server.paths import LINK_PAGE

Headers = list[tuple[bytes, bytes]]

#: A response is not stored, runs nothing and is shown on no other site, unless its handler sets
#: another value. `same-origin` and not `no-referrer`: with that, browsers send no `Origin` with our
#: own forms (Fetch, 3.2).
_HEADERS: Headers = [
    (IDENTITY.lower().encode(), API.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (
        b"content-security-policy",
        b"default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
]

_OPENER = b"cross-origin-opener-policy"

#: What a popup passes in which the user of an application signs in or out. With `same-origin`, it
#: would lose the page of the application that opened it and waits for it.
_OF_POPUPS = ("/oauth2/", "/sign-in", "/password", LINK_PAGE, "/sso/")

#: For a year, browsers use only TLS (RFC 6797, 6.1). Without subdomains, which others may run.
_TLS_ONLY = (b"strict-transport-security", b"max-age=31536000")


class SecurityHeadersMiddleware(ASGIMiddleware):
    """Adds security headers, and the version of the API, to every response.

    With `tls_only`, users reach the server only by TLS, whatever a proxy in front says.
    """

    scopes: tuple[ScopeType, ...] = (ScopeType.HTTP,)

    def __init__(self, *, tls_only: bool) -> None:
        self._tls_only = tls_only

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        by_tls = self._tls_only or scope["scheme"] == "https"
        defaults = [*_HEADERS, (_OPENER, _opener_policy(scope))]
        if by_tls:
            defaults.append(_TLS_ONLY)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                names = {name.lower() for name, _ in message["headers"]}
                missing = (header for header in defaults if header[0] not in names)
                message["headers"] = [*message["headers"], *missing]
            await send(message)

        await next_app(scope, receive, send_with_headers)


def _opener_policy(scope: Scope) -> bytes:
    """Return the policy for the page that has opened this one, if another site has."""
    path = scope["path"]
    if not path.startswith(_OF_POPUPS):
        return b"same-origin"
    # Only a browser in which an application waits has the cookie; its first request has none yet.
    waits = path.startswith("/oauth2/") or read_cookie(ASGIConnection(scope), AUTHORIZATION)
    return b"unsafe-none" if waits else b"same-origin"
