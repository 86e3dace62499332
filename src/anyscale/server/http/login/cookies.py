"""The cookies of a browser: its session, and that it has signed in before.

`__Host-` (RFC 6265bis, 4.1.3.2): the browser takes them from this host alone, over TLS alone, and
sends them nowhere else. Loopback counts as safe.
"""

import re

from litestar.datastructures import Cookie

from anyscale.server.core.login.password_login import LoginResult
from anyscale.server.core.login.sessions import ABSOLUTE_LIMIT, DEVICE_LIMIT, ClientInfo
from anyscale.server.http.dependencies import Connection

__all__ = ["DEVICE", "SESSION", "browser_of", "cookies_of", "gone", "host_cookie"]

SESSION = "__Host-session"
DEVICE = "__Host-device"

_SECOND = 1000

#: what stands in a header as it is
_PLAIN = re.compile("[0-9A-Za-z_-]*")


class _HostCookie(Cookie):
    """One whose header is put together at once: the library's way takes a tenth of a sign-in."""

    def to_encoded_header(self) -> tuple[bytes, bytes]:
        secret = self.value or ""
        if not _PLAIN.fullmatch(secret):  # none of ours is like that
            return super().to_encoded_header()
        told = (
            f"{self.key}={secret}; HttpOnly; Max-Age={self.max_age}; Path=/; SameSite=lax; Secure"
        )
        return b"set-cookie", told.encode()


def host_cookie(name: str, secret: str, seconds: int) -> Cookie:
    """Make a cookie that no script reads and no other site's form brings along."""
    return _HostCookie(
        key=name,
        value=secret,
        max_age=seconds,
        path="/",
        secure=True,
        httponly=True,
        samesite="lax",
    )


def cookies_of(signed_in: LoginResult) -> list[Cookie]:
    """Give what a browser keeps that signed in."""
    return [
        host_cookie(SESSION, signed_in.session, ABSOLUTE_LIMIT // _SECOND),
        host_cookie(DEVICE, signed_in.device, DEVICE_LIMIT // _SECOND),
    ]


def gone(name: str) -> Cookie:
    """Make a browser forget a cookie."""
    return host_cookie(name, "", 0)


def browser_of(connection: Connection) -> ClientInfo:
    """Say from where a request comes."""
    device = connection.cookies.get(DEVICE, "")
    return ClientInfo(
        address=connection.client.host if connection.client else "",
        agent=connection.headers.get("user-agent", ""),
        device=device if _PLAIN.fullmatch(device) else "",
        session=connection.cookies.get(SESSION, ""),
    )
