"""/console/users/new: create one account, as a batch of one user."""

from collections.abc import Mapping, Sequence
from typing import Any

from litestar.di import NamedDependency
from litestar.params import RawBody

from anyscale.domain.models.users import AdminCreatedUser
from anyscale.domain.validation import check, find_faults
from anyscale.errors import BatchRefused, BatchUndone, ConfigError, KeyReused, LinkRefused
from anyscale.server.core.batches.service import BatchService
from anyscale.server.core.callers import SignInTooOld
from anyscale.server.core.forms import FORM_USED
from anyscale.server.core.login.links import PasswordLinkService
from anyscale.server.http.console.filters import address
from anyscale.server.http.console.users.fields import (
    DETAILS,
    TEXTS,
    field_problems,
    optional_texts,
    without_blanks,
)
from anyscale.server.http.console.users.filters import PATH, account_path
from anyscale.server.http.dependencies import UserRequest
from anyscale.server.http.route_handlers import get, post
from anyscale.server.http.web.console_page import (
    Page,
    Problem,
    render_console_page,
)
from anyscale.server.http.web.forms import read_form, read_form_key, sentence
from anyscale.server.http.web.templating import redirect

_FIELDS = ("email", *TEXTS, "password", "is_sso_user")

#: of a page that the browser went back to
_FORM_USED: Problem = (sentence(FORM_USED), "")


@get("/users/new", pool="read")
def show_form(request: UserRequest, batches: NamedDependency[BatchService]) -> Page:
    return _form(request, batches, {})


@post("/users/new", pool="write")
def create_user(
    request: UserRequest,
    body: RawBody,
    batches: NamedDependency[BatchService],
    links: NamedDependency[PasswordLinkService],
) -> Page:
    entered = without_blanks(dict(zip(_FIELDS, read_form(request, body, *_FIELDS), strict=True)))
    fields, password = _fields_of(entered), entered["password"]
    user = check(batches.policy, **fields)
    if user is None:
        return _form(request, batches, entered, field_problems(find_faults(fields, batches.policy)))
    key = read_form_key(request, body)
    try:
        passwords = [(0, password)] if password else ()
        created = batches.create(request.user, key, [user], "fail", passwords, "account")
    except BatchRefused as error:
        return _form(request, batches, entered, field_problems(error.problems))
    except (KeyReused, BatchUndone):
        return _form(request, batches, entered, [_FORM_USED])
    if not created.users:  # the form was sent again, after its account was deleted
        return _form(request, batches, entered, [_FORM_USED])
    if created.replayed:  # the form was sent again
        return redirect(address(account_path(created.users[0].user_id), note="repeated"))
    needs_link = not (password or user.is_sso_user)
    return _created(request, links, created.users[0], needs_link=needs_link)


def _fields_of(entered: Mapping[str, str]) -> dict[str, Any]:
    """Return the fields of a user; an optional one that is empty is None."""
    return {**entered, **optional_texts(entered), "is_sso_user": entered["is_sso_user"] == "yes"}


def _created(
    request: UserRequest, links: PasswordLinkService, user: AdminCreatedUser, *, needs_link: bool
) -> Page:
    """Return the page of the account, or the one that shows its link once."""
    path = account_path(user.user_id)
    if not needs_link:
        return redirect(address(path, note="created"))
    try:
        (link,) = links.create(request.user, [user.user_id])
    except SignInTooOld:
        return redirect(address(path, note="without_link"))
    except (ConfigError, LinkRefused):  # the page of the account says so
        return redirect(address(path, note="created"))
    return render_console_page(
        request, "users/link", PATH, link=link, is_replaced=False, is_new=True
    )


def _form(
    request: UserRequest,
    batches: BatchService,
    entered: Mapping[str, str],
    problems: Sequence[Problem] = (),
) -> Page:
    # The server never sends a password back, and a form that was refused created nothing.
    shown = {name: entered.get(name, "") for name in _FIELDS if name != "password"}
    return render_console_page(
        request,
        "users/new",
        PATH,
        problems=problems,
        status=400 if problems else 200,
        entered=shown,
        details=DETAILS,
        policy=batches.policy,
    )


HANDLERS = [show_form, create_user]
