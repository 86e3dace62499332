"""/console/tokens: an owner's own tokens, and those that belong to no user."""

from contextlib import suppress
from typing import Any

from litestar.di import NamedDependency
from litestar.params import FromQuery, RawBody

from anyscale.errors import ConfigError, NotFound
from anyscale.server.core.tokens.api_tokens import TokenService
from anyscale.server.http.account.page import DAYS, DEFAULT_DAYS, AccountPage, read_token_form
from anyscale.server.http.account.view_models import token_views
from anyscale.server.http.dependencies import UserRequest
from anyscale.server.http.login.sign_in_again import require_recent_sign_in
from anyscale.server.http.route_handlers import get, post
from anyscale.server.http.web.console_page import Page, refused_form, render_console_page
from anyscale.server.http.web.forms import read_form
from anyscale.server.http.web.templating import redirect

__all__ = ["HANDLERS"]

_SECTION = "/console/tokens"

_NOTES = {"revoked": "The token is revoked. Programs that use it cannot sign in any more."}


@get("/tokens", pool="read")
def list_tokens(
    request: UserRequest, tokens: NamedDependency[TokenService], note: FromQuery[str] = ""
) -> Page:
    now = request.user.at
    return render_console_page(
        request,
        "tokens/list",
        _SECTION,
        own=token_views(tokens.list_live(request.user.account.user_id), now),
        of_nobody=token_views(tokens.list_live(""), now),
        note=_NOTES.get(note, ""),
    )


@get("/tokens/new", guards=[require_recent_sign_in])
async def show_form(request: UserRequest) -> Page:
    return _form(request)


@post("/tokens/new", pool="read", status_code=200)
def create_token(
    request: UserRequest,
    body: RawBody,
    tokens: NamedDependency[TokenService],
    account_page: NamedDependency[AccountPage],
) -> Page:
    name, days, form_key, replaces = read_token_form(request, body)
    try:
        secret, token = tokens.create_personal(request.user, name, DAYS[days], form_key, replaces)
    except ConfigError as error:
        if first := tokens.of_form(form_key, name, request.user):
            return render_console_page(request, "tokens/repeated", _SECTION, token=first, days=days)
        return _form(request, name=name, days=days, **refused_form(error, "name"))
    # There is no redirect, which would have to store the secret or to put it into an address.
    host = account_page.host(request)
    shown: Any = {"name": token.name, "token": secret, "host": host}
    return render_console_page(request, "tokens/secret", _SECTION, **shown)


@post("/tokens/revoke", pool="read")
def revoke_token(
    request: UserRequest, body: RawBody, tokens: NamedDependency[TokenService]
) -> Page:
    (token_id,) = read_form(request, body, "token_id")
    with suppress(NotFound):  # another window has revoked it
        tokens.revoke(token_id, request.user)
    return redirect(f"{_SECTION}?note=revoked")


def _form(request: UserRequest, **shown: Any) -> Page:
    """Render the form, with the fields as they were sent."""
    values = {"name": "", "days": DEFAULT_DAYS, **shown}
    return render_console_page(request, "tokens/new", _SECTION, **values)


HANDLERS = [list_tokens, show_form, create_token, revoke_token]
