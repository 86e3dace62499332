"""The forms of the page of an account: each changes it by one call of a service."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial

from litestar.di import NamedDependency
from litestar.params import RawBody

from anyscale.domain.emails import email_key_or_empty
from anyscale.domain.models.users import ExpectedUser
from anyscale.domain.schemas.users import Role
from anyscale.domain.validation import find_faults
from anyscale.errors import (
    AccountEdited,
    AlreadyReplaced,
    AnyscaleError,
    EmailFreed,
    EmailTaken,
    ExternalIdTaken,
    NotFound,
    RequestInvalid,
)
from anyscale.server.core.accounts.lifecycle import UserLifecycle
from anyscale.server.core.accounts.update import UserUpdateService
from anyscale.server.core.batches.service import BatchService
from anyscale.server.core.login.links import PasswordLinkService
from anyscale.server.core.login.sessions import SessionService
from anyscale.server.core.second_factor.removal import FactorRemoval
from anyscale.server.core.tokens.api_tokens import TokenService
from anyscale.server.http.api.parameters import UserId
from anyscale.server.http.console.edited_fields import read_edited
from anyscale.server.http.console.filters import address
from anyscale.server.http.console.users.account import UserPages
from anyscale.server.http.console.users.fields import (
    BOXES,
    changes_of,
    entered,
    field_problems,
    without_blanks,
)
from anyscale.server.http.console.users.filters import PATH, account_path
from anyscale.server.http.dependencies import UserRequest
from anyscale.server.http.route_handlers import post
from anyscale.server.http.web.console_page import (
    Page,
    refused_form,
    render_console_page,
)
from anyscale.server.http.web.forms import read_form, read_number
from anyscale.server.http.web.records_file import BY_MAIL
from anyscale.server.http.web.templating import redirect

_ROLES: Mapping[str, Role] = {"owner": "owner", "collaborator": "collaborator"}


def _change(
    request: UserRequest, pages: UserPages, user_id: str, note: str, change: Callable[[], object]
) -> Page:
    """Make a change and go back to the account; the page says what the service refuses."""
    try:
        change()
    except AnyscaleError as error:
        return pages.render(request, user_id, **refused_form(error))
    return redirect(address(account_path(user_id), note=note))


@post("/users/{user_id:str}/suspend", pool="write")
def suspend(
    request: UserRequest,
    user_id: UserId,
    body: RawBody,
    lifecycle: NamedDependency[UserLifecycle],
    user_pages: NamedDependency[UserPages],
) -> Page:
    (keep_links,) = read_form(request, body, "keep_links")
    change = partial(lifecycle.suspend, request.user, user_id, keep_links=keep_links == "yes")
    return _change(request, user_pages, user_id, "suspended", change)


@post("/users/{user_id:str}/restore", pool="write")
def restore(
    request: UserRequest,
    user_id: UserId,
    lifecycle: NamedDependency[UserLifecycle],
    user_pages: NamedDependency[UserPages],
) -> Page:
    change = partial(lifecycle.restore, request.user, user_id)
    return _change(request, user_pages, user_id, "restored", change)


@post("/users/{user_id:str}/sign-out", pool="write")
def sign_out(
    request: UserRequest,
    user_id: UserId,
    sessions: NamedDependency[SessionService],
    user_pages: NamedDependency[UserPages],
) -> Page:
    change = partial(sessions.revoke_all, request.user, user_id)
    return _change(request, user_pages, user_id, "signed_out", change)


@post("/users/{user_id:str}/role", pool="write")
def set_role(
    request: UserRequest,
    user_id: UserId,
    body: RawBody,
    lifecycle: NamedDependency[UserLifecycle],
    user_pages: NamedDependency[UserPages],
) -> Page:
    chosen, keep_links = read_form(request, body, "role", "keep_links")
    if not (role := _ROLES.get(chosen)):
        raise RequestInvalid("there is no such role")
    keeps = keep_links == "yes"
    change = partial(lifecycle.set_role, request.user, user_id, role, keep_links=keeps)
    return _change(request, user_pages, user_id, "role", change)


@post("/users/{user_id:str}/reset-second-factor", pool="write")
def reset_second_factor(
    request: UserRequest,
    user_id: UserId,
    body: RawBody,
    factor_removal: NamedDependency[FactorRemoval],
    user_pages: NamedDependency[UserPages],
) -> Page:
    (reason,) = read_form(request, body, "reason")
    try:
        removed = factor_removal.remove_all(request.user, user_id, reason)
    except AnyscaleError as error:
        field = "reason" if isinstance(error, RequestInvalid) else ""
        shown = refused_form(error, field)
        return user_pages.render_question(request, user_id, "reset_second_factor", **shown)
    note = "factors_removed" if removed else "no_factors"
    return redirect(address(account_path(user_id), note=note))


@post("/users/{user_id:str}/delete", pool="write")
def delete(
    request: UserRequest,
    user_id: UserId,
    body: RawBody,
    lifecycle: NamedDependency[UserLifecycle],
    user_pages: NamedDependency[UserPages],
) -> Page:
    typed, keep_links = read_form(request, body, "email", "keep_links")
    try:
        email = user_pages.details.get(user_id).account.email
        if email_key_or_empty(typed.strip()) != email_key_or_empty(email):
            problem = ("Type the email above to delete this account.", "email")
            return user_pages.render_question(
                request, user_id, "delete", problems=[problem], status=400
            )
        lifecycle.delete(request.user, user_id, keep_links=keep_links == "yes")
    except NotFound:  # the form arrived twice
        pass
    except AnyscaleError as error:
        return user_pages.render_question(request, user_id, "delete", **refused_form(error))
    return redirect(address(PATH, note="deleted"))


@post("/users/{user_id:str}/revoke-token", pool="write")
def revoke_token(
    request: UserRequest,
    user_id: UserId,
    body: RawBody,
    tokens: NamedDependency[TokenService],
) -> Page:
    (token_id,) = read_form(request, body, "token_id")
    with suppress(NotFound):  # another window has revoked it
        tokens.revoke(request.user, token_id)
    return redirect(address(account_path(user_id), note="token_revoked"))


@post("/users/{user_id:str}/correct", pool="write")
def correct(
    request: UserRequest,
    user_id: UserId,
    body: RawBody,
    updates: NamedDependency[UserUpdateService],
    batches: NamedDependency[BatchService],
    user_pages: NamedDependency[UserPages],
) -> Page:
    """Change the edited fields. If another request has changed one, its value is shown first."""
    current = entered(user_pages.details.get(user_id).account)
    edited, problems = read_edited(request, body, current, BOXES)
    edited = without_blanks(edited)
    show = partial(user_pages.render_correction, request, user_id, edited)
    if problems:
        return show(problems=problems, status=409)
    if not edited:
        return redirect(account_path(user_id))
    changes = changes_of(edited)
    if faults := find_faults(changes.to_dict(), batches.policy):
        return show(problems=field_problems(faults), status=400)
    seen = ExpectedUser(**changes_of({name: current[name] for name in edited}).to_dict())
    (reuse,) = read_form(request, body, "reuse_email")
    try:
        updates.update(request.user, user_id, changes, seen, reuse_email=reuse == "yes")
    except (EmailTaken, ExternalIdTaken) as error:
        field = "email" if isinstance(error, EmailTaken) else "external_id"
        return show(**refused_form(error, field), is_freed=isinstance(error, EmailFreed))
    except AccountEdited:  # by a request at the same moment
        current = entered(user_pages.details.get(user_id).account)
        edited, problems = read_edited(request, body, current, BOXES)
        return show(problems=problems, status=409)
    return redirect(address(account_path(user_id), note="corrected"))


@post("/users/{user_id:str}/link", pool="write")
def create_link(
    request: UserRequest,
    user_id: UserId,
    body: RawBody,
    links: NamedDependency[PasswordLinkService],
    user_pages: NamedDependency[UserPages],
) -> Page:
    """Create a link, and show it in the response: no address and no later page has it.

    Or request that it is mailed. A form that arrives twice must not replace the link that was
    shown: it names the newest link that its user has seen.
    """
    newest = read_number(request, body, "newest")
    (way,) = read_form(request, body, "format")
    try:
        if way == BY_MAIL:
            links.mail(request.user, [user_id], newest)
            return redirect(address(account_path(user_id), note="mailed"))
        (link,) = links.create(request.user, [user_id], newest)
    except AlreadyReplaced:
        return redirect(address(account_path(user_id), note="link"))
    except AnyscaleError as error:
        return user_pages.render(request, user_id, **refused_form(error))
    return render_console_page(
        request, "users/link", PATH, link=link, is_replaced=bool(newest), is_new=False
    )


HANDLERS = [
    suspend,
    restore,
    sign_out,
    set_role,
    reset_second_factor,
    delete,
    revoke_token,
    correct,
    create_link,
]
