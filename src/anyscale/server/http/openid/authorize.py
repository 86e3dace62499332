"""The authorization endpoint, which redirects browsers to applications (Core, 3.1.2)."""

from typing import Any
from urllib.parse import urlencode

from litestar import Response
from litestar.datastructures import Cookie
from litestar.di import NamedDependency
from litestar.params import RawBody

from anyscale.server.core.openid.authorization import Redirection, SignInNeeded
from anyscale.server.core.openid.protocol import REQUEST_MS
from anyscale.server.core.openid.provider import OpenIdProvider
from anyscale.server.core.time_units import SECOND_MS
from anyscale.server.http.bodies import SMALL_BODY
from anyscale.server.http.cookies import SESSION, HostCookie, read_cookie
from anyscale.server.http.dependencies import AnyRequest
from anyscale.server.http.middleware.csrf import CSRF_RULE, any_origin
from anyscale.server.http.openid.discovery import require_provider
from anyscale.server.http.openid.logout import LOGOUT_PATH
from anyscale.server.http.openid.parameters import form_pairs, query_pairs, with_parameters
from anyscale.server.http.operations.metrics import AUTHORIZATIONS
from anyscale.server.http.route_handlers import get, post
from anyscale.server.http.web.templating import redirect, render_page
from anyscale.server.login_options import LoginOptions

__all__ = ["HANDLERS", "REQUEST_COOKIE", "resume_path"]

Page = Response[str]

#: The cookie with the requests that wait for a sign-in in this browser.
REQUEST_COOKIE = "__Host-authorization"

_PATH = "/oauth2/authorize"

#: the parameter with the id of a stored request
_STORED = "authorization"


@get(_PATH, pool="login.applications", include_in_schema=False)
def authorize(
    request: AnyRequest,
    openid: NamedDependency[OpenIdProvider | None],
    login_options: NamedDependency[LoginOptions],
) -> Page:
    provider = require_provider(openid)
    decision = _decide(provider, request)
    AUTHORIZATIONS.labels(_result(decision)).inc()
    if isinstance(decision, SignInNeeded):
        path = "/password" if decision.must_change_password else "/sign-in"
        location = f"{path}?authorization={decision.request_id}"
        return redirect(location, *_cookies(decision.browser))
    # The response names the issuer (RFC 9207, 2).
    url = with_parameters(decision.redirect_uri, decision.parameters | {"iss": provider.issuer})
    if decision.denied:
        page = render_page(
            "access_denied", options=login_options, status=403, name=decision.denied, url=url
        )
    else:
        headers = {"Location": url}
        page = Response("", status_code=303, media_type="text/plain", headers=headers)
    for cookie in _cookies(decision.browser):
        page.set_cookie(cookie)
    return page


def _decide(provider: OpenIdProvider, request: AnyRequest) -> Redirection | SignInNeeded:
    pairs, service = query_pairs(request), provider.authorization
    session, browser = read_cookie(request, SESSION), read_cookie(request, REQUEST_COOKIE)
    if [name for name, _ in pairs] == [_STORED]:
        return service.resume(pairs[0][1], session, browser)
    return service.start(pairs, session, browser)


def _cookies(browser: str | None) -> list[Cookie]:
    """Return the cookie to set, if it changes; an empty one is deleted."""
    if browser is None:
        return []
    return [HostCookie(REQUEST_COOKIE, browser, REQUEST_MS // SECOND_MS if browser else 0)]


def _result(decision: Redirection | SignInNeeded) -> str:
    if isinstance(decision, SignInNeeded):
        return "sign_in"
    return decision.parameters.get("error", "code")


@post(
    [_PATH, LOGOUT_PATH],
    pool="login.applications",
    include_in_schema=False,
    opt={CSRF_RULE: any_origin},
    request_max_body_size=SMALL_BODY,
)
def by_form(request: AnyRequest, body: RawBody) -> Page:
    """Redirect to the same query: a browser sends no session with a form of another site."""
    return redirect(f"{request.url.path}?{urlencode(form_pairs(request, body))}")


def resume_path(request_id: str) -> str:
    """Return the address at which a browser goes on with a stored request."""
    return f"{_PATH}?{urlencode({_STORED: request_id})}"


HANDLERS: list[Any] = [authorize, by_form]
