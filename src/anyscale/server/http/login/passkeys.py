"""/sign-in/passkey: sign in with only a passkey; and the sign-in page, which offers it."""

from typing import Any

from litestar import Response
from litestar.di import NamedDependency
from litestar.params import RawBody

from anyscale.errors import AnyscaleError
from anyscale.server.http.cookies import browser_cookie
from anyscale.server.http.dependencies import AnyRequest
from anyscale.server.http.login.refused_passkeys import passkey_refusal
from anyscale.server.http.login.second_factor import continue_sign_in
from anyscale.server.http.login.sign_in import LoginFlows
from anyscale.server.http.openid.continuation import Continuation, Continuations
from anyscale.server.http.route_handlers import post
from anyscale.server.http.web.forms import read_form
from anyscale.server.http.web.kept_forms import own_page
from anyscale.server.http.web.templating import render_page
from anyscale.server.login_options import LoginOptions
from anyscale.server.paths import SIGN_IN_BY_PASSKEY

Page = Response[str]


def sign_in_page(
    request: AnyRequest,
    login: LoginFlows,
    options: LoginOptions,
    following: Continuation,
    **values: Any,
) -> Page:
    """Render the sign-in page; `wrong` is the field that the problem is about, if it is one."""
    shown = {"email": "", "note": "", "to": "", "wrong": "", **values}
    passkeys = login.passkeys if login.passkeys and login.passkeys.is_offered else None
    cookie = browser_cookie(request)
    page = render_page(
        "sign_in",
        script=True,
        options=options,
        following=following,
        passkey_options=passkeys and passkeys.ceremonies.sign_in_options(cookie.value or ""),
        **shown,
    )
    if passkeys:
        page.set_cookie(cookie)
    return page


@post(SIGN_IN_BY_PASSKEY)
async def sign_in_by_passkey(
    request: AnyRequest,
    body: RawBody,
    login: NamedDependency[LoginFlows],
    login_options: NamedDependency[LoginOptions],
    continuations: NamedDependency[Continuations],
) -> Page:
    answer, request_id, to = read_form(request, body, "passkey", "authorization", "to")
    following = await continuations.get(request, request_id)
    try:
        result = await login.by_passkey(request, answer)
    except AnyscaleError as error:
        shown = await passkey_refusal(request, error)
        return sign_in_page(request, login, login_options, following, to=own_page(to), **shown)
    return await continue_sign_in(login, result, following, own_page(to) or "/")


HANDLERS = [sign_in_by_passkey]
