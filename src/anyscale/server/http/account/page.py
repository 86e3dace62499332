"""/: the HTML page of a user's account, with its sessions and tokens, and the forms on it."""

from contextlib import suppress
from typing import Any

from litestar import Response
from litestar.di import NamedDependency
from litestar.params import FromQuery, RawBody
from msgspec import Struct

from anyscale.domain.names import full_name
from anyscale.errors import ConfigError, NotFound, RequestInvalid
from anyscale.server.core.callers import SessionCaller
from anyscale.server.core.login.sessions import SessionService
from anyscale.server.core.openid.user_grants import UserGrants
from anyscale.server.core.tokens.api_tokens import TokenService
from anyscale.server.http.account.view_models import (
    application_views,
    session_views,
    sign_in_methods,
    time_of,
    token_views,
)
from anyscale.server.http.cookies import SESSION, expired_cookie
from anyscale.server.http.dependencies import UserRequest
from anyscale.server.http.openid.continuation import LOST_REQUEST_NOTES
from anyscale.server.http.route_handlers import get, post
from anyscale.server.http.web.forms import read_form, read_form_key, user_message
from anyscale.server.http.web.templating import redirect, render_page
from anyscale.server.login_options import LoginOptions
from anyscale.server.store.records.tokens import TokenRecord

__all__ = ["DAYS", "DEFAULT_DAYS", "HANDLERS", "AccountPage", "read_token_form"]

Page = Response[str]

#: sessions on the page
_SHOWN_SESSIONS = 20

_NOTES = {
    "password_changed": "Your password is changed. Sign in with it from now on, on every device.",
    "password_set": "Your password is set, and you are signed in.",
    "session_revoked": "The other browser is signed out.",
    "sessions_revoked": "All other browsers are signed out.",
    "application_revoked": "You are signed out of the application as far as this server goes.",
    "token_revoked": "The token is revoked. Programs that use it cannot sign in any more.",
    **LOST_REQUEST_NOTES,
}

#: an option of the form -> days until the token expires
DAYS = {"30": 30, "90": 90, "365": 365, "": None}
DEFAULT_DAYS = "90"


def read_token_form(request: UserRequest, body: bytes) -> tuple[str, str, str, str]:
    """Return the name of a new token, the choice of `DAYS`, the form key, and what it replaces.

    It is also for the form of the console.

    Raises:
        RequestInvalid: there is no such choice.
    """
    name, days, replaces = read_form(request, body, "name", "days", "replaces")
    if days not in DAYS:
        raise RequestInvalid("there is no such choice")
    return name.strip(), days, read_form_key(request, body), replaces


class AccountPage(Struct, frozen=True):
    """Renders the page of an account."""

    sessions: SessionService
    tokens: TokenService
    user_grants: UserGrants
    options: LoginOptions
    #: the address at which users reach the control plane, if it is known
    public_url: str | None

    def render(self, user: SessionCaller, **shown: Any) -> Page:
        """Return the page, with a note or a problem on top, and a token's form as it was sent."""
        values = self._values(user)
        defaults = {"note": "", "token_name": "", "token_days": DEFAULT_DAYS}
        return render_page(
            "account", options=self.options, script=True, **defaults | values | shown
        )

    def render_token(self, request: UserRequest, secret: str, name: str) -> Page:
        """Return the page that shows a new token once, with the host that it is for."""
        return render_page(
            "token",
            options=self.options,
            script=True,
            user=request.user,
            host=self.host(request),
            token=secret,
            name=name,
        )

    def render_repeated(self, user: SessionCaller, token: TokenRecord, days: str) -> Page:
        """Return the answer to a form that arrived twice; `token` is what it has created."""
        return render_page(
            "token_repeated", options=self.options, script=True, user=user, token=token, days=days
        )

    def host(self, request: UserRequest) -> str:
        """Return the address for the lines to paste: the public one, or that of the request."""
        return self.public_url or f"{request.url.scheme}://{request.url.netloc}"

    def _values(self, user: SessionCaller) -> dict[str, Any]:
        account = user.account
        sessions = session_views(self.sessions.list(user), user)
        return {
            "user": user,
            "name": full_name(account.name, account.lastname),
            "is_owner": account.permission_level == "owner",
            "methods": sign_in_methods(account),
            "since": time_of(account.created_at),
            "has_password": self.options.has_passwords and account.password_hash,
            "sessions": sessions[:_SHOWN_SESSIONS],
            "more": len(sessions[_SHOWN_SESSIONS:]),
            "tokens": token_views(self.tokens.list_live(account.user_id), user.at),
            "applications": application_views(self.user_grants.list(account.user_id)),
        }


@get("/", pool="read")
def show_account(
    request: UserRequest, account_page: NamedDependency[AccountPage], note: FromQuery[str] = ""
) -> Page:
    return account_page.render(request.user, note=_NOTES.get(note, ""))


@post("/sessions/revoke", pool="read")
def revoke_session(
    request: UserRequest, body: RawBody, sessions: NamedDependency[SessionService]
) -> Page:
    (session_id,) = read_form(request, body, "session_id")
    with suppress(NotFound):  # it has expired
        sessions.revoke(request.user, session_id)
    if session_id == request.auth.session_id:
        return redirect("/sign-in?note=signed_out", expired_cookie(SESSION))
    return redirect("/?note=session_revoked")


@post("/sessions/revoke-others", pool="read")
def revoke_others(request: UserRequest, sessions: NamedDependency[SessionService]) -> Page:
    sessions.revoke_others(request.user)
    return redirect("/?note=sessions_revoked")


@post("/applications/revoke", pool="read")
def revoke_application(
    request: UserRequest, body: RawBody, user_grants: NamedDependency[UserGrants]
) -> Page:
    (client_id,) = read_form(request, body, "client_id")
    user_grants.revoke(request.user, client_id)
    return redirect("/?note=application_revoked")


@post("/tokens", pool="read")
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
            return account_page.render_repeated(request.user, first, days)
        sent = {"token_name": name, "token_days": days}
        problem = user_message(error)
        return account_page.render(request.user, problem=problem, status=error.status, **sent)
    # There is no redirect, which would have to store the secret or to put it into an address.
    return account_page.render_token(request, secret, token.name)


@post("/tokens/revoke", pool="read")
def revoke_token(
    request: UserRequest, body: RawBody, tokens: NamedDependency[TokenService]
) -> Page:
    (token_id,) = read_form(request, body, "token_id")
    with suppress(NotFound):  # another window has revoked it
        tokens.revoke_personal(request.user, token_id)
    return redirect("/?note=token_revoked")


HANDLERS = [
    show_account,
    revoke_application,
    revoke_session,
    revoke_others,
    create_token,
    revoke_token,
]
