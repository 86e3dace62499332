"""/console/batches/{batch_id}/undo: what an undo would delete and keep, and the undo."""

import time
from collections.abc import Sequence
from typing import Any

from litestar.di import NamedDependency
from litestar.params import FromPath, RawBody
from msgspec import Struct

from anyscale.domain.models.batches import Batch, KeptUser
from anyscale.errors import AnyscaleError
from anyscale.server.core.batches.service import BatchService
from anyscale.server.core.callers import SessionCaller
from anyscale.server.http.console.batches.pages import PATH
from anyscale.server.http.dependencies import UserRequest
from anyscale.server.http.login.sign_in_again import require_recent_sign_in
from anyscale.server.http.refusals import count_refusal
from anyscale.server.http.route_handlers import get, post
from anyscale.server.http.web.console_page import Page, render_console_page
from anyscale.server.http.web.forms import read_form, user_message

#: kept accounts that a page lists
_LISTED = 100

#: seconds after which a request ends, so that no proxy gives it up; the page continues
_SECONDS = 20.0

#: seconds of the question, which a reload repeats: it must not keep the threads of other readers
_QUESTION_SECONDS = 5.0

_REASONS = {
    "used": "was used since",
    "last_owner": "is the last owner who can sign in",
    "caller": "is your own account",
}


class Undone(Struct):
    """What an undo has deleted and kept, or would."""

    removed: int = 0
    kept: list[KeptUser] = []
    is_complete: bool = False
    #: why it stopped half-way
    error: AnyscaleError | None = None

    @property
    def used(self) -> Sequence[KeptUser]:
        """The accounts that were used since."""
        return [user for user in self.kept if user.reason == "used"]

    @property
    def spared(self) -> Sequence[KeptUser]:
        """The accounts that no undo may delete."""
        return [user for user in self.kept if user.reason != "used"]


@get("/batches/{batch_id:str}/undo", pool="read", guards=[require_recent_sign_in])
def ask_to_undo(
    request: UserRequest, batch_id: FromPath[str], batches: NamedDependency[BatchService]
) -> Page:
    return _question(request, batches, batch_id)


@post("/batches/{batch_id:str}/undo", pool="write", status_code=200)
def undo_batch(
    request: UserRequest,
    batch_id: FromPath[str],
    body: RawBody,
    batches: NamedDependency[BatchService],
) -> Page:
    typed, expected = read_form(request, body, "number", "expected")
    if typed.replace(",", "").strip() != expected or not expected:
        return _question(request, batches, batch_id, is_mistyped=True)
    # Before the undo: a database that fails during it must not hide what was deleted.
    batch = batches.show(request.user, batch_id)
    done = _undo(batches, batch_id, request.user, dry_run=False)
    shown: dict[str, Any] = {}
    if done.error:
        count_refusal(done.error)
        shown = {"problems": [(user_message(done.error), "")], "status": done.error.status}
    return _page(request, batch, "batches/undone", done, **shown)


def _question(
    request: UserRequest, batches: BatchService, batch_id: str, *, is_mistyped: bool = False
) -> Page:
    batch = batches.show(request.user, batch_id)
    would = _undo(batches, batch_id, request.user, dry_run=True)
    shown: dict[str, Any] = {}
    if is_mistyped:
        problem = f"Type {would.removed}, the number of accounts to be deleted."
        shown = {"problems": [(problem, "number")], "status": 400}
    return _page(request, batch, "batches/undo", would, **shown)


def _undo(batches: BatchService, batch_id: str, caller: SessionCaller, *, dry_run: bool) -> Undone:
    done, after = Undone(), ""
    deadline = time.monotonic() + (_QUESTION_SECONDS if dry_run else _SECONDS)
    while time.monotonic() < deadline:
        try:
            part = batches.undo(caller, batch_id, after, force=False, dry_run=dry_run)
        except AnyscaleError as error:
            if not after or dry_run:
                raise
            done.error = error  # accounts are deleted already: the page says how many
            break
        done.removed += part.removed
        done.kept += part.kept
        if part.after is None:
            done.is_complete = True
            break
        after = part.after
    return done


def _page(request: UserRequest, batch: Batch, template: str, result: Undone, **shown: Any) -> Page:
    return render_console_page(
        request,
        template,
        PATH,
        batch=batch,
        result=result,
        listed=_LISTED,
        reasons=_REASONS,
        **shown,
    )


HANDLERS = [ask_to_undo, undo_batch]
