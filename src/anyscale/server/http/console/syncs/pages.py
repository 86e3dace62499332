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
from anyscale.errors import AnyscaleError, BatchRefused, SyncStopped
from anyscale.server.background.file_runs import FileRuns
from anyscale.server.background.file_sync import FileSync, OpenQuestion
from anyscale.server.background.uploads import MemoryBudget
from anyscale.server.core.accounts.bulk_changes import BulkChanges
from anyscale.server.core.accounts.queries import UserQueries
from anyscale.server.core.accounts.syncs import SyncService
from anyscale.server.core.search import NarrowedQuery, UserListing
from anyscale.server.http.authentication import RENEWS_SESSION
from anyscale.server.http.console.batches.check_result import problems_file, wrong_file
from anyscale.server.http.console.batches.columns import column_problems, shown_table
from anyscale.server.http.console.batches.pages import PATH as BATCHES
from anyscale.server.http.console.batches.uploads import (
    CHOICES,
    MAX_UPLOAD,
    abandoned_with,
    receive_upload,
    refused_file,
    require_sign_in_for,
)
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
from anyscale.server.http.thread_pools import ThreadPools
from anyscale.server.http.web.actors import names_in
from anyscale.server.http.web.console_page import Page, host_of, render_console_page
from anyscale.server.http.web.forms import form_key_or_new
from anyscale.server.http.web.templating import redirect
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


@get("/sync", guards=[require_recent_sign_in], pool="read")
def show_form(
    request: UserRequest,
    syncs: NamedDependency[SyncService],
    users: NamedDependency[UserQueries],
) -> Page:
    latest = syncs.latest(_LISTED)
    return _page(request, {}, latest=latest, names=names_in(latest, users))


@post("/sync/check", status_code=200, request_max_body_size=MAX_UPLOAD)
async def check(
    request: UserRequest,
    memory_budget: NamedDependency[MemoryBudget],
    file_runs: NamedDependency[FileRuns],
    pools: NamedDependency[ThreadPools],
) -> Response[Any]:
    """Plan, and change nothing."""
    fields: dict[str, str] = {}
    try:
        async with receive_upload(request, memory_budget, fields) as upload:
            run = file_runs.check_sync(upload, request.user)
            with file_runs.checking(run):
                async with abandoned_with(request, upload), memory_budget.turn(upload):
                    return await pools.read.run(_checked, request, run, fields)
    except AnyscaleError as error:
        return _failed(request, fields, error)


@post("/sync", status_code=200, request_max_body_size=MAX_UPLOAD)
async def start(
    request: UserRequest,
    memory_budget: NamedDependency[MemoryBudget],
    file_runs: NamedDependency[FileRuns],
    pools: NamedDependency[ThreadPools],
) -> Response[Any]:
    """Do what the plan says that the owner has seen and confirmed; or show what is open."""
    fields: dict[str, str] = {}
    try:
        async with receive_upload(request, memory_budget, fields) as upload:
            require_sign_in_for(request, "this needs")
            key = form_key_or_new(fields.get("form_key", ""))
            run = file_runs.start_sync(upload, request.user, key)
            return await _started(request, run, fields, pools)
    except AnyscaleError as error:
        return _failed(request, fields, error)


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


def _checked(request: UserRequest, run: FileSync, fields: dict[str, str]) -> Response[Any]:
    try:
        plan = run.plan()
    except BatchRefused as error:
        return _wrong(request, run, error, fields)
    if fields.get("as") == "csv":
        return PLAN_FILE.stream(plan_pages(plan))
    return _planned(request, run, plan, fields)


async def _started(
    request: UserRequest,
    run: FileSync,
    fields: dict[str, str],
    pools: ThreadPools,
) -> Response[Any]:
    """Wait until a run does something, or has done it if that is short; show its page."""
    try:
        # A request that is cancelled does not cancel what others wait for.
        sync_id = await asyncio.shield(asyncio.wrap_future(run.opened))
    except BatchRefused as error:
        return await pools.read.run(_wrong, request, run, error, fields)
    except SyncStopped as error:
        return await pools.read.run(_stopped, request, run, error, fields)
    await asyncio.wait([asyncio.wrap_future(run.ended)], timeout=_WAIT_SECONDS)
    return redirect(f"{PATH}/{sync_id}")


def _stopped(
    request: UserRequest, run: FileSync, error: SyncStopped, fields: dict[str, str]
) -> Page:
    count_refusal(error)
    questions = list(run.open_questions(error.plan))
    return _planned(request, run, error.plan, fields, questions, status=error.status)


def _planned(
    request: UserRequest,
    run: FileSync,
    plan: SyncPlan,
    fields: dict[str, str],
    questions: list[OpenQuestion] | None = None,
    **values: Any,
) -> Page:
    page_plan = shown_plan(run, plan)
    problems = problems_of(questions or [], page_plan)
    table = shown_table(run.file)
    return _page(request, fields, plan=page_plan, table=table, problems=problems, **values)


def _wrong(
    request: UserRequest, run: FileSync, error: BatchRefused, fields: dict[str, str]
) -> Page:
    count_refusal(error)
    if fields.get("as") == "text":
        return problems_file(run, error)
    return _page(
        request,
        fields,
        wrong=wrong_file(run, error, request.app.state.users),
        table=shown_table(run.file),
        problems=column_problems(run.file.choices, error.problems),
        status=error.status,
    )


def _failed(request: UserRequest, fields: dict[str, str], error: AnyscaleError) -> Page:
    return _page(request, fields, **refused_file(error, _too_large(request)))


def _too_large(request: UserRequest) -> str:
    command = f"anyscale user sync -f FILE --host {host_of(request)}"
    return (
        "The file is too large for this page: it has more than 64 MB, or changes more than "
        f"100,000 accounts. Use the command for it: {command}"
    )


def _page(request: UserRequest, fields: dict[str, str], **values: Any) -> Page:
    shown: dict[str, Any] = {
        "plan": None,
        "wrong": None,
        "table": None,
        "latest": (),
        "names": {},
    }
    return render_console_page(
        request,
        "syncs/new",
        BATCHES,
        module="batch.js",
        too_large=_too_large(request),
        chosen=fields,
        **CHOICES,
        **(shown | values),
    )


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
