"""/v1/sessions and /v1/passwords: sign in and out, and set a password by a one-time link."""

from typing import Any

from litestar import Response, Router
from litestar.di import NamedDependency

from anyscale.server.core.link_secrets import secret_of
from anyscale.server.core.login.sessions import SessionService
from anyscale.server.core.steps import ANY_STEP
from anyscale.server.http.authentication import ALLOWED_STEPS, SESSION_AUTHENTICATION
from anyscale.server.http.bodies import SMALL_BODY, decode
from anyscale.server.http.cookies import SESSION, expired_cookie
from anyscale.server.http.dependencies import AnyRequest, UserRequest
from anyscale.server.http.errors import error_responses
from anyscale.server.http.login.schemas import LoginRequest, LoginResponse, SetPasswordRequest
from anyscale.server.http.login.second_factor import CALLS, respond_to_sign_in
from anyscale.server.http.login.sign_in import LoginFlows
from anyscale.server.http.route_handlers import delete, post


@post(
    "/sessions",
    operation_id="signIn",
    summary="Sign in by email and password. Sets the cookie `__Host-session`.",
    status_code=200,
    responses=error_responses(413),
)
async def sign_in(
    request: AnyRequest, login: NamedDependency[LoginFlows]
) -> Response[LoginResponse]:
    credentials = decode(await request.body(), LoginRequest)
    result = await login.by_password(request, credentials.email, credentials.password)
    return await respond_to_sign_in(request, login, result)


@post(
    "/passwords",
    operation_id="setPassword",
    summary="Set a password by a one-time link, and sign in.",
    status_code=200,
    responses=error_responses(410, 413, 422),
)
async def set_password(
    request: AnyRequest, login: NamedDependency[LoginFlows]
) -> Response[LoginResponse]:
    body = decode(await request.body(), SetPasswordRequest)
    result = await login.by_link(request, secret_of(body.link), body.new_password)
    return await respond_to_sign_in(request, login, result)


@delete(
    "/sessions/current",
    pool="read",
    opt={ALLOWED_STEPS: ANY_STEP},
    operation_id="signOut",
    summary="Sign out. Revokes the session of this request.",
    responses=error_responses(404),
    response_cookies=[expired_cookie(SESSION)],
)
def sign_out(request: UserRequest, sessions: NamedDependency[SessionService]) -> None:
    sessions.revoke(request.user, request.auth.session_id)


_SHARED: Any = {"tags": ["sign-in"], "request_max_body_size": SMALL_BODY}

ROUTERS = [
    Router("/v1", route_handlers=[sign_in, set_password, *CALLS], **_SHARED),
    Router(
        "/v1",
        route_handlers=[sign_out],
        middleware=[SESSION_AUTHENTICATION],
        security=[{"session": []}],
        **_SHARED,
    ),
]
