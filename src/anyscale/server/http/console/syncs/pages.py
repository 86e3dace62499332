"""/console/sync: choose a file of everybody, look at the plan, do it, and see what was done."""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from litestar import Response
from litestar.di import NamedDependency
from litestar.params import FromPath
from msgspec import Struct

from anyscale.domain.models.sync import SyncPlan
from anyscale.domain.models.users import User
from anyscale.domain.names import full_name
from anyscale.errors import AnyscaleError, SyncStopped
from anyscale.server.background.file_runs import FileRuns
from anyscale.server.background.file_sync import FileSync, OpenQuestion
from anyscale.server.background.upload import Upload
from anyscale.server.core.accounts.bulk_changes import BulkChanges
from anyscale.server.core.accounts.queries import UserQueries
from anyscale.server.core.accounts.syncs import SyncService
from anyscale.server.core.search import NarrowedQuery, UserListing
from anyscale.server.http.authentication import RENEWS_SESSION
from anyscale.server.http.console.batches.columns import shown_table
from anyscale.server.http.console.batches.pages import PATH as BATCHES
from anyscale.server.http.console.batches.upload_form import (
    UPLOADS,
    CheckedForm,
    Uploads,
)
from anyscale.server.http.console.batches.uploads import MAX_UPLOAD
from anyscale.server.http.console.syncs.plan_result import (
    PLAN_FILE,
    plan_pages,
    problems_of,
    shown_plan,
)
from anyscale.server.http.console.users.listing import PAGE_USERS
from anyscale.server.http.dependencies import UserRequest
from anyscale.server.http.login.sign_in_again import require_recent_sign_in
from anyscale.server.http.refusals import count_refusal
from anyscale.server.http.route_handlers import get, post
from anyscale.server.http.web.actors import names_in
from anyscale.server.http.web.console_page import Page, host_of, render_console_page
from anyscale.server.http.web.forms import form_key_or_new
from anyscale.server.store.records.search import FoundUserRecord
from anyscale.server.store.records.syncs import SyncRecord

PATH = "/console/sync"

#: syncs that the page of the form lists
_LISTED = 5

#: Seconds while another process may work on a sync: it stores a step each second.
_ACTIVE_SECONDS = 120.0

#: seconds that a request waits for the end of a short run
_WAIT_SECONDS = 2.0


class Progress(Struct, frozen=True):
    """How far a sync is, for the page that watches it."""

    #: `open`, `done` or `stopped`
    state: str
    #: whether this process runs it
    running: bool
    #: whether another process has worked on it a moment ago
    active: bool
    #: of 100
    percent: int
    text: str
    #: why it stopped; empty if it did not, or another process knows
    message: str


class _UpdateForm(CheckedForm[FileSync]):
    """The form of an update."""

    template = "syncs/new"

    @property
    def too_large(self) -> str:
        command = f"anyscale user sync -f FILE --host {host_of(self.request)}"
        return (
            "The file is too large for this page: it has more than 64 MB, or changes more than "
            f"100,000 accounts. Use the command for it: {command}"
        )

    def new_check(self, upload: Upload) -> FileSync:
        return FileSync(self.uploads.control_plane, upload, self.request.user)

    async def new_run(self, upload: Upload) -> FileSync:
        self.require_recent_sign_in("this needs")
        key = form_key_or_new(self.fields.get("form_key", ""))
        return FileSync(self.uploads.control_plane, upload, self.request.user, key)

    def checked(self, run: FileSync) -> Response[Any]:
        plan = run.plan()
        if self.fields.get("as") == "csv":
            return PLAN_FILE.stream(plan_pages(plan))
        return self._planned(run, plan)

    async def opened(self, run: FileSync) -> Response[Any]:
        """Show the page of what a run does, or has done if that is short."""
        await asyncio.wait([asyncio.wrap_future(run.result.ended)], timeout=_WAIT_SECONDS)
        return await super().opened(run)

    def refused(self, run: FileSync, error: AnyscaleError) -> Response[Any]:
        if not isinstance(error, SyncStopped):
            return super().refused(run, error)
        count_refusal(error)
        questions = list(run.open_questions(error.plan))
        return self._planned(run, error.plan, questions, status=error.status)

    def page(self, **shown: Any) -> Page:
        return super().page(**{"latest": (), "names": {}} | shown)

    def _planned(
        self, run: FileSync, plan: SyncPlan, questions: Sequence[OpenQuestion] = (), **shown: Any
    ) -> Page:
        page_plan = shown_plan(run, plan)
        problems = problems_of(questions, page_plan)
        return self.page(result=page_plan, table=shown_table(run.file), problems=problems, **shown)


