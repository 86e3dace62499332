"""/console/batches/{batch_id}/links: links for all users of a batch who cannot sign in.

They include the users whose entries were skipped, since they had accounts, and who cannot sign in
to these. While some users have unused links, the page is for the others; with `?only=linked` it is
to create the unused links again.
"""

from collections.abc import AsyncIterator, Sequence
from typing import Any, Literal, NamedTuple

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
from anyscale.server.http.console.batches.pages import PATH, unused_links
from anyscale.server.http.dependencies import UserRequest
from anyscale.server.http.login.sign_in_again import require_recent_sign_in
from anyscale.server.http.route_handlers import get, post
from anyscale.server.http.thread_pools import ThreadPools
from anyscale.server.http.web.console_page import (
    Page,
    refused_form,
    render_console_page,
)
from anyscale.server.http.web.forms import read_form, read_number
from anyscale.server.http.web.records_file import (
    BY_MAIL,
    LINK_NOTES,
    Named,
    Rows,
    link_rows,
    links_file,
)
from anyscale.server.http.web.templating import redirect

#: users of whom the page is: all, those who have an unused link, or those who have none
_Only = Literal["", "linked", "missing"]


class _Users(NamedTuple):
    """Users of a batch who cannot sign in, and the last ones before the next part of them."""

    users: Sequence[Named] = ()
    #: of the accounts that the batch has created
    last_id: str = ""
    #: of the skipped entries, whose accounts come after them
    last_position: int | None = None


class _Created(NamedTuple):
    of: _Users
    links: list[PasswordLink]


@get("/batches/{batch_id:str}/links", pool="read", guards=[require_recent_sign_in])
def ask_for_links(
    request: UserRequest,
    batch_id: FromPath[str],
    batches: NamedDependency[BatchService],
    links: NamedDependency[PasswordLinkService],
    mail_queue: NamedDependency[MailQueue],
    note: FromQuery[str] = "",
    only: FromQuery[Literal["", "linked"]] = "",
) -> Page:
    shown = LINK_NOTES.get(note, "")
    return _question(request, batches, links, mail_queue, batch_id, only, note=shown)


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
    text, seen, chosen = read_form(request, body, "format", "mailing", "only")
    only: _Only = "linked" if chosen == "linked" else "missing" if chosen == "missing" else ""
    newest = read_number(request, body, "newest")
    parts = _Parts(batches, links, batch_id, request.user, only)
    try:
        if text == BY_MAIL:
            await pools.write.run(parts.mail, seen, newest)
            return redirect(f"{PATH}/{batch_id}?note=mailed")
        first = await pools.write.run(parts.create, _Users(), newest)
    except AlreadyReplaced:
        return redirect(f"{PATH}/{batch_id}/links?note=repeated")
    except AnyscaleError as error:
        shown = refused_form(error)
        return await pools.read.run(
            _question, request, batches, links, mail_queue, batch_id, only, **shown
        )
    return links_file(text).stream(_pages(parts, pools, first))


async def _pages(parts: "_Parts", pools: ThreadPools, created: _Created) -> AsyncIterator[Rows]:
    yield link_rows(created.links, created.of.users)
    while created.of.users:
        # The file must be complete, so a full pool ends nothing.
        created = await pools.write.run_when_free(parts.create, created.of)
        yield link_rows(created.links, created.of.users)


class _Parts(NamedTuple):
    """The users of a batch who cannot sign in, a part at a time."""

    batches: BatchService
    links: PasswordLinkService
    batch_id: str
    caller: SessionCaller
    only: _Only

    def create(self, before: _Users, newest: int | None = None) -> _Created:
        """Create links for the next part, but for users who were suspended or deleted meanwhile."""
        if newest is not None:
            self._require_seen(newest)
        part = self._after(before)
        ids = self._chosen(part)
        created = self.links.create(self.caller, ids, newest, skip="inactive")
        return _Created(part, created)

    def mail(self, seen: str, newest: int) -> None:
        """Request that they get links by mail."""
        self._require_seen(newest)
        if self.only:
            part = self._after(_Users())
            while part.users:
                self.links.mail(self.caller, self._chosen(part), skip="inactive")
                part = self._after(part)
            return
        if self.links.without_credentials(self.batch_id, "", 1):
            self.links.mail_many(self.caller, self.batch_id, seen)
        skipped = self.batches.skipped(self.batch_id, without_credentials=True)
        for start in range(0, len(skipped), MOST):
            ids = [user.user_id for user in skipped[start : start + MOST]]
            self.links.mail(self.caller, ids, newest, skip="inactive")

    def _require_seen(self, newest: int) -> None:
        """Raise `AlreadyReplaced` if the form of some of the users arrives twice."""
        skipped = self.batches.skipped(self.batch_id, without_credentials=True)
        if self.only and unused_links(self.links, self.batch_id, skipped).newest > newest:
            raise AlreadyReplaced("a link was created after the caller has looked")

    def _chosen(self, part: _Users) -> list[str]:
        ids = [user.user_id for user in part.users]
        if not self.only:
            return ids
        linked = self.links.linked(ids)
        return [one for one in ids if (one in linked) == (self.only == "linked")]

    def _after(self, before: _Users) -> _Users:
        if before.last_position is None:
            users = self.links.without_credentials(self.batch_id, before.last_id, MOST)
            if users:
                return _Users(users, users[-1].user_id)
        last = -1 if before.last_position is None else before.last_position
        skipped = self.batches.skipped(self.batch_id, last, MOST, without_credentials=True)
        return _Users(skipped, last_position=skipped[-1].position if skipped else last)


def _question(
    request: UserRequest,
    batches: BatchService,
    links: PasswordLinkService,
    mail_queue: MailQueue,
    batch_id: str,
    only: _Only,
    **shown: Any,
) -> Page:
    latest = mail_queue.list_mailings(limit=1, batch_id=batch_id)
    skipped = batches.skipped(batch_id, without_credentials=True)
    batch, unused = batches.show(request.user, batch_id), unused_links(links, batch_id, skipped)
    count = (batch.without_credentials or 0) + len(skipped)
    if 0 < unused.count < count:
        only = only or "missing"
    return render_console_page(
        request,
        "batches/links",
        PATH,
        module="download.js",
        batch=batch,
        skipped=len(skipped),
        count={"": count, "linked": unused.count, "missing": count - unused.count}[only],
        unused=structs.replace(unused, count=0) if only == "missing" else unused,
        linked=unused.count,
        only=only,
        mailing=latest[0] if latest else None,
        **shown,
    )


HANDLERS = [ask_for_links, create_links]
