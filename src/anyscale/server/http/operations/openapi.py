"""/openapi.json and /docs: the OpenAPI document, and the same as an HTML page."""

import copy
from typing import Any

import msgspec
from litestar import Litestar, Response, get
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme

from anyscale import __version__
from anyscale.domain.models.applications import ApplicationChanges, NewApplication
from anyscale.domain.schemas.applications import SecretRotation
from anyscale.domain.schemas.batches import (
    BatchCreate,
    BatchOpen,
    BatchPublish,
    BatchUndo,
    LookUp,
    PasswordChunk,
    UserChunk,
)
from anyscale.domain.schemas.mail import MailLinks
from anyscale.domain.schemas.users import (
    EmailChanges,
    FindUsers,
    Restoration,
    RoleSet,
    SecondFactorReset,
    SetPasswordLinks,
    Suspension,
    SyncAnswers,
    UserUpdate,
)
from anyscale.server.http.account.schemas import (
    ChangePasswordRequest,
    ConfirmAppRequest,
    CreateTokenRequest,
)
from anyscale.server.http.cookies import SESSION
from anyscale.server.http.dependencies import AnyRequest
from anyscale.server.http.login.schemas import (
    LoginRequest,
    SecondFactorRequest,
    SetPasswordRequest,
)
from anyscale.server.http.web.templating import render_page
from anyscale.server.login_options import LoginOptions

#: The bodies that handlers decode themselves: to report all problems at once, or in a thread.
_BODIES: dict[str, type[msgspec.Struct]] = {
    "createUsers": BatchCreate,
    "findUsers": FindUsers,
    "lookUpUsers": LookUp,
    "reserveChunk": UserChunk,
    "hashPasswords": PasswordChunk,
    "createSetPasswordLinks": SetPasswordLinks,
    "mailSetPasswordLinks": MailLinks,
    "updateUser": UserUpdate,
    "changeEmails": EmailChanges,
    "answerQuestions": SyncAnswers,
    "suspendUser": Suspension,
    "resetSecondFactor": SecondFactorReset,
    "restoreUser": Restoration,
    "signIn": LoginRequest,
    "completeSignIn": SecondFactorRequest,
    "setPassword": SetPasswordRequest,
    "changePassword": ChangePasswordRequest,
    "createMyToken": CreateTokenRequest,
    "confirmMyApp": ConfirmAppRequest,
    "openBatch": BatchOpen,
    "publishBatch": BatchPublish,
    "undoBatch": BatchUndo,
    "setUserRole": RoleSet,
    "createApplication": NewApplication,
    "updateApplication": ApplicationChanges,
    "rotateApplicationSecret": SecretRotation,
}

#: the calls whose body may be empty
_OPTIONAL = frozenset({"suspendUser", "restoreUser"})

_DESCRIPTION = """The API of a control plane. Administrators create accounts, all or none of a
batch, at any size; they authenticate by the token of an owner, or of a reader, which changes
nothing. Users sign in and manage their own account; they authenticate by the session cookie. Calls
of administrators can be repeated, and their bodies can be compressed by gzip. A call of a user that
changes something is refused if a page of another site makes it. HEAD is supported wherever GET is.
Errors are problem documents (RFC 9457) with a `code`."""


def openapi_config() -> OpenAPIConfig:
    """Return the title, the description and the security schemes of the document."""
    token = SecurityScheme(type="http", scheme="bearer", description="A token: `mrt_...`.")
    session = SecurityScheme(
        type="apiKey", name=SESSION, security_scheme_in="cookie", description="A user's session."
    )
    return OpenAPIConfig(
        title="musterroll control plane",
        version=__version__,
        description=_DESCRIPTION,
        components=Components(security_schemes={"token": token, "session": session}),
        path="/docs/raw",
        render_plugins=[JsonRenderPlugin()],
    )


@get(
    "/openapi.json",
    operation_id="openapi",
    summary="Get this document.",
    tags=["operations"],
    sync_to_thread=False,
)
def get_document(request: AnyRequest) -> dict[str, Any]:
    return _document(request.app)


@get("/docs", include_in_schema=False, sync_to_thread=False)
def get_page(request: AnyRequest, login_options: NamedDependency[LoginOptions]) -> Response[str]:
    state = request.app.state
    if "openapi_page" not in state:
        document = _document(request.app)
        state["openapi_page"] = render_page(
            "openapi",
            options=login_options,
            document=document,
            bodies=lambda schema: _names(document["components"]["schemas"], schema),
        )
    page: Response[str] = state["openapi_page"]
    return page


def _names(schemas: dict[str, Any], schema: dict[str, Any]) -> list[str]:
    """List the types of a body with fields: its own, and those within it."""
    names: list[str] = []
    waiting = [schema]
    while waiting:
        part = waiting.pop(0)
        name = str(part.get("$ref", "")).rpartition("/")[2]
        if name and name not in names and "properties" in schemas.get(name, {}):
            names.append(name)
            waiting += schemas[name]["properties"].values()
        waiting += [*part.get("anyOf", ()), *part.get("oneOf", ())]
        if isinstance(part.get("items"), dict):
            waiting.append(part["items"])
    return names


def _document(app: Litestar) -> dict[str, Any]:
    if "openapi_document" not in app.state:
        app.state["openapi_document"] = _with_bodies(app.openapi_schema.to_schema())
    return dict(app.state["openapi_document"])


def _with_bodies(schema: dict[str, Any]) -> dict[str, Any]:
    """Add the bodies that the framework does not know, since handlers decode them."""
    document = copy.deepcopy(schema)
    references, schemas = msgspec.json.schema_components(
        _BODIES.values(), ref_template="#/components/schemas/{name}"
    )
    document["components"]["schemas"] |= {name: _generated(part) for name, part in schemas.items()}
    bodies = dict(zip(_BODIES, references, strict=True))
    operations = (item for path in document["paths"].values() for item in path.values())
    for operation in operations:
        name = operation["operationId"]
        if body := bodies.get(name):
            content = {"application/json": {"schema": body}}
            operation["requestBody"] = {"required": name not in _OPTIONAL, "content": content}
    return document


def _generated(schema: Any) -> Any:
    """Return a schema without `"items": false`, beside which tuples have `maxItems`.

    It is valid, but openapi-python-client reads no document that has it.
    """
    if isinstance(schema, list):
        return [_generated(part) for part in schema]
    if isinstance(schema, dict):
        parts = schema.items()
        return {name: _generated(part) for name, part in parts if (name, part) != ("items", False)}
    return schema


HANDLERS: list[HTTPRouteHandler] = [get_document, get_page]
