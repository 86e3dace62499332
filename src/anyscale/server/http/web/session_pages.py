"""The router of the pages of signed-in users; other browsers are redirected to the sign-in page."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from litestar import Response, Router
from litestar.types import ControllerRouterHandler

from anyscale.errors import AnyscaleError, NotAuthenticated
from anyscale.server.core.permissions import Permission
from anyscale.server.core.steps import Step
from anyscale.server.http.authentication import (
    PERMISSION,
    RECORD_DENIALS,
    SESSION_AUTHENTICATION,
    require_permission,
)
from anyscale.server.http.bodies import SMALL_BODY
from anyscale.server.http.cookies import SESSION, read_cookie
from anyscale.server.http.dependencies import AnyRequest
from anyscale.server.http.web.kept_forms import (
    may_keep_form,
    own_page,
    restore_form,
    return_path,
    send_form_again,
)
from anyscale.server.http.web.templating import accepts_page, redirect

#: what the user of a session has to do first -> the page for it
STEP_PAGES: Mapping[Step | None, str] = {
    Step.PASSWORD: "/password",
    Step.SECOND_FACTOR: "/account/second-factor",
}


def session_pages(
    handlers: Sequence[ControllerRouterHandler],
    path: str = "/",
    permission: Permission | None = None,
    exception_handlers: Mapping[Any, Any] | None = None,
) -> Router:
    """Create a router whose requests need the cookie of a session, and perhaps a permission.

    The user of a session with a pending step is redirected to its page.
    `exception_handlers` are those of its pages besides the redirects to sign in.
    """
    return Router(
        path,
        route_handlers=handlers,
        guards=[*([require_permission] if permission else []), restore_form],
        middleware=[SESSION_AUTHENTICATION],
        # A session that has expired is not an incident.
        opt={RECORD_DENIALS: False, **({PERMISSION: permission} if permission else {})},
        exception_handlers={
            NotAuthenticated: _to_sign_in,
            **{step.error: _to_page_of(step) for step in Step},
            **(exception_handlers or {}),
        },
        include_in_schema=False,
        request_max_body_size=SMALL_BODY,
    )


def _to_sign_in(request: AnyRequest, _: NotAuthenticated) -> Response[str]:
    """Redirect to the sign-in page, from which the user comes back."""
    path = own_page(return_path(request))
    if may_keep_form(request):
        return send_form_again(path)
    query = {"note": "session_expired"} if read_cookie(request, SESSION) else {}
    if path not in ("", "/") and accepts_page(request):
        query["to"] = path
    return redirect(f"/sign-in?{urlencode(query)}".rstrip("?"))


def _to_page_of(step: Step) -> Callable[[AnyRequest, AnyscaleError], Response[str]]:
    return lambda _, __: redirect(STEP_PAGES[step])
