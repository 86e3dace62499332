"""The authorization endpoint, which redirects browsers to applications (Core, 3.1.2)."""

from typing import Any
from urllib.parse import urlencode

from litestar import Response
from litestar.datastructures import Cookie
from litestar.di import NamedDependency
from litestar.params import FromQuery, RawBody

from anyscale.errors import NotFound, RequestInvalid
from anyscale.server.core.openid.authorization import (
    ConfirmationNeeded,
    Redirection,
    RedirectUnknown,
    SignInNeeded,
)
from anyscale.server.core.openid.confirmations import SEPARATOR, is_confirmed
from anyscale.server.core.openid.protocol import REQUEST_MS
from anyscale.server.core.openid.provider import OpenIdProvider
from anyscale.server.core.session_lifetime import ABSOLUTE_LIMIT
from anyscale.server.core.time_units import SECOND_MS
from anyscale.server.http.bodies import SMALL_BODY
from anyscale.server.http.cookies import AUTHORIZATION, SESSION, HostCookie, read_cookie
from anyscale.server.http.dependencies import AnyRequest
from anyscale.server.http.metrics import AUTHORIZATIONS
from anyscale.server.http.middleware.csrf import CSRF_RULE, csrf_exempt
from anyscale.server.http.openid.parameters import with_parameters
from anyscale.server.http.openid.refusal_log import log_refusal
from anyscale.server.http.refusals import count_refusal
from anyscale.server.http.request_context import request_id
from anyscale.server.http.route_handlers import get, post
from anyscale.server.http.web.forms import query_pairs, read_pairs
from anyscale.server.http.web.leave_page import leave_page
from anyscale.server.http.web.session_pages import STEP_PAGES
from anyscale.server.http.web.templating import accepts_page, redirect, render_page
from anyscale.server.login_options import LoginOptions
from anyscale.server.paths import AUTHORIZE, LOGOUT

Page = Response[str]
Decision = Redirection | SignInNeeded | ConfirmationNeeded

#: the parameter `note` of the sign-in and of the account page after a stored request was lost
REQUEST_EXPIRED = "request_expired"

_CONTINUE = "/oauth2/continue"

#: the cookie with the confirmations of a browser, and how many it has
_CONFIRMED = "__Host-confirmed"
_MOST_CONFIRMED = 20

#: Answers to a request in order; with the errors, its user has no session and sees no page.
_USUAL = frozenset({"code", "login_required", "interaction_required"})

#: the parameter with the id of a stored request
_STORED = "authorization"


@get(AUTHORIZE, pool="login.applications", include_in_schema=False)
def authorize(
    request: AnyRequest,
    provider: NamedDependency[OpenIdProvider],
    login_options: NamedDependency[LoginOptions],
) -> Page:
    sent: list[tuple[str, str]] = []
    try:
        sent = query_pairs(request)
        decision = _decide(provider, request, sent)
    except NotFound:
        return _expired()
    except RequestInvalid as error:
        log_refusal("invalid_request", str(error), sent)
        if not accepts_page(request):
            raise
        count_refusal(error)
        return _set_up_wrongly(error, login_options)
    _count(decision, sent)
    if not isinstance(decision, Redirection):
        location = f"{_next_page(decision)}?{_query(decision.request_id)}"
        return redirect(location, *_cookies(decision.browser))
    # The response names the issuer (RFC 9207, 2).
    url = with_parameters(decision.redirect_uri, decision.parameters | {"iss": provider.issuer})
    if decision.denied:
        page = render_page(
            "access_denied",
            options=login_options,
            status=403,
            script=True,
            name=decision.denied,
            url=url,
        )
    else:
        page = redirect(url)
    for cookie in (*_cookies(decision.browser), *_confirmed(request, decision.confirmation)):
        page.set_cookie(cookie)
    return page


def _set_up_wrongly(error: RequestInvalid, options: LoginOptions) -> Page:
    """Return the page for a request that the user of an application cannot mend."""
    name = error.application if isinstance(error, RedirectUnknown) else ""
    return render_page(
        "error",
        options=options,
        status=error.status,
        heading="The application is set up wrongly",
        text=f"The application {name + ', which' if name else 'that'} sent you here"
        f"{',' if name else ''} is not set up correctly for this server. Tell its administrator.",
        script=True,
        request_id=request_id.get()[:8],
    )