@get("/sync", guards=[require_recent_sign_in], pool="read", dependencies=UPLOADS)
def show_form(
    request: UserRequest,
    uploads: NamedDependency[Uploads],
    syncs: NamedDependency[SyncService],
    users: NamedDependency[UserQueries],
) -> Page:
    latest = syncs.latest(_LISTED)
    return _UpdateForm(request, uploads).page(latest=latest, names=names_in(latest, users))


@post("/sync/check", status_code=200, request_max_body_size=MAX_UPLOAD, dependencies=UPLOADS)
async def check(request: UserRequest, uploads: NamedDependency[Uploads]) -> Response[Any]:
    """Plan, and change nothing."""
    return await _UpdateForm(request, uploads).check()


@post("/sync", status_code=200, request_max_body_size=MAX_UPLOAD, dependencies=UPLOADS)
async def start(request: UserRequest, uploads: NamedDependency[Uploads]) -> Response[Any]:
    """Do what the plan says that the owner has seen and confirmed; or show what is open."""
    return await _UpdateForm(request, uploads).start()


@get("/sync/{sync_id:str}", pool="read")
def show_sync(
    request: UserRequest,
    sync_id: FromPath[str],
    syncs: NamedDependency[SyncService],
    file_runs: NamedDependency[FileRuns],
    listing: NamedDependency[UserListing],
    users: NamedDependency[UserQueries],
    bulk_changes: NamedDependency[BulkChanges],
) -> Page:
    sync, seconds = syncs.get(sync_id)
    suspended = bulk_changes.changed("suspend", sync.form_key)
    progress = _progress(sync, seconds, file_runs)
    without = listing.ordered(NarrowedQuery(sign_in="none"), limit=PAGE_USERS)
    return render_console_page(
        request,
        "syncs/sync",
        BATCHES,
        module="batch.js" if progress.state == "open" else "",
        sync=sync,
        names=names_in([sync], users),
        progress=progress,
        without=_people(without.users),
        suspended=_people(users.with_ids(suspended[:PAGE_USERS])),
        still_suspended=len(suspended),
        has_more=without.has_more or without.looked_up_to is not None,
    )


def _people(users: Sequence[User] | Sequence[FoundUserRecord]) -> list[dict[str, str]]:
    return [
        {"user_id": one.user_id, "name": full_name(one.name, one.lastname), "email": one.email}
        for one in users
    ]


@get("/sync/{sync_id:str}/progress", pool="read", opt={RENEWS_SESSION: False})
def show_progress(
    sync_id: FromPath[str],
    syncs: NamedDependency[SyncService],
    file_runs: NamedDependency[FileRuns],
) -> Progress:
    return _progress(*syncs.get(sync_id), file_runs)


def _progress(sync: SyncRecord, seconds: float, file_runs: FileRuns) -> Progress:
    run, stopped = file_runs.find(sync.sync_id), file_runs.stopped(sync.sync_id)
    is_active = sync.state == "running" and not stopped and seconds < _ACTIVE_SECONDS
    done = sync.created + sync.corrected + sync.suspended + sync.restored + sync.unchanged
    text = f"{done:,} of {sync.total:,} accounts"
    if run and run.state.notice:
        text += f". {run.state.notice}"
    ended = "stopped" if sync.state == "running" else sync.state
    return Progress(
        # What an active run has stored may be its end, before this process knows why it stopped.
        state="open" if run or is_active else ended,
        running=run is not None,
        active=run is None and is_active,
        percent=100 * done // max(sync.total, 1),
        text=text,
        message=stopped.message if stopped and not run else "",
    )


HANDLERS: Final = [show_form, check, start, show_sync, show_progress]
