"""The address and the scheme of the client, from the headers of a trusted proxy."""

import logging
from typing import Any

from litestar.types import ASGIApp, Receive, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from anyscale.domain.urls import is_address

_log = logging.getLogger("anyscale.server")


class ClientAddressMiddleware:
    """Applies `X-Forwarded-Proto`, and `X-Forwarded-For` only if it is an IP address.

    uvicorn accepts any text, so a client could send a new text with each guess and escape the rate
    limits of sign-ins.

    Args:
        app: the next application.
        trusted_proxies: addresses and networks with commas between, or `*`.
    """

    def __init__(self, app: ASGIApp, trusted_proxies: str) -> None:
        self._app = app
        self._has_warned = False
        self._proxy_headers: Any = ProxyHeadersMiddleware(self._check_address, trusted_proxies)  # type: ignore[arg-type]  # uvicorn has ASGI types of its own

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        scope["peer"] = scope.get("client")
        if not self._has_warned:
            self._warn_of_untrusted_proxy(scope)
        await self._proxy_headers(scope, receive, send)

    def _warn_of_untrusted_proxy(self, scope: Any) -> None:
        """Log once that a header is ignored: behind a proxy, all users then have one address."""
        peer = scope["peer"]
        names = (name for name, _ in scope.get("headers", ()))
        if (
            peer
            and peer[0] not in self._proxy_headers.trusted_hosts
            and b"x-forwarded-for" in names
        ):
            self._has_warned = True
            _log.warning(
                "X-Forwarded-For is ignored: list your proxy in FORWARDED_ALLOW_IPS",
                extra={"address": peer[0]},
            )

    async def _check_address(self, scope: Any, receive: Receive, send: Send) -> None:
        client, peer = scope.get("client"), scope["peer"]
        if client != peer and not is_address(client[0]):
            scope["client"] = peer
        await self._app(scope, receive, send)
