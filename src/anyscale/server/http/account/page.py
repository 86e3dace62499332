"""/: the page of a user's account, with its sessions and tokens, and the forms that end them."""

from contextlib import suppress
from typing import Any

from litestar import Response
from litestar.di import NamedDependency
from litestar.params import FromQuery, RawBody
from msgspec import Struct

from anyscale.domain.names import full_name
from anyscale.errors import NotFound
from anyscale.server.core.callers import SessionCaller, has_permission
from anyscale.server.core.login.sessions import SessionService
from anyscale.server.core.openid.user_grants import UserGrants
from anyscale.server.core.permissions import Permission
from anyscale.server.core.second_factor.factors import FactorService
from anyscale.server.core.tokens.api_tokens import TokenService
from anyscale.server.http.account.user_agent import browser_name
from anyscale.server.http.account.view_models import ago, factor_views, sign_in_methods, token_views
from anyscale.server.http.cookies import SESSION, expired_cookie
from anyscale.server.http.dependencies import UserRequest
from anyscale.server.http.openid.continuation import LOST_REQUEST_NOTES
from anyscale.server.http.route_handlers import get, post
from anyscale.server.http.web.forms import read_form
from anyscale.server.http.web.templating import redirect, render_page
from anyscale.server.login_options import LoginOptions

Page = Response[str]

#: sessions on the page
_SHOWN_SESSIONS = 20

_NOTES = {
    "password_changed": "Your password is changed. Sign in with it from now on, on every device.",
    "password_set": "Your password is set, and you are signed in.",
    "session_revoked": "The other browser is signed out.",
    "sessions_revoked": "All other browsers are signed out.",
    "codes_kept": "Your second factor is set up, and you have kept your recovery codes.",
    "factor_added": "The second factor is added. You can use it from your next sign-in on.",
    "factor_replaced": "The new second factor is added, and the old one is removed.",
    "no_app": (
        "No app waits for its first code. If you have scanned a picture and signed in again since, "
        "delete its entry in the app, and add the app again."
    ),
    "factor_removed": "It is removed, and does not work any more.",
    "application_revoked": "You are signed out of the application as far as this server goes.",
    "token_revoked": "The token is revoked. Programs that use it cannot sign in any more.",
    **LOST_REQUEST_NOTES,
}

#: the notes of changes after which the page offers to sign out all other browsers
_CHANGES = {"codes_kept", "factor_added", "factor_replaced", "factor_removed"}


class AccountPage(Struct, frozen=True):
    """Renders the page of an account."""

    sessions: SessionService
    tokens: TokenService
    factors: FactorService
    user_grants: UserGrants
    options: LoginOptions

    def render(self, user: SessionCaller, note: str) -> Page:
        """Return the page, with the note of a name on top."""
        values = self._values(user) | {"note": _NOTES.get(note, "")}
        values["offers_sign_out"] = note in _CHANGES and len(values["sessions"]) > 1
        return render_page("account", options=self.options, script=True, **values)

    def _values(self, user: SessionCaller) -> dict[str, Any]:
        account, factors = user.account, self.factors.list(user)
        current = user.session.session_id
        sessions = sorted(self.sessions.list(user), key=lambda one: one.session_id != current)
        return {
            "user": user,
            "factor_due_at": None if user.has_second_factor else user.session.factor_due_at,
            "name": full_name(account.name, account.lastname),
            "is_owner": account.permission_level == "owner",
            "may_use_console": has_permission(user, Permission.USE_CONSOLE),
            "may_create_tokens": has_permission(user, Permission.MANAGE_TOKENS),
            "methods": sign_in_methods(account),
            "has_password": self.options.has_passwords and account.password_hash,
            "sessions": sessions[:_SHOWN_SESSIONS],
            "more": len(sessions[_SHOWN_SESSIONS:]),
            "browser_name": browser_name,
            "ago": ago,
            "has_factors": self.factors.policy.is_on,
            "factors": factor_views(factors.factors, user.at),
            "recovery_codes": factors.recovery_codes,
            "tokens": token_views(self.tokens.list_live(account.user_id), user.at),
            "applications": self.user_grants.list(account.user_id),
            "offered": self.user_grants.offered(account),
        }


@get("/", pool="read")
def show_account(
    request: UserRequest, account_page: NamedDependency[AccountPage], note: FromQuery[str] = ""
) -> Page:
    return account_page.render(request.user, note)


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
    revoke_token,
]