def _decide(
    provider: OpenIdProvider, request: AnyRequest, pairs: list[tuple[str, str]]
) -> Decision:
    service = provider.authorization
    session, browser = read_cookie(request, SESSION), read_cookie(request, AUTHORIZATION)
    if [name for name, _ in pairs] == [_STORED]:
        return service.resume(pairs[0][1], session, browser)
    return service.start(pairs, session, browser, read_cookie(request, _CONFIRMED))


def _cookies(browser: str | None) -> list[Cookie]:
    """Return the cookie to set, if it changes; an empty one is deleted."""
    if browser is None:
        return []
    return [HostCookie(AUTHORIZATION, browser, REQUEST_MS // SECOND_MS if browser else 0)]


def _next_page(decision: SignInNeeded | ConfirmationNeeded) -> str:
    if isinstance(decision, ConfirmationNeeded):
        return _CONTINUE
    return STEP_PAGES.get(decision.step, "/sign-in")


def _count(decision: Decision, sent: list[tuple[str, str]]) -> None:
    """Count a decision; log one that the application can prevent."""
    result = _result(decision)
    AUTHORIZATIONS.labels(result).inc()
    if isinstance(decision, Redirection) and result not in _USUAL:
        detail = decision.parameters.get("error_description", "")
        log_refusal(result, detail, sent, address=decision.redirect_uri)


def _result(decision: Decision) -> str:
    if isinstance(decision, Redirection):
        return decision.parameters.get("error", "code")
    return "sign_in" if isinstance(decision, SignInNeeded) else "confirmation"


def _confirmed(request: AnyRequest, confirmation: str) -> list[Cookie]:
    """Return the cookie with one more confirmation, if there is one."""
    if not confirmation:
        return []
    earlier = read_cookie(request, _CONFIRMED).split(SEPARATOR)
    kept = [one for one in earlier if one != confirmation][1 - _MOST_CONFIRMED :]
    value = SEPARATOR.join([*kept, confirmation])
    return [HostCookie(_CONFIRMED, value, ABSOLUTE_LIMIT // SECOND_MS)]


@get(_CONTINUE, pool="login.applications", include_in_schema=False)
def go_on(
    request: AnyRequest,
    provider: NamedDependency[OpenIdProvider],
    login_options: NamedDependency[LoginOptions],
    authorization: FromQuery[str] = "",
) -> Page:
    """Show the page between a form of ours and an application.

    Chromium applies `form-action` to all redirects that follow a form, also to those from the
    application to an address that we do not know. So the page ends them, and navigates by GET: by
    itself, unless the user has to confirm the application.
    """
    try:
        stored = provider.authorization.stored(authorization, read_cookie(request, AUTHORIZATION))
    except NotFound:
        return _expired()
    is_automatic = is_confirmed(
        stored.application,
        stored.parameters.redirect_uri,
        read_cookie(request, SESSION),
        read_cookie(request, _CONFIRMED),
    )
    return leave_page(
        stored.application.name,
        f"{AUTHORIZE}?{_query(stored.request_id)}",
        login_options,
        is_automatic=is_automatic,
    )


def _expired() -> Page:
    return redirect(f"/sign-in?note={REQUEST_EXPIRED}")


@post(
    [AUTHORIZE, LOGOUT],
    pool="login.applications",
    include_in_schema=False,
    opt={CSRF_RULE: csrf_exempt},
    request_max_body_size=SMALL_BODY,
)
def by_form(request: AnyRequest, body: RawBody) -> Page:
    """Redirect to the same query: a browser sends no session with a form of another site."""
    return redirect(f"{request.url.path}?{urlencode(read_pairs(request, body))}")


def resume_path(request_id: str) -> str:
    """Return the address where a browser continues with a stored request after a form."""
    return f"{_CONTINUE}?{_query(request_id)}"


def resumed_id(path: str) -> str:
    """Return the id of the request with which an address of `resume_path` continues; else empty."""
    start = resume_path("")
    return path.removeprefix(start) if path.startswith(start) else ""


def _query(request_id: str) -> str:
    return urlencode({_STORED: request_id})


HANDLERS: list[Any] = [authorize, go_on, by_form]
