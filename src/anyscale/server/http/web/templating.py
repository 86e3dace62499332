"""Pages for people: templates, the files that they load, and what a browser may do with them."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from litestar import Request, Response, get
from litestar.datastructures import Cookie
from litestar.params import FromPath, FromQuery

from anyscale.errors import NotFound

__all__ = ["HANDLERS", "redirect", "rendered", "wants_page"]

_HERE = Path(__file__).parent

_KINDS = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}

#: name -> content
_ASSETS = {path.name: path.read_bytes() for path in (_HERE / "assets").iterdir()}

#: name -> what stands for its content in addresses
_VERSIONS = {name: hashlib.sha256(data).hexdigest()[:12] for name, data in _ASSETS.items()}

#: A page loads its own style and pictures, sends forms home, and no other site shows it. What is
#: not named here loads nothing.
_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)


def _asset(name: str) -> str:
    """Give the address of an asset; another content has another one."""
    return f"/assets/{name}?v={_VERSIONS[name]}"


_templates = Environment(
    loader=FileSystemLoader(_HERE / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_templates.globals["asset"] = _asset


def rendered(
    template: str,
    /,
    *,
    status: int = 200,
    cookies: Sequence[Cookie] = (),
    headers: dict[str, str] | None = None,
    script: bool = False,
    **words: Any,
) -> Response[str]:
    """Make a page.

    Args:
        template: its name, without the ending.
        status: of the answer.
        cookies: for the browser.
        headers: of the answer, besides those that every page has.
        script: whether the page has a use for our script.
        words: what the template asks for.
    """
    policy = f"{_POLICY}; script-src 'self'" if script else _POLICY
    text = _templates.get_template(f"{template}.html").render(script=script, **words)
    return Response(
        text,
        status_code=status,
        media_type="text/html",
        headers={"Content-Security-Policy": policy, **(headers or {})},
        cookies=list(cookies),
    )


def redirect(to: str, *cookies: Cookie) -> Response[str]:
    """Send a browser on, to be asked for by GET (RFC 9110, 15.4.4).

    Args:
        to: a path that stands in this code; never one that a request brings along.
        cookies: for the browser.
    """
    return Response(
        "",
        status_code=303,
        media_type="text/plain",
        headers={"Location": to},
        cookies=list(cookies),
    )


def wants_page(request: Request[Any, Any, Any]) -> bool:
    """Say whether it is a person with a browser who reads the answer."""
    accepted = request.headers.get("accept", "")
    return "text/html" in accepted and not request.scope["path"].startswith("/v1/")


@get("/assets/{name:str}", include_in_schema=False, sync_to_thread=False)
def asset(name: FromPath[str], v: FromQuery[str] = "") -> Response[bytes]:
    if name not in _ASSETS:
        raise NotFound("there is no such file")
    # While servers of two versions answer, a page of one may be given the file of the other, which
    # then must not be kept under this address.
    kept = "public, max-age=31536000, immutable" if v == _VERSIONS[name] else "no-cache"
    return Response(
        _ASSETS[name],
        media_type=_KINDS[Path(name).suffix],
        headers={"Cache-Control": kept},
    )


HANDLERS = [asset]
