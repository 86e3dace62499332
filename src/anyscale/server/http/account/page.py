"""The page of a person's own account: who I am here, where I am signed in, my tokens."""

from contextlib import suppress
from functools import partial
from typing import Any

from litestar import Request, Response, get, post
from litestar.params import FromQuery

from anyscale.errors import ConfigError, NotFound, RequestInvalid
from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.login.sessions import AuthenticatedUser
from anyscale.server.http.account.view_models import (
    full_name,
    session_views,
    time_of,
    token_views,
    ways_in,
)
from anyscale.server.http.authentication import require_own_password
from anyscale.server.http.cookies import SESSION, expired_cookie
from anyscale.server.http.dependencies import GivenMember, GivenPlane, GivenPools
from anyscale.server.http.thread_pools import ThreadPools
from anyscale.server.http.web.forms import form_of, sentence
from anyscale.server.http.web.templating import redirect, rendered

__all__ = ["HANDLERS"]

AnyRequest = Request[Any, Any, Any]
Page = Response[str]

#: sessions that a page shows; nobody reads more
_MOST_SESSIONS = 20

_NOTES = {
    "password_changed": "Your password is changed. All your other sessions have ended.",
    "password_set": "Your password is set, and you are signed in.",
    "session_ended": "The session has ended.",
    "sessions_ended": "Your other sessions have ended.",
    "token_revoked": "The token is revoked. Whatever used it cannot sign in any more.",
}

#: what the form offers -> days until the token expires
_DAYS = {"30": 30, "90": 90, "365": 365, "": None}


@get("/", guards=[require_own_password])
async def account(
    plane: GivenPlane, pools: GivenPools, member: GivenMember, note: FromQuery[str] = ""
) -> Page:
    return await _account(plane, pools, member, note=_NOTES.get(note, ""))


async def _account(
    plane: ControlPlane,
    pools: ThreadPools,
    member: AuthenticatedUser,
    *,
    note: str = "",
    problem: str = "",
    status: int = 200,
) -> Page:
    words = await pools.read.run(partial(_account_words, plane, member))
    return rendered("account", note=note, problem=problem, status=status, **words)


def _account_words(plane: ControlPlane, member: AuthenticatedUser) -> dict[str, Any]:
    sessions, now = list(plane.sessions.all(member)), plane.now()
    lines = session_views(sessions, member, now)
    return {
        "member": member,
        "name": full_name(member.account),
        "ways": ways_in(member.account),
        "since": time_of(member.account.created_at),
        "passwords": not plane.settings.policy.sso_only and member.account.password_hash,
        "sessions": lines[:_MOST_SESSIONS],
        "more": len(lines[_MOST_SESSIONS:]),
        "tokens": token_views(plane.tokens.list_live(member.account.user_id), now),
    }


@post("/sessions/end", guards=[require_own_password])
async def end_session(
    request: AnyRequest, plane: GivenPlane, pools: GivenPools, member: GivenMember
) -> Page:
    (session_id,) = await form_of(request, "session_id")
    await pools.read.run(partial(_end, plane, member, session_id))
    if session_id == member.session.session_id:
        return redirect("/sign-in?note=signed_out", expired_cookie(SESSION))
    return redirect("/?note=session_ended")


def _end(plane: ControlPlane, member: AuthenticatedUser, session_id: str) -> None:
    with suppress(NotFound):  # it has ended by itself meanwhile
        plane.sessions.end(member, session_id)


@post("/sessions/end-others", guards=[require_own_password])
async def end_others(plane: GivenPlane, pools: GivenPools, member: GivenMember) -> Page:
    await pools.read.run(partial(plane.sessions.end_others, member))
    return redirect("/?note=sessions_ended")


@post("/tokens", guards=[require_own_password])
async def make_token(
    request: AnyRequest, plane: GivenPlane, pools: GivenPools, member: GivenMember
) -> Page:
    name, days = await form_of(request, "name", "days")
    if days not in _DAYS:
        raise RequestInvalid("there is no such choice")
    user_id = member.account.user_id
    create = partial(plane.tokens.create_personal, user_id, name.strip(), _DAYS[days])
    try:
        secret, token = await pools.read.run(create)
    except ConfigError as error:
        problem = sentence(error)
        return await _account(plane, pools, member, problem=problem, status=error.status)
    # In this answer alone: to be sent on, it would have to be kept or to stand in an address.
    return rendered("token", member=member, problem="", token=secret, name=token.name)


@post("/tokens/revoke", guards=[require_own_password])
async def revoke_token(
    request: AnyRequest, plane: GivenPlane, pools: GivenPools, member: GivenMember
) -> Page:
    (token_id,) = await form_of(request, "token_id")
    await pools.read.run(partial(_revoke, plane, member, token_id))
    return redirect("/?note=token_revoked")


def _revoke(plane: ControlPlane, member: AuthenticatedUser, token_id: str) -> None:
    with suppress(NotFound):  # it was revoked in another window meanwhile
        plane.tokens.revoke_personal(member.account.user_id, token_id)


HANDLERS = [account, end_session, end_others, make_token, revoke_token]
