"""/v1/me: a signed-in user's own account, password and sessions."""

from functools import partial
from typing import Annotated

from litestar import Response, Router
from litestar.di import NamedDependency
from litestar.params import PathParameter

from anyscale.server.core.callers import SignInTooOld
from anyscale.server.core.login.sessions import SessionService
from anyscale.server.core.steps import ANY_STEP, Step
from anyscale.server.http.account import (
    factors,
    page,
    passkeys,
    required_factor,
    second_factor,
    tokens,
)
from anyscale.server.http.account.schemas import (
    ChangePasswordRequest,
    CurrentUser,
    RevokedSessions,
    SessionList,
    current_user,
    session_info,
)
from anyscale.server.http.authentication import ALLOWED_STEPS, SESSION_AUTHENTICATION
from anyscale.server.http.bodies import SMALL_BODY, decode
from anyscale.server.http.dependencies import UserRequest
from anyscale.server.http.errors import error_responses
from anyscale.server.http.login import sign_in_again
from anyscale.server.http.login.schemas import LoginResponse
from anyscale.server.http.login.second_factor import respond_to_sign_in
from anyscale.server.http.login.sign_in import LoginFlows
from anyscale.server.http.login.sign_in_again import redirect_to_sign_in_again
from anyscale.server.http.route_handlers import delete, get, put
from anyscale.server.http.web.session_pages import session_pages

SessionId = Annotated[str, PathParameter(max_length=64, description="`ses_...`")]


@get(
    "/",
    opt={ALLOWED_STEPS: ANY_STEP},
    operation_id="getMe",
    summary="Get your account and your current session.",
    responses=error_responses(),
)
async def get_me(request: UserRequest) -> CurrentUser:
    return current_user(request.user)


@put(
    "/password",
    opt={ALLOWED_STEPS: {Step.PASSWORD}},
    operation_id="changePassword",
    summary="Change your password. Revokes all sessions and creates a new one.",
    responses=error_responses(413, 422),
)
async def change_password(
    request: UserRequest, login: NamedDependency[LoginFlows]
) -> Response[LoginResponse]:
    body = decode(await request.body(), ChangePasswordRequest)
    change = login.password_changes.change_password
    call = partial(change, request.user, body.current_password, body.new_password)
    result = await login.run(request, call)
    return await respond_to_sign_in(request, login, result)


@get(
    "/sessions",
    pool="read",
    operation_id="listMySessions",
    summary="List your sessions, the latest first.",
    responses=error_responses(),
)
def list_sessions(request: UserRequest, sessions: NamedDependency[SessionService]) -> SessionList:
    listed = sessions.list(request.user)
    return SessionList([session_info(session, request.user) for session in listed])


@delete(
    "/sessions/{session_id:str}",
    pool="read",
    operation_id="revokeMySession",
    summary="Revoke one of your sessions.",
    responses=error_responses(404),
)
def revoke_session(
    request: UserRequest, session_id: SessionId, sessions: NamedDependency[SessionService]
) -> None:
    sessions.revoke(request.user, session_id)


@delete(
    "/sessions",
    pool="read",
    operation_id="revokeMyOtherSessions",
    summary="Revoke all your sessions except the current one.",
    status_code=200,
    responses=error_responses(),
)
def revoke_others(
    request: UserRequest, sessions: NamedDependency[SessionService]
) -> RevokedSessions:
    return RevokedSessions(sessions.revoke_others(request.user))


ROUTERS = [
    Router(
        "/v1/me",
        route_handlers=[
            get_me,
            change_password,
            list_sessions,
            revoke_session,
            revoke_others,
            *factors.HANDLERS,
            *tokens.HANDLERS,
        ],
        middleware=[SESSION_AUTHENTICATION],
        security=[{"session": []}],
        tags=["account"],
        request_max_body_size=SMALL_BODY,
    ),
    session_pages(
        [
            *page.HANDLERS,
            *required_factor.HANDLERS,
            *second_factor.HANDLERS,
            *passkeys.HANDLERS,
            *sign_in_again.HANDLERS,
        ],
        exception_handlers={SignInTooOld: redirect_to_sign_in_again},
    ),
]
