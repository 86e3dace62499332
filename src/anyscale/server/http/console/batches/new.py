"""/console/batches/new: choose a users file, check it, create or continue a batch."""

import asyncio
import re
import secrets
from typing import Any

from litestar import Response
from litestar.di import NamedDependency
from litestar.params import FromPath

from anyscale.domain.validation import shown
from anyscale.errors import (
    AnyscaleError,
    BatchRefused,
    BatchUnfinished,
    ConfigError,
    KeyReused,
    Overloaded,
    RequestInvalid,
    TooLarge,
)
from anyscale.server.background.file_run import FileRun
from anyscale.server.background.file_runs import FileRuns
from anyscale.server.background.uploads import MemoryBudget, Upload
from anyscale.server.core.batches.service import BatchService
from anyscale.server.http.console.batches.check_result import (
    GoodFile,
    WrongFile,
    check_file,
    problem_lines,
    wrong_file,
)
from anyscale.server.http.console.batches.pages import PATH, TOO_LARGE, batch_page
from anyscale.server.http.console.batches.uploads import (
    CHOICES,
    MAX_UPLOAD,
    abandoned_with,
    receive_upload,
    too_large,
)
from anyscale.server.http.dependencies import UserRequest
from anyscale.server.http.refusals import count_refusal, retry_after
from anyscale.server.http.route_handlers import get, post
from anyscale.server.http.thread_pools import ThreadPools
from anyscale.server.http.web.console_page import Page, render_console_page
from anyscale.server.http.web.forms import sentence
from anyscale.server.http.web.templating import redirect
from anyscale.users_file.tables.header import column_name

__all__ = ["HANDLERS"]

_KEY = re.compile("[0-9a-z-]{1,64}")

#: errors that the page shows, before a run has started
_OF_UPLOADS = (ConfigError, KeyReused, Overloaded, RequestInvalid, TooLarge)

_TOO_OLD = (
    "links by mail need a sign-in of the last 15 minutes: open /sign-in-again in another "
    "tab, and then send this form again"
)

#: columns that a message names
_NAMED = 5


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
            async with abandoned_with(request, upload), memory_budget.turn(upload):
                return await pools.read.run(_checked, request, run, fields)
    except _OF_UPLOADS as error:
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
    except _OF_UPLOADS as error:
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
    batch = await pools.read.run(batches.show, batch_id, request.user)
    if batch.state != "open":
        return redirect(f"{PATH}/{batch.batch_id}")
    fields: dict[str, str] = {}
    try:
        async with receive_upload(request, memory_budget, fields) as upload:
            _require_recent_sign_in(request, upload)
            key = await pools.read.run(batches.key_of, batch_id, request.user)
            run = file_runs.start(upload, request.user, key, batch.batch_id, batch.if_exists)
            await _batch_id(run)  # the file was compared with the batch
    except BatchRefused as error:
        shown = _columns_shown(run, error, fields, "Continue")
        text = "This is not the file of this batch, or it was changed: " + str(error.problems[0])
        shown["problems"].insert(0, (text, "file"))
        return batch_page(request, batch, file_runs, **shown)
    except TooLarge as error:
        shown = _refused(TOO_LARGE, status=error.status)
        return batch_page(request, batch, file_runs, chosen=fields, **shown)
    except AnyscaleError as error:
        return batch_page(request, batch, file_runs, chosen=fields, **_shown(error))
    return redirect(f"{PATH}/{batch.batch_id}")


def _require_recent_sign_in(request: UserRequest, upload: Upload) -> None:
    """Raise `RequestInvalid`, not `SignInTooOld`, whose page would lose the chosen file."""
    if upload.mail_links and not request.user.has_recent_sign_in:
        raise RequestInvalid(_TOO_OLD)


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
        return _failed(request, fields, error)
    except AnyscaleError as error:
        return _failed(request, fields, error)
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
            return _text(error)
        return _wrong(request, run, error, fields)
    except AnyscaleError as error:
        return _failed(request, fields, error)
    return _page(request, fields, good=good)


def _wrong(request: UserRequest, run: FileRun, error: BatchRefused, fields: dict[str, str]) -> Page:
    count_refusal(error)
    shown = _columns_shown(run, error, fields, "Check the file")
    return _page(request, shown.pop("chosen"), wrong=wrong_file(run, error), **shown)


def _columns_shown(
    run: FileRun, error: BatchRefused, fields: dict[str, str], button: str
) -> dict[str, Any]:
    """Return the arguments of a page that shows what is wrong with columns, at their field.

    It proposes lines that leave out those that stand for no field; `button` sends them.
    """
    problems = [(sentence(p.detail), "columns") for p in error.problems if p.code == "columns"]
    unknown = run.file.columns_to_leave_out.values()
    if headers := list({column_name(header): header for header in unknown}.values()):
        lines = [fields.get("columns", "").rstrip(), *(f"{header}=" for header in headers)]
        fields = {**fields, "columns": "\n".join(filter(None, lines))}
        problems.append((_proposal(headers, button), "columns"))
    return {"problems": problems, "chosen": fields, "status": error.status}


def _proposal(headers: list[str], button: str) -> str:
    names = ", ".join(map(shown, headers[:_NAMED]))
    more = f" and {len(headers) - _NAMED} more" if len(headers) > _NAMED else ""
    columns, them, fields = (
        (f"column {names} stands", "it", "its field")
        if len(headers) == 1
        else (f"columns {names}{more} stand", "them", "their fields")
    )
    return (
        f'The {columns} for no field. Press "{button}" again to leave {them} out, or write '
        f"{fields} below."
    )


def _text(error: BatchRefused) -> Response[str]:
    headers = {"Content-Disposition": 'attachment; filename="problems.txt"'}
    return Response(problem_lines(error), media_type="text/plain; charset=utf-8", headers=headers)


def _failed(request: UserRequest, fields: dict[str, str], error: AnyscaleError) -> Page:
    if isinstance(error, KeyReused):
        fields = {**fields, "key": ""}  # else the same happens again
    return _page(request, fields, **_shown(error))


def _shown(error: AnyscaleError) -> dict[str, Any]:
    """Return the arguments of a page that shows an error of a run, also one of the server."""
    count_refusal(error)
    field = "columns" if isinstance(error, ConfigError) else "file"
    shown = _refused(sentence(str(error)), field, status=error.status)
    return {**shown, "headers": retry_after(error)}


def _refused(text: str, field: str = "file", *, status: int) -> dict[str, Any]:
    return {"problems": [(text, field)], "status": status}


def _page(
    request: UserRequest,
    fields: dict[str, str],
    *,
    good: GoodFile | None = None,
    wrong: WrongFile | None = None,
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
        **CHOICES,
        **shown,
    )


HANDLERS = [show_form, check, create, go_on]
