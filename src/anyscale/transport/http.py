"""The control plane over HTTP; a call is repeated until it gets a response."""

from collections.abc import Callable, Sequence
from typing import Any, cast
from urllib.parse import quote

from msgspec import UNSET, convert, structs

from anyscale.domain.audit_chain import AuditEntry
from anyscale.domain.models.audit import AuditFilter
from anyscale.domain.models.batches import Batch, Conflict, Created, ReservedChunk
from anyscale.domain.models.sync import GivenAnswer
from anyscale.domain.models.users import (
    AdminCreatedUser,
    EmailChange,
    ExpectedUser,
    PasswordLink,
    UpdatedUser,
    User,
    UserChanges,
)
from anyscale.domain.schemas.audit import AuditPage
from anyscale.domain.schemas.batches import (
    BatchCreate,
    BatchCreated,
    BatchOpen,
    BatchPage,
    BatchPublish,
    BatchUndo,
    BatchUsers,
    Conflicts,
    IfExists,
    LookUp,
    NewUser,
    PasswordChunk,
    Stored,
    UndoPart,
    UserChunk,
)
from anyscale.domain.schemas.exports import ExportPage
from anyscale.domain.schemas.users import (
    AnswersThatHold,
    EmailChanges,
    FindUsers,
    FoundUsers,
    PasswordLinks,
    RemovedFactors,
    Restoration,
    Role,
    RoleSet,
    SecondFactorReset,
    SetPasswordLinks,
    Suspension,
    SyncAnswers,
    UserList,
    UserPage,
    UserUpdate,
)
from anyscale.domain.times import from_milliseconds
from anyscale.domain.user_query import UserQuery
from anyscale.domain.user_sources import WeakHash
from anyscale.domain.validation import CheckedUser, ChunkUser, Policy
from anyscale.errors import NotFound
from anyscale.transport.base import Outage
from anyscale.transport.http_applications import Applications
from anyscale.transport.http_ids import id_in_path
from anyscale.transport.http_mails import Mails
from anyscale.transport.retrying_client import RetryingClient

#: users of a batch, batches or conflicts of a response, at most
_PAGE = 1000
#: requests at a time, at most
_AT_ONCE = 4


class Batches:
    """See `base.Batches`."""

    def __init__(self, client: RetryingClient) -> None:
        self._request = client.request

    def create(
        self,
        key: str,
        users: Sequence[CheckedUser],
        if_exists: str,
        passwords: Sequence[tuple[int, str]] = (),
        *,
        mail_links: bool = False,
        label: str | None = None,
    ) -> Created:
        new = [convert(user, NewUser, from_attributes=True) for user in users]
        weak = [secret for secret in passwords if isinstance(secret, WeakHash)]
        for secret in passwords:
            field = "password_hash" if isinstance(secret, WeakHash) else "password"
            new[secret[0]] = structs.replace(new[secret[0]], **{field: secret[1]})
        body = BatchCreate(
            new,
            cast("IfExists", if_exists),
            mail_links=mail_links,
            accept_weak_hashes=bool(weak),
            label=label,
        )
        created = self._request(BatchCreated, "POST", "/v1/users:batchCreate", body, key=key)
        assert created.batch is not None
        skipped = [
            Conflict(position=entry.index, email=entry.email, kind="exists")
            for entry in created.skipped
        ]
        return Created(created.batch, created.users, skipped, created.replayed)

    def look_up(self, users: Sequence[CheckedUser], first: int) -> list[Conflict]:
        # Hashes are sent once: with the users to be created.
        body = LookUp(
            [structs.replace(one, password_hash=None) for one in _chunk_users(users)], first
        )
        return self._request(Conflicts, "POST", "/v1/users:lookUp", body, changes=False).conflicts

    def find(self, key: str) -> Batch | None:
        batches = self._request(BatchPage, "GET", "/v1/batches", key=key).batches
        return batches[0] if batches else None

    def open(self, key: str, if_exists: str, label: str | None = None) -> Batch:
        body = BatchOpen(cast("IfExists", if_exists), label)
        return self._request(Batch, "POST", "/v1/batches", body, key=key)

    def reserve(self, batch_id: str, number: int, users: Sequence[CheckedUser]) -> ReservedChunk:
        path = f"{_batch_path(batch_id)}/chunks/{number}"
        return self._request(ReservedChunk, "PUT", path, UserChunk(_chunk_users(users)))

    def conflicts(self, batch_id: str) -> list[Conflict]:
        conflicts: list[Conflict] = []
        path = f"{_batch_path(batch_id)}/conflicts"
        while page := self._request(
            Conflicts, "GET", path, after=conflicts[-1].position if conflicts else -1, limit=_PAGE
        ).conflicts:
            conflicts += page
        return conflicts

    def release(self, batch_id: str) -> None:
        self._request(type(None), "POST", f"{_batch_path(batch_id)}/release")

    def hash(self, batch_id: str, passwords: Sequence[tuple[int, str]]) -> int:
        weak = [secret for secret in passwords if isinstance(secret, WeakHash)]
        body = PasswordChunk(
            [one for one in passwords if not isinstance(one, WeakHash)], list(weak)
        )
        return self._request(Stored, "POST", f"{_batch_path(batch_id)}/passwords", body).stored

    def publish(self, batch_id: str, entries: int, *, mail_links: bool = False) -> Batch:
        return self._request(
            Batch, "POST", f"{_batch_path(batch_id)}/publish", BatchPublish(entries, mail_links)
        )

    def drop(self, batch_id: str) -> Batch:
        return self._request(Batch, "POST", f"{_batch_path(batch_id)}/drop")

    def undo(self, batch_id: str, after: str, *, force: bool, dry_run: bool) -> UndoPart:
        body = BatchUndo(force, dry_run, after)
        return self._request(UndoPart, "POST", f"{_batch_path(batch_id)}/undo", body)

    def show(self, batch_id: str) -> Batch:
        return self._request(Batch, "GET", _batch_path(batch_id))

    def created(self, batch_id: str, after: str, limit: int) -> list[AdminCreatedUser]:
        path = f"{_batch_path(batch_id)}/users"
        return self._request(BatchUsers, "GET", path, after=after, limit=min(limit, _PAGE)).users

    def list(self, *, open_only: bool, before: str, limit: int) -> list[Batch]:
        query: dict[str, Any] = {"open_only": str(open_only).lower(), "before": before}
        return self._request(BatchPage, "GET", "/v1/batches", limit=limit, **query).batches


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


