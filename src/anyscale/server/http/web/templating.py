"""HTML pages from Jinja templates, the files that they load, and redirects."""

import hashlib
import re
from collections.abc import MutableMapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from jinja2.ext import Extension
from litestar import Response, get
from litestar.datastructures import Cookie
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery

from anyscale.domain.names import full_name
from anyscale.domain.phrases import quantity
from anyscale.domain.times import duration_in_words, from_milliseconds
from anyscale.errors import NotFound
from anyscale.server.http.dependencies import AnyRequest
from anyscale.server.http.web.forms import new_form_key
from anyscale.server.http.web.kept_forms import restored_note, typed, was_chosen
from anyscale.server.login_options import LoginOptions
from anyscale.server.logo import LOGO_ASSET

_FOLDER = Path(__file__).parent

_MEDIA_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}

#: name -> content
_ASSETS = {path.name: path.read_bytes() for path in (_FOLDER / "assets").iterdir()}

#: name -> digest, which is part of the address
_VERSIONS = {name: hashlib.sha256(data).hexdigest()[:12] for name, data in _ASSETS.items()}

#: A page loads only our style sheet and pictures, and is in no frame. What follows a form stays on
#: this server: a page without a form leads to other sites (`leave_page.py`).
_CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; frame-ancestors 'none'"
    "; form-action 'self'"
)

#: An SVG logo that is opened by itself is a document of this server: it runs nothing, and loads
#: nothing.
_LOGO_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; sandbox"


def _asset(name: str) -> str:
    """Return the address of an asset, which changes with its content."""
    return f"/assets/{name}?v={_VERSIONS[name]}"


#: the start of an element with a text that means something only as it is: of people, or code
_AS_IT_IS = re.compile(r'<(?:bdi|code|pre|output)\b|<\w+(?= class="(?:[\w-]+ )*code[ "])')


class _NotTranslated(Extension):
    """Keeps browsers from translating names, emails, ids and secrets, in each template."""

    def preprocess(self, source: str, *_: object) -> str:
        """Return the source of a template with the attribute `translate`."""
        return _AS_IT_IS.sub(r"\g<0> translate=no", source)


class _Environment(Environment):
    """An environment whose templates have its globals, and none of their own."""

    def make_globals(self, d: MutableMapping[str, Any] | None) -> MutableMapping[str, Any]:
        """Return the globals of a template: each import compares them, quicker in a `dict`."""
        return {**self.globals, **(d or {})}


_templates = _Environment(
    loader=FileSystemLoader(_FOLDER / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    auto_reload=False,  # a server's templates do not change: no page looks at their files
    trim_blocks=True,
    lstrip_blocks=True,
    extensions=[_NotTranslated],
)
_templates.filters["asset"] = _asset  # computed once if the name is a literal
_templates.filters["number"] = "{:,}".format  # with thousands separators
_templates.filters["as_json"] = lambda value: msgspec.json.encode(value).decode()
_templates.globals.update(
    quantity=quantity,
    duration_in_words=duration_in_words,
    from_milliseconds=from_milliseconds,
    full_name=full_name,
    new_form_key=new_form_key,
    restored_note=restored_note,
    typed=typed,
    was_chosen=was_chosen,
)


def render_page(
    template: str,
    /,
    *,
    options: LoginOptions | None,
    status: int = 200,
    headers: dict[str, str] | None = None,
    script: bool = False,
    modules: Sequence[str] = (),
    problem: str = "",
    **values: Any,
) -> Response[str]:
    """Render the template of a page, which loads our script or not.

    `modules` are the names of ES modules that the page loads, and that may call this server.
    `options` has the name of the organization: None where it is not known.
    """
    policy = [_CONTENT_SECURITY_POLICY]
    if script or modules:
        policy.append("script-src 'self'")
    if modules:
        policy.append("connect-src 'self'")
    return Response(
        _templates.get_template(f"{template}.html").render(
            options=options, script=script, modules=modules, problem=problem, **values
        ),
        status_code=status,
        media_type="text/html",
        headers={"Content-Security-Policy": "; ".join(policy), **(headers or {})},
    )


def redirect(url: str, *cookies: Cookie) -> Response[str]:
    """Redirect a browser with 303, so that it sends GET (RFC 9110, 15.4.4).

    The URL is that of a page of ours, of the identity provider or of an application, which has
    registered it. A path from a request was checked or signed before.
    """
    headers = {"Location": url}
    return Response("", status_code=303, media_type="text/plain", headers=headers, cookies=cookies)


def accepts_page(request: AnyRequest) -> bool:
    """Whether the client is a browser that shows the response to a user."""
    accepted = request.headers.get("accept", "")
    return "text/html" in accepted and not request.scope["path"].startswith("/v1/")


@get(LOGO_ASSET, include_in_schema=False, sync_to_thread=False)
def get_logo(
    login_options: NamedDependency[LoginOptions], v: FromQuery[str] = ""
) -> Response[bytes]:
    logo = login_options.logo
    if logo is None:
        raise NotFound("there is no such file")
    headers = _cached(is_current=v == logo.version) | {"Content-Security-Policy": _LOGO_POLICY}
    return Response(logo.content, media_type=logo.media_type, headers=headers)


@get("/assets/{name:str}", include_in_schema=False, sync_to_thread=False)
def get_asset(name: FromPath[str], v: FromQuery[str] = "") -> Response[bytes]:
    if name not in _ASSETS:
        raise NotFound("there is no such file")
    headers = _cached(is_current=v == _VERSIONS[name])
    return Response(_ASSETS[name], media_type=_MEDIA_TYPES[Path(name).suffix], headers=headers)


def _cached(*, is_current: bool) -> dict[str, str]:
    # During an upgrade, a page of one version may load the file of the other one, which must not
    # be cached under this address.
    cache = "public, max-age=31536000, immutable" if is_current else "no-cache"
    return {"Cache-Control": cache}


HANDLERS = [get_asset, get_logo]
