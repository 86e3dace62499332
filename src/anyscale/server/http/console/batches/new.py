"""/console/batches/new: choose a users file, check it, create or continue a batch."""

import asyncio
import re
import secrets
from typing import Any

from litestar.di import NamedDependency
from litestar.params import FromPath

from anyscale.errors import AnyscaleError, BatchRefused, BatchUndone, BatchUnfinished, KeyReused
from anyscale.server.background.file_run import FileRun
from anyscale.server.background.file_runs import FileRuns
from anyscale.server.background.uploads import MemoryBudget, Upload
from anyscale.server.core.batches.service import BatchService
from anyscale.server.http.console.batches.check_result import (
    GoodFile,
    WrongFile,
    check_file,
    problem_lines,
    problems_file,
    wrong_file,
)
from anyscale.server.http.console.batches.columns import (
    ShownTable,
    column_problems,
    shown_table,
)
from anyscale.server.http.console.batches.pages import PATH, TOO_LARGE, batch_page
from anyscale.server.http.console.batches.uploads import (
    CHOICES,
    MAX_UPLOAD,
    abandoned_with,
    receive_upload,
    refused_file,
    require_sign_in_for,
    too_large,
)
from anyscale.server.http.dependencies import UserRequest
from anyscale.server.http.refusals import count_refusal
from anyscale.server.http.route_handlers import get, post
from anyscale.server.http.thread_pools import ThreadPools
from anyscale.server.http.web.console_page import Page, render_console_page
from anyscale.server.http.web.templating import redirect

_UNDONE = "the import of this page was undone: press the button again to begin a new one"

_KEY = re.compile("[0-9a-z-]{1,64}")


@get("/batches/new")
async def show_form(request: UserRequest) -> Page:
    return _page(request, {})


@post("/batches/check", status_code=200, request_max_body_size=MAX_UPLOAD)
async def check(
    request: UserRequest,
    memory_budget: NamedDependency[MemoryBudget],
    file_runs: NamedDependency[FileRuns],
    pools: NamedDependency[ThreadPools],
) -> Page:
    fields: dict[str, str] = {}
    try:
        async with receive_upload(request, memory_budget, fields) as upload:
            run = file_runs.check(upload, request.user)
            with file_runs.checking(run):
                async with abandoned_with(request, upload), memory_budget.turn(upload):
                    return await pools.read.run(_checked, request, run, fields)
    except AnyscaleError as error:
        return _failed(request, fields, error)


@post("/batches", status_code=200, request_max_body_size=MAX_UPLOAD)
async def create(
    request: UserRequest,
    memory_budget: NamedDependency[MemoryBudget],
    file_runs: NamedDependency[FileRuns],
    pools: NamedDependency[ThreadPools],
) -> Page:
    fields: dict[str, str] = {}
    try:
        async with receive_upload(request, memory_budget, fields) as upload:
            _require_recent_sign_in(request, upload)
            run = file_runs.start(upload, request.user, f"console-{_key(fields)}")
            return await _opened(request, run, fields, pools)
    except AnyscaleError as error:
        return _failed(request, fields, error)


@post("/batches/{batch_id:str}/continue", status_code=200, request_max_body_size=MAX_UPLOAD)
async def go_on(
    request: UserRequest,
    batch_id: FromPath[str],
    batches: NamedDependency[BatchService],
    memory_budget: NamedDependency[MemoryBudget],
    file_runs: NamedDependency[FileRuns],
    pools: NamedDependency[ThreadPools],
) -> Page:
    batch = await pools.read.run(batches.show, request.user, batch_id)
    if batch.state != "open":
        return redirect(f"{PATH}/{batch.batch_id}")
    fields: dict[str, str] = {}
    try:
        async with receive_upload(request, memory_budget, fields) as upload:
            _require_recent_sign_in(request, upload)
            key = await pools.read.run(batches.key_of, request.user, batch_id)
            run = file_runs.start(upload, request.user, key, batch.batch_id, batch.if_exists)
            await _batch_id(run)  # the file was compared with the batch
    except BatchRefused as error:
        count_refusal(error)
        first = problem_lines(run, error).partition("\n")[0]
        text = f"This is not the file of this import, or it was changed: {first}"
        shown = _table_shown(run, error)
        shown["problems"].insert(0, (text, "file"))
        return batch_page(request, batch, file_runs, chosen=fields, **shown)
    except AnyscaleError as error:
        shown = refused_file(error, TOO_LARGE)
        return batch_page(request, batch, file_runs, chosen=fields, **shown)
    return redirect(f"{PATH}/{batch.batch_id}")


def _require_recent_sign_in(request: UserRequest, upload: Upload) -> None:
    if upload.mail_links:
        require_sign_in_for(request, "links by mail need")


async def _batch_id(run: FileRun) -> str:
    """Wait until the batch of a run is open and has the same file, or raise the run's error."""
    # A request that is cancelled does not cancel what others wait for.
    return await asyncio.shield(asyncio.wrap_future(run.opened))


async def _opened(
    request: UserRequest, run: FileRun, fields: dict[str, str], pools: ThreadPools
) -> Page:
    """Wait until the batch of a run is open, or a small one is created; show its page."""
    try:
        batch_id = await _batch_id(run)
    except BatchRefused as error:
        return await pools.read.run(_wrong, request, run, error, fields)
    except BatchUnfinished as error:
        if error.batch_id:
            return redirect(f"{PATH}/{error.batch_id}")
        raise
    return redirect(f"{PATH}/{batch_id}")


def _key(fields: dict[str, str]) -> str:
    """Return the idempotency key of the page, or a new one."""
    key = fields.get("key", "")
    return key if _KEY.fullmatch(key) else secrets.token_hex(16)


def _checked(request: UserRequest, run: FileRun, fields: dict[str, str]) -> Page:
    try:
        good = check_file(run)
    except BatchRefused as error:
        if fields.get("as") == "text":
            return problems_file(run, error)
        return _wrong(request, run, error, fields)
    return _page(request, fields, good=good, table=shown_table(run.file))


def _wrong(request: UserRequest, run: FileRun, error: BatchRefused, fields: dict[str, str]) -> Page:
    count_refusal(error)
    wrong = wrong_file(run, error, request.app.state.users)
    return _page(request, fields, wrong=wrong, **_table_shown(run, error))


def _table_shown(run: FileRun, error: BatchRefused) -> dict[str, Any]:
    """Return the arguments of a page that shows the columns of a file, and what is wrong there."""
    choices = run.file.choices
    problems = column_problems(choices, error.problems)
    return {"table": shown_table(run.file), "problems": problems, "status": error.status}


def _failed(request: UserRequest, fields: dict[str, str], error: AnyscaleError) -> Page:
    if isinstance(error, KeyReused | BatchUndone):
        fields = {**fields, "key": ""}  # else the same happens again
    if isinstance(error, BatchUndone):
        error = BatchUndone(_UNDONE)
    return _page(request, fields, **refused_file(error))


def _page(
    request: UserRequest,
    fields: dict[str, str],
    *,
    good: GoodFile | None = None,
    wrong: WrongFile | None = None,
    table: ShownTable | None = None,
    **shown: Any,
) -> Page:
    return render_console_page(
        request,
        "batches/new",
        PATH,
        module="batch.js",
        too_large=too_large(request),
        chosen=fields,
        # One key for the whole page: "Create" twice is one batch.
        key=_key(fields),
        good=good,
        wrong=wrong,
        table=table,
        **CHOICES,
        **shown,
    )


HANDLERS = [show_form, check, create, go_on]
