"""A session whose user has to do a step first opens only the routes that name the step."""

import re
from pathlib import Path

from litestar import Litestar
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute
from tests.support.callers import OPERATOR
from tests.support.servers.control_planes import new_control_plane
from tests.support.servers.http_client import HttpClient, HttpResponse
from tests.support.servers.reused_routes import routes_of
from tests.support.servers.server_in_process import serve_in_process
from tests.support.users import create_accounts, find_accounts

from anyscale.server.core.steps import Step
from anyscale.server.http.authentication import ALLOWED_STEPS

#: what a user may do before the initial password is changed
ALLOWED = {
    "GET /v1/me",
    "PUT /v1/me/password",
    "DELETE /v1/sessions/current",
    "GET /password",
    "POST /password",
}

#: what needs no session: to sign in and out, for applications (which authenticate themselves, or
#: start a sign-in), for operators, and files
WITHOUT_SESSION = {
    "POST /v1/sessions",
    "POST /v1/sessions/second-factor",
    "POST /v1/passwords",
    *("GET /sign-in", "POST /sign-in", "POST /sign-in/form", "POST /sign-out"),
    "POST /sign-in/passkey",
    *("GET /sign-in/second-factor", "POST /sign-in/second-factor"),
    *("GET /set-password", "POST /set-password"),
    *("GET /forgot-password", "POST /forgot-password"),
    *("GET /sso/start", "GET /sso/callback"),
    *("GET /oauth2/authorize", "POST /oauth2/authorize", "GET /oauth2/continue"),
    *("GET /oauth2/logout", "POST /oauth2/logout"),
    *("GET /oauth2/logout/confirm", "POST /oauth2/logout/confirm"),
    *("POST /oauth2/token", "POST /oauth2/revoke", "GET /oauth2/jwks"),
    *("GET /oauth2/userinfo", "POST /oauth2/userinfo"),
    "GET /.well-known/oauth-authorization-server",
    "GET /.well-known/openid-configuration",
    *("GET /healthz", "GET /readyz", "GET /metrics"),
    *("GET /received-request", "POST /v1/batches/check"),
    *("GET /openapi.json", "GET /docs", "GET /assets/{name}"),
    *("GET /docs/raw", "GET /docs/raw/openapi.json", "GET /docs/raw/{path}"),
}


def every_route(routes: Litestar) -> dict[tuple[str, str], HTTPRouteHandler]:
    """Return the handler of each method and path."""
    found: dict[tuple[str, str], HTTPRouteHandler] = {}
    for route in routes.routes:
        assert isinstance(route, HTTPRoute)
        for handler in route.route_handlers:
            for method in handler.http_methods - {"OPTIONS"}:
                found[method, route.path_format] = handler
    return found


def is_refused(path: str, answer: HttpResponse) -> bool:
    if path.startswith("/v1/"):  # those of administrators take no session at all
        codes = {401: "not_authenticated", 403: "password_change_needed"}
        return answer.status in codes and answer.json["code"] == codes[answer.status]
    return answer.status == 303 and answer.headers["Location"] == "/password"


def test_an_initial_password_opens_only_the_routes_that_change_it(tmp_path: Path) -> None:
    control_plane = new_control_plane(tmp_path)
    create_accounts(control_plane, "jane")
    [jane] = find_accounts(control_plane, email="jane@example.com")
    control_plane.lifecycle.set_role(jane.user_id, "owner", OPERATOR)
    opened, naming_it = set(), set()
    with serve_in_process(control_plane) as url:
        browser = HttpClient(url)
        browser.sign_in()
        for (method, path), handler in every_route(routes_of(control_plane)).items():
            if Step.PASSWORD in handler.opt.get(ALLOWED_STEPS, ()):
                naming_it.add(f"{method} {path}")
            if not is_refused(path, browser.request(method, re.sub(r"{\w+}", "1", path))):
                opened.add(f"{method} {path}")
                browser.sign_in()  # it may have ended the session

    assert opened == ALLOWED | WITHOUT_SESSION
    # The core would refuse some calls without the middleware.
    assert naming_it == ALLOWED | {"GET /sign-in"}
