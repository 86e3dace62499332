"""The calls of accounts over HTTP."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from msgspec import UNSET

from anyscale.domain.models.sync import GivenAnswer
from anyscale.domain.models.users import (
    EmailChange,
    ExpectedUser,
    UpdatedUser,
    User,
    UserChanges,
)
from anyscale.domain.schemas.exports import ExportPage
from anyscale.domain.schemas.users import (
    AnswersThatHold,
    EmailChanges,
    FindUsers,
    FoundUsers,
    RemovedFactors,
    Restoration,
    Role,
    RoleSet,
    SecondFactorReset,
    Suspension,
    SyncAnswers,
    UserPage,
    UserUpdate,
)
from anyscale.domain.user_query import UserQuery
from anyscale.transport.http.retrying_client import RetryingClient


class Users:
    """See `base.Users`."""

    def __init__(self, client: RetryingClient) -> None:
        self._request = client.request

    def find(
        self, emails: Sequence[str], external_ids: Sequence[str] = ()
    ) -> Sequence[User | None]:
        body = FindUsers(list(emails), list(external_ids))
        # The response is several times as long, so compressing the body would gain nothing.
        return self._request(
            FoundUsers, "POST", "/v1/users:find", body, changes=False, compress=False
        ).users

    def update(
        self,
        user_id: str,
        changes: UserChanges,
        expected: ExpectedUser | None = None,
        *,
        reuse_email: bool = False,
    ) -> UpdatedUser:
        fields = changes.to_dict()
        body = UserUpdate(
            **fields,
            expected=expected or UNSET,
            reuse_email=reuse_email,
        )
        return self._request(UpdatedUser, "PATCH", _user_path(user_id), body)

    def change_emails(self, changes: Sequence[EmailChange]) -> None:
        self._request(type(None), "POST", "/v1/users:changeEmails", EmailChanges(list(changes)))

    def answer_questions(self, answers: Sequence[GivenAnswer], *, dry_run: bool) -> list[bool]:
        body = SyncAnswers(list(answers), dry_run=dry_run)
        return self._request(AnswersThatHold, "POST", "/v1/users:answerQuestions", body).hold

    def suspend(
        self,
        user_id: str,
        *,
        keep_owner: bool = False,
        by_sync: bool = False,
        expected: ExpectedUser | None = None,
        keep_links: bool = False,
    ) -> None:
        body = Suspension(by_sync, expected or UNSET, keep_links)
        self._set_suspended(user_id, "suspend", body, keep_owner=keep_owner)

    def restore(
        self,
        user_id: str,
        *,
        keep_owner: bool = False,
        by_sync: bool = False,
        expected: ExpectedUser | None = None,
    ) -> None:
        body = Restoration(by_sync, expected or UNSET)
        self._set_suspended(user_id, "restore", body, keep_owner=keep_owner)

    def _set_suspended(
        self, user_id: str, call: str, body: Suspension | Restoration, *, keep_owner: bool
    ) -> None:
        parameters: dict[str, Any] = {"keep_owner": "true"} if keep_owner else {}
        self._request(type(None), "POST", f"{_user_path(user_id)}/{call}", body, **parameters)

    def delete(self, user_id: str, *, keep_links: bool = False) -> None:
        parameters: dict[str, Any] = {"keep_links": "true"} if keep_links else {}
        self._request(type(None), "DELETE", _user_path(user_id), **parameters)

    def set_role(self, user_id: str, role: Role, *, keep_links: bool = False) -> None:
        body = RoleSet(role, keep_links)
        self._request(type(None), "PUT", f"{_user_path(user_id)}/role", body)

    def reset_second_factor(self, user_id: str, reason: str) -> int:
        path, body = f"{_user_path(user_id)}/resetSecondFactor", SecondFactorReset(reason)
        return self._request(RemovedFactors, "POST", path, body).removed

    def list(self, query: UserQuery, cursor: str, limit: int) -> UserPage:
        parameters = _parameters(query) | {"cursor": cursor, "limit": limit}
        return self._request(UserPage, "GET", "/v1/users", **parameters)

    def export(self, after: str, limit: int) -> ExportPage:
        return self._request(ExportPage, "GET", "/v1/users:export", after=after, limit=limit)


def _user_path(user_id: str) -> str:
    return f"/v1/users/{quote(user_id, safe='')}"


def _parameters(query: UserQuery) -> dict[str, Any]:
    """Return the parameters of a query that differ from those of a list of all accounts."""
    parameters: dict[str, Any] = {
        name: text for name in ("search", "email", "name", "role") if (text := getattr(query, name))
    }
    for name in ("suspended", "sso", "without_credentials", "without_second_factor"):
        if getattr(query, name):
            parameters[name] = "true"
    if query.not_since:
        parameters["not_since"] = query.not_since.isoformat()
    if query.newest_first:
        parameters["order"] = "-created"
    if query.exact:
        parameters["match"] = "exact"
    return parameters
