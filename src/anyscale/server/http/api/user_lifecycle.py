"""/v1/users/{user_id}: update, suspend, restore, delete; set the role; set-password links."""

from functools import partial
from typing import Annotated

from litestar import Router
from litestar.di import NamedDependency
from litestar.params import QueryParameter, RawBody

from anyscale.domain.models.users import UpdatedUser, UserChanges
from anyscale.domain.schemas.users import (
    AnswersThatHold,
    EmailChanges,
    PasswordLinks,
    RemovedFactors,
    Restoration,
    RoleSet,
    SecondFactorReset,
    SetPasswordLinks,
    Suspension,
    SyncAnswers,
    UserUpdate,
)
from anyscale.server.core.accounts.lifecycle import UserLifecycle
from anyscale.server.core.accounts.syncs import SyncService
from anyscale.server.core.accounts.update import UserUpdateService
from anyscale.server.core.login.links import PasswordLinkService
from anyscale.server.core.permissions import Permission
from anyscale.server.core.second_factor.removal import FactorRemoval
from anyscale.server.http.api.parameters import UserId
from anyscale.server.http.bodies import decode
from anyscale.server.http.dependencies import TokenRequest
from anyscale.server.http.errors import error_responses
from anyscale.server.http.route_handlers import delete, patch, post, put

_EXPECTED = (
    "With `expected`, the call is refused (409, `account_edited`) if a field has neither the value "
    "of `expected` nor the new one: somebody has edited the account since. An `email` "
    "that another account or an open batch has is refused (409, `email_taken`), and so is one that "
    "another account had less than 30 days ago (409, `email_freed`), unless `reuse_email` is true."
)
_LINKS = (
    "Unused links that the user created for others end, and mails with links that the user "
    "requested are not sent: the user may have a copy of each link. With `keep_links` both stay."
)
_SUSPEND = (
    "The body may be empty. With `by_sync` a sync suspends the account, and another one may "
    "restore it; a suspension without `by_sync` replaces it. With `expected`, the call is refused "
    "(409, `account_edited`) if a field has another value. " + _LINKS
)
_RESTORE = (
    "The body may be empty. With `by_sync`, an account that was suspended otherwise is refused "
    "(409, `account_edited`). `expected` is as for suspending."
)
_RESET = (
    "Its recovery codes are removed as well; its tokens stay. The audit log keeps the `reason`. An "
    "owner's are refused (409, `owner_kept`), and so are those of an account that was an owner's "
    "less than 7 days ago: the operator of the server removes them."
)
KeepOwner = Annotated[
    bool,
    QueryParameter(
        description="Refuse the account of an owner (409, `owner_kept`), unless it is already in "
        "that state (204)."
    ),
]


KeepLinks = Annotated[
    bool, QueryParameter(description="Keep the unused links that the user created for others.")
]


@patch(
    "/users/{user_id:str}",
    pool="write",
    permission=Permission.CHANGE_ACCOUNTS,
    operation_id="updateUser",
    summary="Change fields of an account. An absent field stays; null clears an optional one.",
    description=_EXPECTED,
    responses=error_responses(404, 409, 413),
)
def update(
    request: TokenRequest,
    body: RawBody,
    user_id: UserId,
    updates: NamedDependency[UserUpdateService],
) -> UpdatedUser:
    sent = decode(body, UserUpdate)
    changes = UserChanges(*map(partial(getattr, sent), UserChanges.__struct_fields__))
    return updates.update(
        request.user,
        user_id,
        changes,
        sent.expected or None,
        reuse_email=sent.reuse_email,
    )


@post(
    "/users:changeEmails",
    pool="write",
    permission=Permission.CHANGE_ACCOUNTS,
    operation_id="changeEmails",
    summary="Change the emails of several accounts at one moment: two of them may swap theirs.",
    description="It changes all of them or none, and never the email of an owner.",
    status_code=204,
    responses=error_responses(404, 409, 413),
)
def change_emails(
    request: TokenRequest, body: RawBody, updates: NamedDependency[UserUpdateService]
) -> None:
    updates.change_emails(request.user, decode(body, EmailChanges).changes)


@post(
    "/users:answerQuestions",
    pool="write",
    permission=Permission.CHANGE_ACCOUNTS,
    operation_id="answerQuestions",
    summary="Store the answers to questions of a sync, and return which of them hold.",
    description="The words of an answer hold for the first change that they were the answer to.",
    status_code=200,
    responses=error_responses(413),
)
def answer_questions(
    request: TokenRequest, body: RawBody, syncs: NamedDependency[SyncService]
) -> AnswersThatHold:
    sent = decode(body, SyncAnswers)
    return AnswersThatHold(syncs.answer(request.user, sent.answers, dry_run=sent.dry_run))


