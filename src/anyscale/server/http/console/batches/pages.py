"""/console/batches: the list, one batch by its state, how far it is, and dropping it."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, QueryParameter
from msgspec import Struct

from anyscale.domain.models.batches import Batch
from anyscale.domain.models.mail import Mail, Mailing
from anyscale.domain.models.users import AdminCreatedUser
from anyscale.errors import BatchGone
from anyscale.server.background.file_runs import FileRuns
from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.accounts.queries import UserQueries
from anyscale.server.core.accounts.syncs import SyncService
from anyscale.server.core.batches.service import BatchService
from anyscale.server.core.login.links import PasswordLinkService
from anyscale.server.core.mail.queue import MailQueue
from anyscale.server.http.authentication import RENEWS_SESSION
from anyscale.server.http.console.batches.upload_form import CHOICES
from anyscale.server.http.console.batches.words import shown_state
from anyscale.server.http.console.mails import KINDS_IN_WORDS
from anyscale.server.http.console.users.filters import SIGN_IN, parts_of
from anyscale.server.http.dependencies import UserRequest
from anyscale.server.http.route_handlers import get, post
from anyscale.server.http.web.actors import names_in
from anyscale.server.http.web.console_page import Page, refused_form, render_console_page
from anyscale.server.http.web.templating import redirect
from anyscale.server.store.records.login import UnusedLinks
from anyscale.server.store.records.search import SkippedRecord

PATH = "/console/batches"

#: Users of a batch whose accounts are counted each time, which reads all of them. Those of a larger
#: one are counted when a link asks for it.
_COUNTED = 10_000

#: batches of a page, and users of a batch that its page shows
_PAGE, _USERS = 50, 20

#: mailings of a batch that its page shows
_MAILINGS = 5

#: Seconds after its last step while a batch may be worked on. A step is written once a minute.
_ACTIVE_SECONDS = 120.0

#: about a file that no page takes, on the page of a batch
TOO_LARGE = (
    "The file has more than 64 MB, so it was not imported here. If a command imports it, run the "
    "same command again, on the same machine: it continues."
)

_NOTES = {
    "dropped": "The import is cancelled: no user was created.",
    "undone": "The import is undone.",
    "mailed": "The users who cannot sign in get links by mail: see Mails below.",
}

Before = Annotated[str, QueryParameter(max_length=64)]


class Progress(Struct, frozen=True):
    """How far a batch is, for the page that watches it."""

    state: str
    #: whether this process runs it
    running: bool
    #: whether a command or another server has worked on it a moment ago
    active: bool
    users: int
    #: passwords that are not hashed yet
    due: int
    #: of 100, as far as this process knows; -1 if it does not
    percent: int
    text: str
    #: why the last run stopped; empty while another one runs
    message: str


@get("/batches", pool="read")
def list_batches(
    request: UserRequest,
    batches: NamedDependency[BatchService],
    file_runs: NamedDependency[FileRuns],
    users: NamedDependency[UserQueries],
    syncs: NamedDependency[SyncService],
    only: FromQuery[str] = "",
    before: Before = "",
    note: FromQuery[str] = "",
) -> Page:
    is_open = only == "open"
    found = batches.page(open_only=is_open, before=before, limit=_PAGE + 1)
    shown = found[:_PAGE]
    query = "only=open&" if is_open else ""
    return render_console_page(
        request,
        "batches/list",
        PATH,
        rows=[(batch, shown_state(batch, file_runs)) for batch in shown],
        is_open=is_open,
        names=names_in(shown, users),
        updates=syncs.of_batches([batch.batch_id for batch in shown]),
        first=f"{PATH}?{query}".rstrip("?&") if before else "",
        following=f"{PATH}?{query}before={shown[-1].batch_id}" if len(found) > _PAGE else "",
        note=_NOTES.get(note, ""),
    )


@get("/batches/{batch_id:str}", pool="read")
def show_batch(
    request: UserRequest,
    batch_id: FromPath[str],
    batches: NamedDependency[BatchService],
    file_runs: NamedDependency[FileRuns],
    users: NamedDependency[UserQueries],
    links: NamedDependency[PasswordLinkService],
    control_plane: NamedDependency[ControlPlane],
    mail_queue: NamedDependency[MailQueue],
    syncs: NamedDependency[SyncService],
    note: FromQuery[str] = "",
    counted: FromQuery[str] = "",
) -> Page:
    batch = batches.counts(batch_id)
    if batch.users + batch.skipped <= _COUNTED or counted:
        batch = batches.show(request.user, batch_id)
    created = batches.created(batch_id, "", _USERS) if batch.published_at else []
    settings = control_plane.settings
    mailings = mail_queue.list_mailings(limit=_MAILINGS, batch_id=batch_id)
    return batch_page(
        request,
        batch,
        file_runs,
        users=created,
        skipped=batches.skipped(batch_id, limit=_USERS) if batch.skipped else [],
        sign_ins=SIGN_IN,
        by_sign_in=parts_of(batches.sign_ins(batch_id), batch_id) if batch.remaining else [],
        **_without_sign_in(batch, batches, links),
        public_url=settings.public_url,
        initial=batches.initial_sign_ins(batch_id),
        password_until=_password_until(created, settings.initial_password_days),
        mailings=mailings,
        failed=_failed(mailings, mail_queue),
        kinds=KINDS_IN_WORDS,
        names=names_in([batch, *mailings], users),
        batches={batch_id: batch},
        update=syncs.of_batches([batch_id]).get(batch_id),
        note=_NOTES.get(note, ""),
    )


@get("/batches/{batch_id:str}/progress", pool="read", opt={RENEWS_SESSION: False})
def show_progress(
    batch_id: FromPath[str],
    batches: NamedDependency[BatchService],
    file_runs: NamedDependency[FileRuns],
) -> Progress:
    return _progress(batches.counts(batch_id), file_runs)


@post("/batches/{batch_id:str}/drop", pool="write")
def drop_batch(
    request: UserRequest,
    batch_id: FromPath[str],
    batches: NamedDependency[BatchService],
    file_runs: NamedDependency[FileRuns],
) -> Page:
    try:
        batch = batches.drop(request.user, batch_id)
    except BatchGone as error:
        return batch_page(
            request, batches.show(request.user, batch_id), file_runs, **refused_form(error)
        )
    return redirect(f"{PATH}/{batch.batch_id}?note=dropped")


def _failed(mailings: Sequence[Mailing], mail_queue: MailQueue) -> list[Mail]:
    """Return the first mails that have failed of the latest mailing."""
    if not mailings or not mailings[0].failed:
        return []
    of_latest = mailings[0].mailing_id
    return mail_queue.list_mails(failed=True, limit=_USERS, mailing_id=of_latest)


def _without_sign_in(
    batch: Batch, batches: BatchService, links: PasswordLinkService
) -> dict[str, Any]:
    """Return how many users cannot sign in, and how many of them have unused links, if counted."""
    if batch.without_credentials is None:
        return {}
    skipped = batches.skipped(batch.batch_id, without_credentials=True) if batch.skipped else []
    return {
        "without": batch.without_credentials + len(skipped),
        "linked": unused_links(links, batch.batch_id, skipped).count,
    }


def unused_links(
    links: PasswordLinkService, batch_id: str, skipped: Sequence[SkippedRecord]
) -> UnusedLinks:
    """Return the unused links of the users of a batch who cannot sign in, with `skipped` ones."""
    of_skipped = links.unused([user.user_id for user in skipped])
    return links.unused_in_batch(batch_id).with_others(of_skipped)


def _password_until(users: Sequence[AdminCreatedUser], days: int) -> datetime | None:
    """Return when the initial passwords of a batch expire, if they have not."""
    until = users[0].created_at + timedelta(days=days) if users else None
    return until if until and until > datetime.now(UTC) else None


def batch_page(request: UserRequest, batch: Batch, file_runs: FileRuns, **shown: Any) -> Page:
    """Render the page of a batch; `shown` has what is known besides it."""
    stopped = file_runs.stopped(batch.batch_id)
    chosen = stopped.fields if stopped else {}
    values: dict[str, Any] = {
        "users": [],
        "linked": 0,
        "without": batch.without_credentials,
        "skipped": [],
        "table": None,
        "by_sign_in": [],
        "mailings": [],
        "update": None,
        "names": {},
        "chosen": chosen,
        **shown,
    }
    return render_console_page(
        request,
        "batches/batch",
        PATH,
        module="batch.js" if batch.state == "open" else "",
        batch=batch,
        too_large=TOO_LARGE,
        # Without a row to compare with, every file looks like the one of the batch.
        is_comparable=bool(batch.users or batch.skipped),
        state=shown_state(batch, file_runs),
        progress=_progress(batch, file_runs),
        **CHOICES,
        **values,
    )


def _progress(batch: Batch, file_runs: FileRuns) -> Progress:
    run = file_runs.find(batch.batch_id)
    stopped = file_runs.stopped(batch.batch_id)
    phase, done, total = run.state.progress if run else ("", 0, 0)
    percent = -1
    if total and phase == "Hashing":
        percent = 20 + 80 * done // total
    elif total:
        percent = 20 * done // total
    text = "1 user read" if batch.users == 1 else f"{batch.users:,} users read"
    if due := batch.hashes_due:
        text += ", 1 password to secure" if due == 1 else f", {due:,} passwords to secure"
    if run and run.state.notice:
        text += f". {run.state.notice}"
    return Progress(
        state=batch.state,
        running=run is not None,
        active=run is None and _was_active(batch, file_runs),
        users=batch.users,
        due=batch.hashes_due,
        percent=percent,
        text=text,
        message=stopped.message if stopped and not run else "",
    )


def _was_active(batch: Batch, file_runs: FileRuns) -> bool:
    """Whether something else than this process may work on an open batch."""
    if batch.state != "open":
        return False
    # What worked on it before a server was started again has ended in most cases.
    since = max(time.time() - _ACTIVE_SECONDS, file_runs.started_at)
    return batch.touched_at.timestamp() > since


HANDLERS = [list_batches, show_batch, show_progress, drop_batch]
