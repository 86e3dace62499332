"""What a user typed into a form that needed a sign-in first.

A signed cookie keeps the fields, without secrets, while the user signs in. The page of the form
then shows them again: nothing is done before the user has looked at them. The address of that page
has the mark `restored`, so that a later visit shows an empty form.
"""

import re
import zlib
from contextvars import ContextVar
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

import msgspec
from litestar import Response
from litestar.datastructures import Cookie
from litestar.handlers import BaseRouteHandler
from litestar.routes import HTTPRoute

from anyscale.server.core.signer import derive_key, sign, unsign
from anyscale.server.http.bodies import SMALL_BODY
from anyscale.server.http.cookies import DEVICE, HostCookie, read_cookie
from anyscale.server.http.dependencies import AnyRequest, Connection
from anyscale.server.http.web.forms import is_form, read_pairs
from anyscale.server.paths import KEEP_FORM

COOKIE = "__Host-form"

#: seconds that a user has to sign in
_SECONDS = 900

#: characters of a cookie that browsers and proxies take, besides the others
_LONGEST = 3_500

_NOTE = "You are signed in again. Nothing was changed before: look at the page, and send it again."

#: the parameter of the page that shows the fields again
_MARK = "restored"

#: Fields that are never kept: secrets, and the key of a form, since its page has a new one.
_LEFT_OUT = {
    "password",
    "current",
    "new",
    "again",
    "link",
    "form_key",
    "code",
    "recovery_code",
    "passkey",
}

#: An address of ours after a sign-in: no other host, and no page that does something.
_OWN_PAGE = re.compile(
    r"/(password|(account|console)(/(?!\.|%2e)[\w.~%-]+)*)?(\?[\w.~%&=+*-]*)?",
    re.ASCII | re.IGNORECASE,
)

#: the fields that the page of this request shows again; None on other pages
_typed: ContextVar[dict[str, str] | None] = ContextVar("typed", default=None)


def keep_fields(request: AnyRequest, body: bytes, path: str) -> tuple[str, list[Cookie]]:
    """Return the address where the user of a form continues, and the cookie with its fields.

    Selected accounts are in the address, as on the page that asks. Fields that are too long for a
    cookie are lost.

    Raises:
        RequestInvalid: the body is not that of a form.
    """
    pairs = read_pairs(request, body)
    query = [pair for pair in pairs if pair[0] == "user_id"] + [(_MARK, "yes")]
    fields = {name: text for name, text in pairs if name not in {*_LEFT_OUT, "user_id"}}
    content = zlib.compress(msgspec.json.encode((path.partition("?")[0], fields)), 9)
    value = sign(_key(request), content)
    kept = value if len(value) <= _LONGEST else ""
    address = f"{path}{'&' if '?' in path else '?'}{urlencode(query)}"
    return address, [HostCookie(COOKIE, kept, _SECONDS)]


def _kept_fields(connection: Connection) -> dict[str, str]:
    """Return the fields that the cookie has for a page; none if it is for another one."""
    try:
        packed = unsign(_key(connection), read_cookie(connection, COOKIE))
        content = zlib.decompressobj().decompress(packed, SMALL_BODY)
        path, fields = msgspec.json.decode(content, type=tuple[str, dict[str, str]])
    except (ValueError, zlib.error, msgspec.MsgspecError):
        return {}
    return fields if path == connection.scope["path"] else {}


def _key(connection: Connection) -> bytes:
    """Return the key of a browser: its user may know it."""
    return derive_key(read_cookie(connection, DEVICE), "kept form")


def send_form_again(to: str, **query: str) -> Response[str]:
    """Let the browser send a form again, to `KEEP_FORM` (307; RFC 9110, 15.4.8).

    The answer to an error cannot read a form.
    """
    headers = {"Location": f"{KEEP_FORM}?{urlencode({'to': to} | query)}"}
    return Response("", status_code=307, media_type="text/plain", headers=headers)


def may_keep_form(request: AnyRequest) -> bool:
    """Whether a request is a form without a file, of a browser that has signed in before."""
    return request.method == "POST" and is_form(request) and bool(read_cookie(request, DEVICE))


def return_path(connection: Connection) -> str:
    """Return the address of the page of a request: of a form, that of the page that has it.

    It is composed from our own routes, so it never leads to another host.
    """
    scope: Any = connection.scope
    template: str = scope["path_template"]
    pages = {
        route.path_format
        for route in connection.app.routes
        if isinstance(route, HTTPRoute) and "GET" in route.methods
    }
    is_own_page = template in pages
    while template not in pages:
        template = template.rpartition("/")[0] or "/"
    # The rest of a path, as in `/console/{rest:path}`, begins with a slash.
    values = {name: str(value).removeprefix("/") for name, value in scope["path_params"].items()}
    parameters = {name: quote(value, safe="") for name, value in values.items()}
    path = template.format(**parameters)
    query = urlencode(parse_qsl(scope["query_string"].decode("ascii", "replace")))
    return f"{path}?{query}" if query and is_own_page else path


def own_page(address: str) -> str:
    """Return an address where a user continues after a sign-in; empty for any other."""
    return address if _OWN_PAGE.fullmatch(address) else ""


async def restore_form(connection: Connection, _: BaseRouteHandler) -> None:
    """Let the page of this request show the fields that its user has typed before."""
    scope: Any = connection.scope
    if scope["method"] != "GET" or _MARK not in connection.query_params:
        return
    _typed.set(_kept_fields(connection))


def restored_note() -> str:
    """Return the note of a page to which its user comes back after a sign-in; else empty."""
    return "" if _typed.get() is None else _NOTE


def typed(name: str, value: str) -> str:
    """Return what the user has typed into a field before; else `value`."""
    return (_typed.get() or {}).get(name, value)


def was_chosen(name: str, value: str, chosen: object) -> bool:
    """Return whether the user has chosen a value of a box before; else whether it is `chosen`."""
    fields = _typed.get()
    return fields.get(name) == value if fields else bool(chosen)
