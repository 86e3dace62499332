"""A session whose user has to do a step first opens only the routes that name the step.

Half a sign-in opens only what completes it.
"""

import re
from collections.abc import Callable, Iterator

import pytest
from litestar import Litestar
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute
from tests.support.callers import OPERATOR
from tests.support.databases.empty_sqlite import cheap_control_plane
from tests.support.second_factor.authenticator_apps import add_app, seed_keys_folder
from tests.support.servers.http_client import HttpClient, HttpResponse
from tests.support.servers.reused_routes import routes_of
from tests.support.servers.server_in_process import serve_in_process
from tests.support.users import NEW_PASSWORD, create_accounts, find_accounts

from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.steps import Step
from anyscale.server.http.authentication import ALLOWED_STEPS
from anyscale.server.settings import Settings

SESSION, HALF = "__Host-session", "__Host-second-factor"

#: what a user may do before any step
ALWAYS = {"GET /v1/me", "DELETE /v1/sessions/current"}
#: before the initial password is changed
BEFORE_PASSWORD = {*ALWAYS, "PUT /v1/me/password", "GET /password", "POST /password"}
#: before a second factor is added
BEFORE_FACTOR = {
    *ALWAYS,
    *("GET /account/second-factor", "GET /account/second-factor/app"),
    "POST /account/second-factor/app",
    *("GET /account/second-factor/app/confirm", "POST /account/second-factor/app/confirm"),
    *("POST /v1/me/factors/totp", "POST /v1/me/factors/totp/confirm"),
    # to add one takes a recent sign-in
    *("GET /sign-in-again", "POST /sign-in-again", "GET /sign-in-again/sso"),
    *("GET /account/second-factor/passkey", "POST /account/second-factor/passkey"),
}

#: what completes half a sign-in
COMPLETE = {
    "POST /v1/sessions/second-factor",
    *("GET /sign-in/second-factor", "POST /sign-in/second-factor"),
}

#: what needs no session: to sign in and out, for applications (which authenticate themselves, or
#: start a sign-in), for operators, and files
WITHOUT_SESSION = {
    "POST /v1/sessions",
    *COMPLETE,
    "POST /v1/passwords",
    *("GET /sign-in", "POST /sign-in", "POST /sign-in/form", "POST /sign-out"),
    "POST /sign-in/passkey",
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
    *("GET /openapi.json", "GET /docs"),
    *("GET /assets/{name}", "GET /assets/logo"),
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


class Site:
    """A server, its routes, and the owners jane, kim and lee."""

    def __init__(self, control_plane: ControlPlane, url: str) -> None:
        self.control_plane, self.url = control_plane, url
        self.routes = every_route(routes_of(control_plane))
        create_accounts(control_plane, "jane", "kim", "lee")
        self.ids = {
            name: find_accounts(control_plane, email=f"{name}@example.com")[0].user_id
            for name in ("jane", "kim", "lee")
        }
        for user_id in self.ids.values():
            control_plane.lifecycle.set_role(OPERATOR, user_id, "owner")

    def naming(self, step: Step) -> set[str]:
        """List the routes that name a step."""
        return {
            f"{method} {path}"
            for (method, path), handler in self.routes.items()
            if step in handler.opt.get(ALLOWED_STEPS, ())
        }

    def answers(self, sign_in: Callable[[HttpClient], None]) -> dict[str, HttpResponse]:
        """Call each route after a sign-in, which is repeated if a route has ended it."""
        browser, answers = HttpClient(self.url), {}
        for method, path in self.routes:
            if not browser.cookies.keys() & {SESSION, HALF}:
                sign_in(browser)
            answer = browser.request(method, re.sub(r"{\w+}", "1", path))
            answers[f"{method} {path}"] = answer
        return answers

    def sign_in_before_a_factor(self, browser: HttpClient) -> None:
        """Sign kim in, who has to add a second factor at once."""
        browser.sign_in("kim", NEW_PASSWORD)
        with self.control_plane.store.write() as tx:
            tx.sessions.set_factor_due(self.ids["kim"], tx.now())


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("steps")
    settings = Settings(database=folder / "anyscale.db", second_factor_keys=seed_keys_folder())
    control_plane = cheap_control_plane(settings)
    with serve_in_process(control_plane) as url:
        yield Site(control_plane, url)


def opened(answers: dict[str, HttpResponse], page: str, code: str) -> set[str]:
    """List the routes that do more than to lead to a page, or to refuse with a code.

    Those of administrators take no session at all.
    """
    codes = {401: "not_authenticated", 403: code}
    return {
        route
        for route, answer in answers.items()
        if not (
            answer.status in codes and answer.json["code"] == codes[answer.status]
            if " /v1/" in route
            else answer.status == 303 and answer.headers["Location"] == page
        )
    }


def sign_in_as_jane(browser: HttpClient) -> None:
    assert browser.sign_in().status == 200


def test_an_initial_password_opens_only_the_routes_that_change_it(site: Site) -> None:
    answers = site.answers(sign_in_as_jane)

    found = opened(answers, "/password", "password_change_needed")
    assert found == BEFORE_PASSWORD | WITHOUT_SESSION
    # The core would refuse some calls without the middleware.
    assert site.naming(Step.PASSWORD) == BEFORE_PASSWORD | {"GET /sign-in"}


def test_a_second_factor_that_is_due_opens_only_the_routes_that_add_it(site: Site) -> None:
    HttpClient(site.url).sign_in_first_time("kim")
    answers = site.answers(site.sign_in_before_a_factor)

    found = opened(answers, "/account/second-factor", "second_factor_due")
    assert found == BEFORE_FACTOR | WITHOUT_SESSION
    assert site.naming(Step.SECOND_FACTOR) == BEFORE_FACTOR | {"GET /sign-in"}


def test_half_a_sign_in_opens_only_what_completes_it(site: Site) -> None:
    """Each answer to it is the one that a browser without cookies gets."""
    HttpClient(site.url).sign_in_first_time("lee")
    add_app(site.control_plane, site.ids["lee"])

    def sign_in(browser: HttpClient) -> None:
        assert browser.sign_in("lee", NEW_PASSWORD).status == 403
        assert browser.cookies.keys() == {HALF}

    half, without = site.answers(sign_in), site.answers(lambda _: None)
    differing = {route for route in half if shown(half[route]) != shown(without[route])}
    assert differing <= COMPLETE
    assert "GET /sign-in/second-factor" in differing


def shown(answer: HttpResponse) -> tuple[int, str | None, str]:
    """Return what an answer says: its status, where it leads to, and its code."""
    is_json = answer.headers.get_content_type().endswith("json")
    body = answer.json if is_json and answer.body else None
    code = body.get("code", "") if isinstance(body, dict) else ""
    return answer.status, answer.headers["Location"], code
