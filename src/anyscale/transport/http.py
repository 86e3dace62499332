"""The control plane over HTTP: the same calls, each repeated until it is answered."""

from collections.abc import Callable, Sequence
from typing import Any, Literal
from urllib.parse import quote

from anyscale.api_schemas import (
    AuditPage,
    BatchCreate,
    BatchCreated,
    BatchOpen,
    BatchPage,
    BatchPublish,
    BatchUsers,
    ChunkUser,
    Conflicts,
    LookUp,
    NewUser,
    PasswordChunk,
    PasswordLinks,
    Role,
    RoleSet,
    SetPasswordLinks,
    Stored,
    UserChunk,
    UserPage,
)
from anyscale.audit_log import AuditEntry
from anyscale.errors import VersionMismatch
from anyscale.transport.retrying_client import RetryingClient
from anyscale.user.models import (
    AdminCreatedUser,
    Batch,
    Conflict,
    Created,
    PasswordLink,
    ReservedChunk,
    User,
)
from anyscale.user.validation import CheckedUser, Policy

__all__ = ["HttpTransport"]

_PAGE = 1000
_AT_ONCE = 4


class HttpTransport:
    """Calls a control plane over HTTP.

    Args:
        host: `https://...`
        token: an owner's.
    """

    #: Pages that it has ready; the control plane may take fewer at a time.
    claims_at_once = _AT_ONCE
    hashes_at_once = _AT_ONCE

    def __init__(self, host: str, token: str) -> None:
        self.where = host.rstrip("/")
        self._connection = RetryingClient(self.where, token, _AT_ONCE)
        self._ask = self._connection.ask

    def __repr__(self) -> str:
        return f"HttpTransport({self.where!r})"

    def policy(self) -> Policy:
        return self._ask(Policy, "GET", "/v1/policy")

    def create(
        self,
        key: str,
        users: Sequence[CheckedUser],
        if_exists: str,
        passwords: Sequence[tuple[int, str]] = (),
    ) -> Created:
        by_position = dict(passwords)
        new = [
            NewUser(u.name, u.email, by_position.get(at), u.is_sso_user, u.lastname, u.title)
            for at, u in enumerate(users)
        ]
        body = BatchCreate(new, _known(if_exists))
        made = self._ask(BatchCreated, "POST", "/v1/users:batchCreate", body, key=key)
        assert made.batch is not None
        skipped = [Conflict(position=s.index, email=s.email, kind="exists") for s in made.skipped]
        return Created(made.batch, made.users, skipped, made.replayed)

    def look_up(self, users: Sequence[CheckedUser], first: int) -> list[Conflict]:
        body = LookUp(_chunk_users(users), first)
        return self._ask(Conflicts, "POST", "/v1/users:lookUp", body, changes=False).conflicts

    def find(self, key: str) -> Batch | None:
        found = self._ask(BatchPage, "GET", "/v1/batches", key=key).batches
        return found[0] if found else None

    def open(self, key: str, if_exists: str) -> Batch:
        body = BatchOpen(_known(if_exists))
        return self._ask(Batch, "POST", "/v1/batches", body, key=key)

    def claim(self, batch_id: str, number: int, users: Sequence[CheckedUser]) -> ReservedChunk:
        path = f"{_path(batch_id)}/chunks/{number}"
        return self._ask(ReservedChunk, "PUT", path, UserChunk(_chunk_users(users)))

    def conflicts(self, batch_id: str) -> list[Conflict]:
        found: list[Conflict] = []
        path = f"{_path(batch_id)}/conflicts"
        while page := self._ask(
            Conflicts, "GET", path, after=found[-1].position if found else -1, limit=_PAGE
        ).conflicts:
            found += page
        return found

    def release(self, batch_id: str) -> None:
        self._ask(type(None), "POST", f"{_path(batch_id)}/release")

    def hash(self, batch_id: str, passwords: Sequence[tuple[int, str]]) -> int:
        body = PasswordChunk(list(passwords))
        return self._ask(Stored, "POST", f"{_path(batch_id)}/passwords", body).stored

    def publish(self, batch_id: str, entries: int) -> Batch:
        return self._ask(Batch, "POST", f"{_path(batch_id)}/publish", BatchPublish(entries))

    def drop(self, batch_id: str) -> Batch:
        return self._ask(Batch, "POST", f"{_path(batch_id)}/drop")

    def show(self, batch_id: str) -> Batch:
        return self._ask(Batch, "GET", _path(batch_id))

    def batches(self, *, open_only: bool, before: str, limit: int) -> list[Batch]:
        query: dict[str, Any] = {"open_only": str(open_only).lower(), "before": before}
        return self._ask(BatchPage, "GET", "/v1/batches", limit=limit, **query).batches

    def created(self, batch_id: str, after: str, limit: int) -> list[AdminCreatedUser]:
        path = f"{_path(batch_id)}/users"
        return self._ask(BatchUsers, "GET", path, after=after, limit=min(limit, _PAGE)).users

    def users(
        self, *, email: str, name: str, suspended: bool = False, after: str, limit: int
    ) -> list[User]:
        query: dict[str, Any] = {"email": email, "name": name, "after": after}
        query["suspended"] = str(suspended).lower()
        users = self._ask(UserPage, "GET", "/v1/users", limit=min(limit, _PAGE), **query).users
        if suspended:
            self._require_suspended(users)
        return users

    def _require_suspended(self, users: Sequence[User]) -> None:
        # A control plane that does not know the question yet answers with everybody.
        if any(user.suspended_at is None for user in users):
            raise VersionMismatch(
                f"{self.where} cannot tell who is suspended: "
                "use the same version of musterroll on both sides"
            )

    def users_with_email(self, email: str) -> list[User]:
        return self._ask(UserPage, "GET", "/v1/users", email=email, match="exact").users

    def users_with_name(self, name: str) -> list[User]:
        return self._ask(UserPage, "GET", "/v1/users", name=name, match="exact").users

    def suspend(self, user_id: str) -> None:
        self._ask(type(None), "POST", f"{_user_path(user_id)}/suspend")

    def restore(self, user_id: str) -> None:
        self._ask(type(None), "POST", f"{_user_path(user_id)}/restore")

    def delete(self, user_id: str) -> None:
        self._ask(type(None), "DELETE", _user_path(user_id))

    def set_role(self, user_id: str, role: str) -> None:
        known: Role = "owner" if role == "owner" else "collaborator"
        self._ask(type(None), "PUT", f"{_user_path(user_id)}/role", RoleSet(known))

    def set_password_links(self, user_ids: Sequence[str]) -> list[PasswordLink]:
        body = SetPasswordLinks(list(user_ids))
        return self._ask(PasswordLinks, "POST", "/v1/users:setPasswordLinks", body).links

    def without_credentials(self, batch_id: str, after: str, limit: int) -> list[User]:
        path = f"{_path(batch_id)}/usersWithoutCredentials"
        return self._ask(UserPage, "GET", path, after=after, limit=min(limit, _PAGE)).users

    def audit(self, after: int, limit: int) -> list[AuditEntry]:
        return self._ask(AuditPage, "GET", "/v1/audit", after=after, limit=limit).entries

    @property
    def notice(self) -> Callable[[str], None]:
        return self._connection.notice

    @notice.setter
    def notice(self, told: Callable[[str], None]) -> None:
        self._connection.notice = told

    def hurry(self) -> None:
        self._connection.hurry()

    def close(self) -> None:
        self._connection.close()


def _path(batch_id: str) -> str:
    # Typed by a person, so it may be anything.
    return f"/v1/batches/{quote(batch_id, safe='')}"


def _user_path(user_id: str) -> str:
    return f"/v1/users/{quote(user_id, safe='')}"


def _chunk_users(users: Sequence[CheckedUser]) -> list[ChunkUser]:
    return [
        ChunkUser(u.name, u.email, u.has_password, u.is_sso_user, u.lastname, u.title)
        for u in users
    ]


def _known(if_exists: str) -> Literal["fail", "skip"]:
    return "skip" if if_exists == "skip" else "fail"
