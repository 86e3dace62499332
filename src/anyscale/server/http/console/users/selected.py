"""Suspending and restoring accounts of the list: some of a page, or all that match its filters.

The page that asks and the form that it sends have one path. The ids of selected accounts are in the
address of the page, and in the fields of the form. For all that match, the address has the filters
and `all`, and the form a digest. For an undo it has the key of the form that is undone.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from litestar import MediaType
from litestar.di import NamedDependency
from litestar.params import RawBody

from anyscale.errors import AnyscaleError, NotFound
from anyscale.server.core.accounts.bulk_changes import BulkChanges, StateChange
from anyscale.server.core.accounts.lifecycle import UserLifecycle
from anyscale.server.http.console.users.choice import (
    CHOICE,
    Choice,
    Confirmations,
    UserIds,
    read_selected,
)
from anyscale.server.http.console.users.listing import PAGE_USERS
from anyscale.server.http.dependencies import UserRequest
from anyscale.server.http.route_handlers import get, post
from anyscale.server.http.web.console_page import Page, Problem, refused_form
from anyscale.server.http.web.forms import read_form, read_form_key
from anyscale.server.http.web.templating import redirect

_PATHS = ["/users/suspend", "/users/restore"]

#: seconds after which a request ends, so that no proxy gives it up; the page continues
_SECONDS = 20.0

#: change -> the note of the list, and what the accounts are then
_DONE: Mapping[StateChange, str] = {"suspend": "suspended", "restore": "restored"}


@get(_PATHS, pool="read", dependencies=CHOICE)
def ask_to_change(
    request: UserRequest,
    confirmations: NamedDependency[Confirmations],
    bulk_changes: NamedDependency[BulkChanges],
    choice: NamedDependency[Choice],
    user_ids: UserIds = None,
) -> Page:
    change = _change_of(request)
    if choice.is_all:
        return confirmations.ask_for_all(request, change, choice)
    if choice.undo:
        request.user.require_recent_sign_in()
        return confirmations.ask(request, change, choice, _undone(bulk_changes, change, choice))
    return confirmations.ask(request, change, choice, user_ids or [])


@post(_PATHS, pool="write", dependencies=CHOICE)
def change_accounts(
    request: UserRequest,
    body: RawBody,
    confirmations: NamedDependency[Confirmations],
    lifecycle: NamedDependency[UserLifecycle],
    bulk_changes: NamedDependency[BulkChanges],
    choice: NamedDependency[Choice],
) -> Page:
    change, key = _change_of(request), read_form_key(request, body)
    if choice.is_all:
        return _change_all(request, body, change, confirmations, bulk_changes, choice)
    user_ids = (
        _undone(bulk_changes, change, choice) if choice.undo else read_selected(request, body)
    )
    (keep_links,) = read_form(request, body, "keep_links")
    if len(user_ids) > PAGE_USERS:
        return _undo_all(request, change, confirmations, bulk_changes, choice, user_ids, key)
    change_one = partial(lifecycle.restore, request.user, key=key)
    if change == "suspend":
        change_one = partial(
            lifecycle.suspend,
            request.user,
            key=key,
            as_before=bool(choice.undo),
            keep_links=keep_links == "yes",
        )
    failed = _change_each(request, confirmations, user_ids, change_one)
    if not failed:
        return _done(change, choice, key)
    problems = list(failed.values())
    if len(failed) < len(user_ids):
        problems.append((f"The others are {_DONE[change]}.", ""))
    return confirmations.ask(
        request, change, choice, list(failed), problems=problems, status=409, form_key=key
    )


def _undo_all(
    request: UserRequest,
    change: StateChange,
    confirmations: Confirmations,
    bulk_changes: BulkChanges,
    choice: Choice,
    user_ids: Sequence[str],
    key: str,
) -> Page:
    """Undo a form for all that match, which has changed no owner."""
    looked_at = bulk_changes.change(
        change, user_ids, request.user, key, seconds=_SECONDS, as_before=True
    )
    if looked_at == len(user_ids):
        return _done(change, choice, key)
    left, shown = user_ids[looked_at:], _unfinished(change, looked_at)
    return confirmations.ask(request, change, choice, left, form_key=key, **shown)


def _unfinished(change: StateChange, looked_at: int) -> dict[str, Any]:
    note = f"{looked_at:,} accounts are {_DONE[change]}. Press again for the others."
    return {"note": note, "note_kind": "warning"}


def _change_of(request: UserRequest) -> StateChange:
    return "restore" if request.scope["path"].endswith("/restore") else "suspend"


def _undone(bulk_changes: BulkChanges, change: StateChange, choice: Choice) -> Sequence[str]:
    """Return the accounts of the form that is undone: they have the opposite state."""
    return bulk_changes.changed("suspend" if change == "restore" else "restore", choice.undo)


def _done(change: StateChange, choice: Choice, key: str) -> Page:
    return redirect(choice.filters.address(note=_DONE[change], changed=key))


def _change_each(
    request: UserRequest,
    confirmations: Confirmations,
    user_ids: Sequence[str],
    change: Callable[[str], None],
) -> dict[str, Problem]:
    """Change accounts one by one, owners' too; return why some are not changed.

    Raises:
        AnyscaleError: the caller may not go on, or the server cannot, such as without a database.
    """
    found = confirmations.users.with_ids(user_ids)
    confirmations.require_recent_sign_in(request, found)  # before any account is changed
    failed = dict[str, Problem]()
    for user_id in user_ids:
        try:
            change(user_id)
        except NotFound:
            pass  # it was deleted
        except AnyscaleError as error:
            (failed[user_id],) = refused_form(error)["problems"]
    return failed


def _change_all(
    request: UserRequest,
    body: bytes,
    change: StateChange,
    confirmations: Confirmations,
    bulk_changes: BulkChanges,
    choice: Choice,
) -> Page:
    request.user.require_recent_sign_in()
    key = read_form_key(request, body)
    digest, typed = read_form(request, body, "digest", "number")
    matches = confirmations.find(change, choice)
    if not matches.user_ids and bulk_changes.changed(change, key):
        return _done(change, choice, key)  # the form arrived twice
    if problem := confirmations.problem_of(change, matches, digest, typed):
        status = 409 if digest != matches.digest else 400
        return confirmations.ask_for_all(
            request, change, choice, problems=[problem], status=status, form_key=key
        )
    looked_at = bulk_changes.change(change, matches.user_ids, request.user, key, seconds=_SECONDS)
    if looked_at == len(matches.user_ids):
        return _done(change, choice, key)
    shown = _unfinished(change, looked_at)
    return confirmations.ask_for_all(request, change, choice, form_key=key, **shown)


@get("/users/count", pool="read", dependencies=CHOICE, media_type=MediaType.TEXT)
def count_matches(
    confirmations: NamedDependency[Confirmations], choice: NamedDependency[Choice]
) -> str:
    """Return how many accounts match, for the script of the list; empty if they are too many."""
    matches = confirmations.find("suspend", choice)
    return "" if matches.problem else f"{matches.total:,}"


HANDLERS = [ask_to_change, change_accounts, count_matches]
