"""Refuses requests that a proxy in front of the server may understand in another way than we do.

If `/metrics/` or `/%6detrics` were served as `/metrics`, they would pass the rule of a proxy that
blocks `/metrics`.
"""

import re
from typing import Any
from urllib.parse import urlsplit

from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Receive, Scope, Send

from anyscale.domain.schemas.received_request import RECEIVED_BODY_PATH, RECEIVED_REQUEST_PATH
from anyscale.domain.urls import is_address, is_loopback_host
from anyscale.errors import AnyscaleError, NotFound, RequestInvalid
from anyscale.server.http.errors import send_refusal

#: Segments of RFC 3986, 3.3, none of them empty or a dot segment. An escaped character is neither
#: an unreserved one (2.3), which means the same as the character itself, nor a slash.
_CANONICAL = re.compile(
    rb"""
    / | (?: / (?! \.{1,2} (?: / | \Z ) )
        (?: [a-z0-9._~!$&'()*+,;=:@-]
          | % (?! 2[def] | 3[0-9] | 4[1-9a-f] | 5[0-9af] | 6[1-9a-f] | 7[0-9ae] ) [0-9a-f]{2}
        )+ )+
    """,
    re.VERBOSE | re.IGNORECASE,
)

#: Health checks may use any name of a server; they tell nothing. The operator's check reads which
#: name a proxy has put into the header.
_ANY_HOST = frozenset({"/healthz", "/readyz", RECEIVED_REQUEST_PATH, RECEIVED_BODY_PATH})


class RequestCheckMiddleware(ASGIMiddleware):
    """Refuses a path that is not canonical, NUL, a body with two lengths, and an unknown host.

    Args:
        public_url: the address where users reach the server; None if it is not set.
    """

    scopes: tuple[ScopeType, ...] = (ScopeType.HTTP,)

    def __init__(self, public_url: str | None) -> None:
        self._public_host = urlsplit(public_url).hostname if public_url else None

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        if error := self._fault(scope):
            await send_refusal(error, scope, receive, send)
        else:
            await next_app(scope, receive, send)

    def _fault(self, scope: Any) -> AnyscaleError | None:
        headers = dict(scope["headers"])
        if not is_canonical(scope["raw_path"]):
            return NotFound("there is nothing at this path, which is not in its canonical form")
        if b"%00" in scope["raw_path"] + scope["query_string"]:
            return RequestInvalid("a NUL character is part of no name, email or id")
        if b"transfer-encoding" in headers and b"content-length" in headers:
            # A smuggled request may follow (RFC 9112, 6.1).
            return RequestInvalid("a body has Content-Length or Transfer-Encoding, not both")
        if scope["path"] not in _ANY_HOST and not self._is_ours(headers.get(b"host", b""), scope):
            return RequestInvalid(
                "the control plane does not know the host name of this request: where it runs, set "
                "ANYSCALE_PUBLIC_URL to the address that clients use"
            )
        return None

    def _is_ours(self, host: bytes, scope: Any) -> bool:
        """Return whether the header `Host` names this server.

        A page of another site can let its name be resolved to an address of this server (DNS
        rebinding). It cannot do so with an IP address or with `localhost`.
        """
        name = _name_of(host)
        if name in (self._public_host, "localhost", "") or is_address(name):
            return True
        # Without a public address, other machines may reach it by any name.
        return self._public_host is None and not is_loopback_host((scope["server"] or ("",))[0])


def is_canonical(raw_path: bytes) -> bool:
    """Return whether no other path of a request can mean the same as this one."""
    return _CANONICAL.fullmatch(raw_path) is not None


def _name_of(host: bytes) -> str:
    try:
        return (urlsplit(b"//" + host).hostname or b"").decode()
    except ValueError:
        return "?"
