"""/v1/sessions, /v1/passwords and /v1/me: what people do for themselves, by a session's cookie."""

from functools import partial
from typing import Annotated, Any

from litestar import Request, Response, Router, delete, get, post, put
from litestar.params import PathParameter

from anyscale.server.core.login.password_login import LoginResult
from anyscale.server.core.login.sessions import AuthenticatedUser
from anyscale.server.core.users.password_links import secret_of
from anyscale.server.http.account import tokens as own_tokens
from anyscale.server.http.api.user_bodies import decoded
from anyscale.server.http.authentication import SESSION_AUTHENTICATION, require_own_password
from anyscale.server.http.cookies import SESSION, expired_cookie, login_cookies
from anyscale.server.http.dependencies import GivenMember, GivenPlane, GivenPools
from anyscale.server.http.errors import answers
from anyscale.server.http.login import sign_in as doors
from anyscale.server.http.login.schemas import (
    ChangePasswordRequest,
    CurrentUser,
    EndedSessions,
    LoginRequest,
    LoginResponse,
    SessionList,
    SetPasswordRequest,
    me_of,
    seen,
    welcome,
)

__all__ = ["SMALL_BODY", "routers"]

#: Octets of a body that anybody may send: the longest password and email fit, escaped as JSON.
SMALL_BODY = 16 * 1024

AnyRequest = Request[Any, Any, Any]

SessionId = Annotated[str, PathParameter(max_length=64, description="`ses_...`")]


@post(
    "/sessions",
    operation_id="signIn",
    summary="Sign in by email and password; the session is in the cookie `__Host-session`.",
    status_code=200,
    responses=answers(413),
)
async def sign_in(request: AnyRequest) -> Response[LoginResponse]:
    asked = decoded(await request.body(), LoginRequest)
    return _entered(await doors.by_password(request, asked.email, asked.password))


@post(
    "/passwords",
    operation_id="setPassword",
    summary="Set a password by a one-time link, which is used up by it, and sign in.",
    status_code=200,
    responses=answers(410, 413, 422),
)
async def set_password(request: AnyRequest) -> Response[LoginResponse]:
    asked = decoded(await request.body(), SetPasswordRequest)
    link = secret_of(asked.link)
    return _entered(await doors.by_link(request, link, asked.new_password))


@delete(
    "/sessions/current",
    operation_id="signOut",
    summary="Sign out: end the session that asks.",
    responses=answers(404),
    response_cookies=[expired_cookie(SESSION)],
)
async def sign_out(plane: GivenPlane, pools: GivenPools, member: GivenMember) -> None:
    end = partial(plane.sessions.end, member, member.session.session_id)
    await pools.read.run(end)


@get(
    "/me",
    operation_id="getMe",
    summary="The account that is signed in, and the session that asks.",
    responses=answers(),
)
async def get_me(member: GivenMember) -> CurrentUser:
    return me_of(member)


@put(
    "/me/password",
    operation_id="changePassword",
    summary="Change the own password; all sessions end, and a new one begins.",
    responses=answers(413, 422),
)
async def change_password(request: AnyRequest, member: GivenMember) -> Response[LoginResponse]:
    asked = decoded(await request.body(), ChangePasswordRequest)
    return _entered(
        await doors.change_password(request, member, asked.current_password, asked.new_password)
    )


@get(
    "/me/sessions",
    operation_id="listMySessions",
    summary="List the own sessions, the latest first.",
    responses=answers(),
    guards=[require_own_password],
)
async def list_sessions(plane: GivenPlane, pools: GivenPools, member: GivenMember) -> SessionList:
    return await pools.read.run(partial(_sessions, plane.sessions.all, member))


def _sessions(read: Any, member: AuthenticatedUser) -> SessionList:
    return SessionList([seen(session, member) for session in read(member)])


@delete(
    "/me/sessions/{session_id:str}",
    operation_id="endMySession",
    summary="End one of the own sessions.",
    responses=answers(404),
    guards=[require_own_password],
)
async def end_session(
    plane: GivenPlane, pools: GivenPools, member: GivenMember, session_id: SessionId
) -> None:
    await pools.read.run(partial(plane.sessions.end, member, session_id))


@delete(
    "/me/sessions",
    operation_id="endMyOtherSessions",
    summary="End all of the own sessions but for the one that asks.",
    status_code=200,
    responses=answers(),
    guards=[require_own_password],
)
async def end_others(plane: GivenPlane, pools: GivenPools, member: GivenMember) -> EndedSessions:
    return EndedSessions(await pools.read.run(partial(plane.sessions.end_others, member)))


def _entered(signed_in: LoginResult) -> Response[LoginResponse]:
    return Response(welcome(signed_in), cookies=login_cookies(signed_in))


def routers() -> list[Router]:
    """Give what is under /v1 for people: for whoever comes, and for whoever is signed in."""
    mine = [
        sign_out,
        get_me,
        change_password,
        list_sessions,
        end_session,
        end_others,
        *own_tokens.HANDLERS,
    ]
    return [
        Router("/v1", route_handlers=[sign_in, set_password], **_SHARED),
        Router(
            "/v1",
            route_handlers=mine,
            middleware=[SESSION_AUTHENTICATION],
            security=[{"session": []}],
            **_SHARED,
        ),
    ]


_SHARED: Any = {"tags": ["people"], "request_max_body_size": SMALL_BODY}
