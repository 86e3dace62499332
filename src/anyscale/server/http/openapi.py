"""The OpenAPI document of the control plane, for machines and as a page for people."""

import copy
from html import escape
from typing import Any

import msgspec
from litestar import Litestar, Request, Response, get
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme

from anyscale import __version__
from anyscale.api_schemas import BatchCreate, LookUp, PasswordChunk, SetPasswordLinks, UserChunk
from anyscale.server.http.cookies import SESSION
from anyscale.server.http.login.schemas import (
    ChangePasswordRequest,
    CreateTokenRequest,
    LoginRequest,
    SetPasswordRequest,
)

__all__ = ["HANDLERS", "document_of"]

#: The calls that read their bodies themselves: to name all problems at once, or as they are large.
_BODIES: dict[str, type[msgspec.Struct]] = {
    "createUsers": BatchCreate,
    "lookUpUsers": LookUp,
    "claimChunk": UserChunk,
    "hashPasswords": PasswordChunk,
    "createSetPasswordLinks": SetPasswordLinks,
    "signIn": LoginRequest,
    "setPassword": SetPasswordRequest,
    "changePassword": ChangePasswordRequest,
    "createMyToken": CreateTokenRequest,
}

_DESCRIPTION = """Create user accounts: whole or nothing, at any size, through any crash.
An owner's calls need a token and can be repeated; their bodies may be compressed with gzip. People
sign in for themselves, and are known by the cookie of their session; a call of theirs that changes
something is refused where a browser says that a page of another site makes it. HEAD is answered
like GET, without the body. Errors are problem documents (RFC 9457) with a `code`."""


def document_of() -> OpenAPIConfig:
    """Say what the document begins with; the calls tell the rest."""
    token = SecurityScheme(type="http", scheme="bearer", description="`mrt_...`, of an owner.")
    session = SecurityScheme(
        type="apiKey", name=SESSION, security_scheme_in="cookie", description="Of a sign-in."
    )
    return OpenAPIConfig(
        title="musterroll control plane",
        version=__version__,
        description=_DESCRIPTION,
        components=Components(security_schemes={"token": token, "session": session}),
        path="/docs/raw",
        render_plugins=[JsonRenderPlugin()],
    )


def _document(app: Litestar) -> dict[str, Any]:
    """Give the document, which is put together once."""
    if "document" not in app.state:
        app.state["document"] = _made(app)
        app.state["page"] = _page(app.state["document"])
    return dict(app.state["document"])


def _made(app: Litestar) -> dict[str, Any]:
    document = copy.deepcopy(app.openapi_schema.to_schema())
    refs, schemas = msgspec.json.schema_components(
        _BODIES.values(), ref_template="#/components/schemas/{name}"
    )
    document["components"]["schemas"] |= schemas
    bodies = dict(zip(_BODIES, refs, strict=True))
    for operation in (one for item in document["paths"].values() for one in item.values()):
        if schema := bodies.get(operation["operationId"]):
            content = {"application/json": {"schema": schema}}
            operation["requestBody"] = {"required": True, "content": content}
    return document


@get(
    "/openapi.json",
    operation_id="openapi",
    summary="This document.",
    tags=["operations"],
    sync_to_thread=False,
)
def openapi(request: Request[Any, Any, Any]) -> dict[str, Any]:
    return _document(request.app)


@get("/docs", include_in_schema=False, sync_to_thread=False)
def page(request: Request[Any, Any, Any]) -> Response[str]:
    _document(request.app)
    return Response(request.app.state["page"], media_type="text/html")


def _page(document: dict[str, Any]) -> str:
    """Write the document as a page that loads nothing from elsewhere."""
    calls = [
        _call(method.upper(), path, operation)
        for path, item in document["paths"].items()
        for method, operation in item.items()
    ]
    info = document["info"]
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{escape(info['title'])}</title>"
        f"<h1>{escape(info['title'])} {escape(info['version'])}</h1>"
        f"<p>{escape(info['description'])}</p>"
        '<p>For machines: <a href="/openapi.json">/openapi.json</a></p>'
        f"{''.join(calls)}</html>\n"
    )


def _call(method: str, path: str, operation: dict[str, Any]) -> str:
    parameters = operation.get("parameters") or []
    takes = [
        f"<li><code>{escape(one['name'])}</code> ({escape(one['in'])}) "
        f"{escape(one.get('description', ''))}</li>"
        for one in parameters
    ]
    if body := operation.get("requestBody"):
        (content,) = body["content"].values()
        takes.append(f"<li>body: <code>{escape(_named(content['schema']))}</code></li>")
    answers = ", ".join(
        f"{status} {escape(answer.get('description', ''))}"
        for status, answer in operation["responses"].items()
    )
    return (
        f"<h2><code>{method} {escape(path)}</code></h2>"
        f"<p>{escape(operation.get('summary', ''))}</p><ul>{''.join(takes)}</ul>"
        f"<p>Answers: {answers}.</p>"
    )


def _named(schema: dict[str, Any]) -> str:
    return str(schema.get("$ref", "")).rpartition("/")[2] or str(schema.get("type", "any"))


HANDLERS: list[HTTPRouteHandler] = [openapi, page]
