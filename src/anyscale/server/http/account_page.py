"""The page of a person's own account: who I am here, where I am signed in, my tokens."""

import time
from contextlib import suppress
from functools import partial
from typing import Any

from litestar import Request, Response, get, post
from litestar.handlers import BaseRouteHandler
from litestar.params import FromQuery

from anyscale.errors import NotFound
from anyscale.server.core.sessions import Member
from anyscale.server.http.cookies import SESSION, gone
from anyscale.server.http.forms import form_of
from anyscale.server.http.given import Connection, GivenLanes, GivenMember, GivenPlane
from anyscale.server.http.members import member_of
from anyscale.server.http.rendering import redirect, rendered
from anyscale.server.http.views import full_name, session_views, time_of, ways_in
from anyscale.server.plane import ControlPlane

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
}


async def settled_only(connection: Connection, _: BaseRouteHandler) -> None:
    """Let pass who chose the own password."""
    member_of(connection).require_own_password()


@get("/", guards=[settled_only])
async def account(
    plane: GivenPlane, lanes: GivenLanes, member: GivenMember, note: FromQuery[str] = ""
) -> Page:
    words = await lanes.reading.run(partial(_account_words, plane, member))
    return rendered("account", note=_NOTES.get(note, ""), problem="", **words)


def _account_words(plane: ControlPlane, member: Member) -> dict[str, Any]:
    sessions = list(plane.sessions.all(member))
    lines = session_views(sessions, member, time.time_ns() // 1_000_000)
    return {
        "member": member,
        "name": full_name(member.account),
        "ways": ways_in(member.account),
        "since": time_of(member.account.created_at),
        "passwords": not plane.settings.policy.sso_only and member.account.password_hash,
        "sessions": lines[:_MOST_SESSIONS],
        "more": len(lines[_MOST_SESSIONS:]),
    }


@post("/sessions/end", guards=[settled_only])
async def end_session(
    request: AnyRequest, plane: GivenPlane, lanes: GivenLanes, member: GivenMember
) -> Page:
    (session_id,) = await form_of(request, "session_id")
    await lanes.reading.run(partial(_end, plane, member, session_id))
    if session_id == member.session.session_id:
        return redirect("/sign-in?note=signed_out", gone(SESSION))
    return redirect("/?note=session_ended")


def _end(plane: ControlPlane, member: Member, session_id: str) -> None:
    with suppress(NotFound):  # it has ended by itself meanwhile
        plane.sessions.end(member, session_id)


@post("/sessions/end-others", guards=[settled_only])
async def end_others(plane: GivenPlane, lanes: GivenLanes, member: GivenMember) -> Page:
    await lanes.reading.run(partial(plane.sessions.end_others, member))
    return redirect("/?note=sessions_ended")


HANDLERS = [account, end_session, end_others]