class Links:
    """See `base.Links`."""

    def __init__(self, client: RetryingClient) -> None:
        self._request = client.request

    def create(self, user_ids: Sequence[str]) -> list[PasswordLink]:
        body = SetPasswordLinks(list(user_ids))
        return self._request(PasswordLinks, "POST", "/v1/users:setPasswordLinks", body).links

    def without_credentials(self, batch_id: str, after: str, limit: int) -> list[User]:
        path = f"{_batch_path(batch_id)}/usersWithoutCredentials"
        return self._request(UserList, "GET", path, after=after, limit=min(limit, _PAGE)).users


class Audit:
    """See `base.Audit`."""

    def __init__(self, client: RetryingClient) -> None:
        self._request = client.request

    def list(
        self,
        after: int,
        limit: int,
        *,
        before: int | None = None,
        newest_first: bool = False,
        only: AuditFilter | None = None,
    ) -> list[AuditEntry]:
        parameters: dict[str, Any] = {"after": after, "limit": limit}
        if only:
            parameters |= _audit_parameters(only)
        if before is not None:
            parameters["before"] = before
        if newest_first:
            parameters["order"] = "-created"
        return self._request(AuditPage, "GET", "/v1/audit", **parameters).entries


class HttpTransport:
    """Calls a control plane over HTTP; the token is an owner's."""

    # Requests at a time, at most: the control plane may accept fewer. Of two chunks one is written
    # and one is on its way or checked; a third would take 10 MiB on each side and save no time.
    reservations_at_once = 2
    hashes_at_once = _AT_ONCE

    def __init__(
        self,
        host: str,
        token: str,
        on_notice: Callable[[str], None] = lambda _: None,
        on_outage: Callable[[Outage], None] = lambda _: None,
        *,
        token_source: str = "",
    ) -> None:
        self.where: str = host.rstrip("/")
        self.on_notice = on_notice
        self._client = RetryingClient(
            self.where, token, _AT_ONCE, on_notice, on_outage, token_source=token_source
        )
        self.batches: Batches = Batches(self._client)
        self.users: Users = Users(self._client)
        self.links: Links = Links(self._client)
        self.mails: Mails = Mails(self._client)
        self.applications: Applications = Applications(self._client)
        self.audit: Audit = Audit(self._client)

    @property
    def retries(self) -> int:
        return self._client.retries

    def policy(self) -> Policy:
        return self._client.request(Policy, "GET", "/v1/policy")

    def cancel_retries(self) -> None:
        self._client.cancel_retries()

    def close(self) -> None:
        self._client.close()


def _batch_path(batch_id: str) -> str:
    return f"/v1/batches/{id_in_path(batch_id, NotFound.batch)}"


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


def _audit_parameters(only: AuditFilter) -> dict[str, str]:
    texts = {name: text for name, text in structs.asdict(only).items() if isinstance(text, str)}
    times = {"from": only.since, "until": only.until}
    given = {name: at for name, at in times.items() if at is not None}
    return {name: text for name, text in texts.items() if text} | {
        name: from_milliseconds(at).isoformat() for name, at in given.items()
    }


def _chunk_users(users: Sequence[CheckedUser]) -> list[ChunkUser]:
    # Each only as a `ChunkUser`: a request has no keys of emails.
    count = len(ChunkUser.__struct_fields__)
    return [ChunkUser(*structs.astuple(user)[:count]) for user in users]
