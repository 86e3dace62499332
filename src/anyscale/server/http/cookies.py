"""The cookies of a browser: its session, and the device that accounts know it by.

All have the prefix `__Host-` (RFC 6265bis, 4.1.3.2): browsers accept them only from this host and
only over TLS, and send them to no other host. Loopback counts as secure.
"""

import re

from litestar.datastructures import Cookie

from anyscale.server.core.login.half_sign_in import HALF_LIMIT
from anyscale.server.core.login.sessions import ClientInfo, LoginResult
from anyscale.server.core.secrets import new_secret
from anyscale.server.core.session_lifetime import ABSOLUTE_LIMIT, DEVICE_LIMIT
from anyscale.server.core.time_units import HOUR_MS, SECOND_MS
from anyscale.server.http.dependencies import Connection

SESSION = "__Host-session"
DEVICE = "__Host-device"

#: half a sign-in: see `core.login.half_sign_in`
HALF_SIGN_IN = "__Host-second-factor"

#: binds the stored requests of applications to the browser
AUTHORIZATION = "__Host-authorization"

#: tells browsers apart before anybody has signed in
BROWSER = "__Host-browser"

_HOUR = HOUR_MS // SECOND_MS

#: What may surround a name or a value in the header `Cookie` (RFC 6265, 4.2.1 and 5.2).
_BLANK = b" \t"

#: A secret of ours: 256 bits in base64url.
_SECRET = re.compile("[0-9A-Za-z_-]{43}")


def read_cookie(connection: Connection, name: str) -> str:
    """Return the value of a cookie; an empty text if there is none, or more than one of this name.

    Names are compared octet by octet. A parser that strips more than blanks, or takes one of two
    cookies, lets a sibling host override a `__Host-` cookie: browsers accept a name that begins
    with the octet A0 from it ("Cookie Chaos", PortSwigger 2025). So this is the only function that
    reads cookies; a test forbids the framework's parser.
    """
    wanted = name.encode()
    values = [
        value.strip(_BLANK)
        for header, text in connection.scope["headers"]
        if header == b"cookie"
        for key, _, value in (pair.partition(b"=") for pair in text.split(b";"))
        if key.strip(_BLANK) == wanted
    ]
    return values[0].decode("latin-1") if len(values) == 1 else ""


class HostCookie(Cookie):
    """A cookie that no script can read, and that no request of another site sends."""

    def __init__(self, name: str, value: str, seconds: int) -> None:
        super().__init__(name, value=value, max_age=seconds, secure=True, httponly=True)

    def to_encoded_header(self) -> tuple[bytes, bytes]:
        # The framework's header is the same, and takes 40 us by a `SimpleCookie`; this takes 0.6.
        attributes = f"HttpOnly; Max-Age={self.max_age}; Path=/; SameSite=lax; Secure"
        value = self.value or '""'  # as the framework writes it; none of ours needs quotes
        return b"set-cookie", f"{self.key}={value}; {attributes}".encode()


def browser_cookie(connection: Connection) -> HostCookie:
    """Return a cookie with the secret to which the sign-in page binds passkeys: `value`."""
    secret = read_cookie(connection, BROWSER)
    return HostCookie(BROWSER, secret if _SECRET.fullmatch(secret) else new_secret(), _HOUR)


def expired_cookie(name: str) -> Cookie:
    """Create a cookie that makes a browser delete the one of this name."""
    return HostCookie(name, "", 0)


def login_cookies(login: LoginResult) -> list[Cookie]:
    return [
        HostCookie(SESSION, login.session, ABSOLUTE_LIMIT // SECOND_MS),
        HostCookie(DEVICE, login.device, DEVICE_LIMIT // SECOND_MS),
    ]


def half_cookie(value: str) -> Cookie:
    return HostCookie(HALF_SIGN_IN, value, HALF_LIMIT // SECOND_MS)


def client_info(connection: Connection) -> ClientInfo:
    """Return the client of a request: its address, its user agent and its cookies."""
    device = read_cookie(connection, DEVICE)
    return ClientInfo(
        address=connection.client.host if connection.client else "",
        agent=connection.headers.get("user-agent", ""),
        device=device if _SECRET.fullmatch(device) else "",
        session=read_cookie(connection, SESSION),
    )
