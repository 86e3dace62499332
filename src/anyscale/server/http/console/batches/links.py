"""/console/batches/{batch_id}/links: links for all users of a batch who cannot sign in."""

from collections.abc import AsyncIterator
from typing import Any

from litestar import Response
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, RawBody
from msgspec import structs

from anyscale.domain.models.users import PasswordLink
from anyscale.errors import AlreadyReplaced, AnyscaleError
from anyscale.server.core.batches.service import BatchService
from anyscale.server.core.callers import SessionCaller
from anyscale.server.core.login.links import MOST, PasswordLinkService
from anyscale.server.core.mail.queue import MailQueue
from anyscale.server.http.console.batches.pages import PATH
from anyscale.server.http.dependencies import UserRequest
from anyscale.server.http.login.sign_in_again import require_recent_sign_in
from anyscale.server.http.route_handlers import get, post
from anyscale.server.http.thread_pools import ThreadPools
from anyscale.server.http.web.console_page import (
    NOT_OF_THE_FORM,
    Page,
    refused_form,
    render_console_page,
)
from anyscale.server.http.web.forms import read_form, read_number
from anyscale.server.http.web.records_file import BY_MAIL, LINK_NOTES, Rows, links_file
from anyscale.server.http.web.templating import redirect

__all__ = ["HANDLERS"]


@get("/batches/{batch_id:str}/links", pool="read", guards=[require_recent_sign_in])
def ask_for_links(
    request: UserRequest,
    batch_id: FromPath[str],
    batches: NamedDependency[BatchService],
    links: NamedDependency[PasswordLinkService],
    mail_queue: NamedDependency[MailQueue],
    note: FromQuery[str] = "",
) -> Page:
    shown = LINK_NOTES.get(note, "")
    return _question(request, batches, links, mail_queue, batch_id, note=shown)


@post("/batches/{batch_id:str}/links", status_code=200)
async def create_links(
    request: UserRequest,
    batch_id: FromPath[str],
    body: RawBody,
    batches: NamedDependency[BatchService],
    links: NamedDependency[PasswordLinkService],
    mail_queue: NamedDependency[MailQueue],
    pools: NamedDependency[ThreadPools],
) -> Response[Any]:
    """Create the links, and send them as a file: no address and no later page has them.

    Or request that they are mailed. A form that arrives twice does neither: it names the newest
    link and the latest mailing that its user has seen.
    """
    text, seen = read_form(request, body, "format", "mailing")
    newest = read_number(request, body, "newest")
    try:
        if text == BY_MAIL:
            await pools.write.run(links.mail_many, batch_id, request.user, seen)
            return redirect(f"{PATH}/{batch_id}?note=mailed")
        first = await pools.write.run(_create, links, batch_id, "", request.user, newest)
    except AlreadyReplaced:
        return redirect(f"{PATH}/{batch_id}/links?note=repeated")
    except NOT_OF_THE_FORM:
        raise
    except AnyscaleError as error:
        shown = refused_form(error)
        return await pools.read.run(
            _question, request, batches, links, mail_queue, batch_id, **shown
        )
    return links_file(text).stream(_pages(links, pools, batch_id, first, request.user))


async def _pages(
    links: PasswordLinkService,
    pools: ThreadPools,
    batch_id: str,
    created: list[PasswordLink],
    caller: SessionCaller,
) -> AsyncIterator[Rows]:
    yield map(structs.asdict, created)
    while created:
        # The file must be complete, so a full pool ends nothing.
        after = created[-1].user_id
        created = await pools.write.run_when_free(_create, links, batch_id, after, caller)
        yield map(structs.asdict, created)


def _create(
    links: PasswordLinkService,
    batch_id: str,
    after: str,
    caller: SessionCaller,
    newest: int | None = None,
) -> list[PasswordLink]:
    """Create links for the next users who cannot sign in, after a `user_id`."""
    users = links.without_credentials(batch_id, after, MOST)
    return links.create([user.user_id for user in users], caller, newest)


def _question(
    request: UserRequest,
    batches: BatchService,
    links: PasswordLinkService,
    mail_queue: MailQueue,
    batch_id: str,
    **shown: Any,
) -> Page:
    latest = mail_queue.list_mailings(limit=1, batch_id=batch_id)
    return render_console_page(
        request,
        "batches/links",
        PATH,
        module="download.js",
        batch=batches.show(batch_id, request.user),
        unused=links.unused_in_batch(batch_id),
        mailing=latest[0] if latest else None,
        **shown,
    )


HANDLERS = [ask_for_links, create_links]
