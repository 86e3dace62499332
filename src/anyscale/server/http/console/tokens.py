"""/console/tokens: an owner's own tokens, and those that belong to no user."""

from contextlib import suppress
from typing import Any

from litestar.di import NamedDependency
from litestar.params import FromQuery, RawBody

from anyscale.errors import ConfigError, NotFound, RequestInvalid
from anyscale.server.core.tokens.api_tokens import TokenService
from anyscale.server.http.account.view_models import token_views
from anyscale.server.http.dependencies import UserRequest
from anyscale.server.http.login.sign_in_again import require_recent_sign_in
from anyscale.server.http.route_handlers import get, post
from anyscale.server.http.web.console_page import (
    Page,
    host_of,
    refused_form,
    render_console_page,
)
from anyscale.server.http.web.forms import read_form, read_form_key
from anyscale.server.http.web.templating import redirect

_SECTION = "/console/tokens"

_NOTES = {"revoked": "The token is revoked. Programs that use it cannot sign in any more."}

#: an option of the form -> its text, and the days until the token expires
_VALID_FOR: dict[str, tuple[str, int | None]] = {
    "30": ("30 days", 30),
    "90": ("90 days", 90),
    "365": ("1 year", 365),
    "": ("Does not expire", None),
}
_DEFAULT = "90"


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
    request: UserRequest, body: RawBody, tokens: NamedDependency[TokenService]
) -> Page:
    name, days, replaces = read_form(request, body, "name", "days", "replaces")
    if days not in _VALID_FOR:
        raise RequestInvalid("there is no such choice")
    name, form_key, expires_days = name.strip(), read_form_key(request, body), _VALID_FOR[days][1]
    try:
        secret, token = tokens.create_personal(request.user, name, expires_days, form_key, replaces)
    except ConfigError as error:
        if first := tokens.of_form(form_key, name, request.user):
            return render_console_page(request, "tokens/repeated", _SECTION, token=first, days=days)
        return _form(
            request, name=name, days=days, replaces=replaces, **refused_form(error, "name")
        )
    # There is no redirect, which would have to store the secret or to put it into an address.
    shown: Any = {"name": token.name, "token": secret, "host": host_of(request)}
    return render_console_page(request, "tokens/secret", _SECTION, **shown)


@post("/tokens/revoke", pool="read")
def revoke_token(
    request: UserRequest, body: RawBody, tokens: NamedDependency[TokenService]
) -> Page:
    (token_id,) = read_form(request, body, "token_id")
    with suppress(NotFound):  # another window has revoked it
        tokens.revoke(request.user, token_id)
    return redirect(f"{_SECTION}?note=revoked")


def _form(request: UserRequest, **shown: Any) -> Page:
    """Render the form, with the fields as they were sent."""
    choices = [(value, text) for value, (text, _) in _VALID_FOR.items()]
    values = {"name": "", "days": _DEFAULT, "replaces": "", "choices": choices, **shown}
    return render_console_page(request, "tokens/new", _SECTION, **values)


HANDLERS = [list_tokens, show_form, create_token, revoke_token]