@post(
    "/users/{user_id:str}/suspend",
    pool="write",
    permission=Permission.CHANGE_ACCOUNTS,
    operation_id="suspendUser",
    summary="Suspend an account. It cannot sign in, its sessions end and its tokens stop.",
    description=_SUSPEND,
    status_code=204,
    responses=error_responses(404, 409, 413),
)
def suspend(
    request: TokenRequest,
    body: RawBody,
    user_id: UserId,
    lifecycle: NamedDependency[UserLifecycle],
    keep_owner: KeepOwner = False,
) -> None:
    sent = decode(body or b"{}", Suspension)
    lifecycle.suspend(
        request.user,
        user_id,
        keep_owner=keep_owner,
        by_sync=sent.by_sync,
        expected=sent.expected or None,
        keep_links=sent.keep_links,
    )


@post(
    "/users/{user_id:str}/restore",
    pool="write",
    permission=Permission.CHANGE_ACCOUNTS,
    operation_id="restoreUser",
    summary="Restore a suspended account, so that its user can sign in again.",
    description=_RESTORE,
    status_code=204,
    responses=error_responses(404, 409, 413),
)
def restore(
    request: TokenRequest,
    body: RawBody,
    user_id: UserId,
    lifecycle: NamedDependency[UserLifecycle],
    keep_owner: KeepOwner = False,
) -> None:
    sent = decode(body or b"{}", Restoration)
    lifecycle.restore(
        request.user,
        user_id,
        keep_owner=keep_owner,
        by_sync=sent.by_sync,
        expected=sent.expected or None,
    )


@put(
    "/users/{user_id:str}/role",
    pool="write",
    permission=Permission.CHANGE_ROLES,
    operation_id="setUserRole",
    summary="Set the role of an account to owner or collaborator. Revokes its sessions.",
    description=_LINKS,
    status_code=204,
    responses=error_responses(404, 409, 413),
)
def set_role(
    request: TokenRequest,
    body: RawBody,
    user_id: UserId,
    lifecycle: NamedDependency[UserLifecycle],
) -> None:
    sent = decode(body, RoleSet)
    lifecycle.set_role(request.user, user_id, sent.role, keep_links=sent.keep_links)


@post(
    "/users/{user_id:str}/resetSecondFactor",
    pool="write",
    permission=Permission.MANAGE_SIGN_IN,
    operation_id="resetSecondFactor",
    summary="Remove the second factors of a user who has lost them. Revokes the sessions.",
    description=_RESET,
    status_code=200,
    responses=error_responses(404, 409, 413),
)
def reset_second_factor(
    request: TokenRequest,
    body: RawBody,
    user_id: UserId,
    factor_removal: NamedDependency[FactorRemoval],
) -> RemovedFactors:
    reason = decode(body, SecondFactorReset).reason
    return RemovedFactors(factor_removal.remove_all(request.user, user_id, reason))


@delete(
    "/users/{user_id:str}",
    pool="write",
    permission=Permission.CHANGE_ACCOUNTS,
    operation_id="deleteUser",
    summary="Delete an account, and erase the personal data of its user.",
    description=_LINKS,
    responses=error_responses(404, 409),
)
def delete_user(
    request: TokenRequest,
    user_id: UserId,
    lifecycle: NamedDependency[UserLifecycle],
    keep_links: KeepLinks = False,
) -> None:
    lifecycle.delete(request.user, user_id, keep_links=keep_links)


@post(
    "/users:setPasswordLinks",
    pool="write",
    permission=Permission.MANAGE_SIGN_IN,
    operation_id="createSetPasswordLinks",
    summary="Create one-time links to set a password. Replaces earlier links of the accounts.",
    status_code=200,
    responses=error_responses(404, 409, 413),
)
def create_links(
    request: TokenRequest, body: RawBody, links: NamedDependency[PasswordLinkService]
) -> PasswordLinks:
    return PasswordLinks(links.create(request.user, decode(body, SetPasswordLinks).user_ids))


_HANDLERS = [
    update,
    change_emails,
    answer_questions,
    suspend,
    restore,
    set_role,
    reset_second_factor,
    delete_user,
    create_links,
]
ROUTER = Router("/", route_handlers=_HANDLERS, tags=["accounts"])
