"""The calls of batches over HTTP."""

from collections.abc import Sequence
from typing import Any, cast

from msgspec import convert, structs

from anyscale.domain.models.batches import Batch, Conflict, Created, ReservedChunk
from anyscale.domain.models.users import (
    AdminCreatedUser,
)
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
from anyscale.domain.user_sources import WeakHash
from anyscale.domain.validation import CheckedUser, ChunkUser
from anyscale.transport.http.ids import batch_path
from anyscale.transport.http.retrying_client import RetryingClient

#: users of a batch, batches or conflicts of a response, at most
_PAGE = 1000


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
        path = f"{batch_path(batch_id)}/chunks/{number}"
        return self._request(ReservedChunk, "PUT", path, UserChunk(_chunk_users(users)))

    def conflicts(self, batch_id: str) -> list[Conflict]:
        conflicts: list[Conflict] = []
        path = f"{batch_path(batch_id)}/conflicts"
        while page := self._request(
            Conflicts, "GET", path, after=conflicts[-1].position if conflicts else -1, limit=_PAGE
        ).conflicts:
            conflicts += page
        return conflicts

    def release(self, batch_id: str) -> None:
        self._request(type(None), "POST", f"{batch_path(batch_id)}/release")

    def hash(self, batch_id: str, passwords: Sequence[tuple[int, str]]) -> int:
        weak = [secret for secret in passwords if isinstance(secret, WeakHash)]
        body = PasswordChunk(
            [one for one in passwords if not isinstance(one, WeakHash)], list(weak)
        )
        return self._request(Stored, "POST", f"{batch_path(batch_id)}/passwords", body).stored

    def publish(self, batch_id: str, entries: int, *, mail_links: bool = False) -> Batch:
        return self._request(
            Batch, "POST", f"{batch_path(batch_id)}/publish", BatchPublish(entries, mail_links)
        )

    def drop(self, batch_id: str) -> Batch:
        return self._request(Batch, "POST", f"{batch_path(batch_id)}/drop")

    def undo(self, batch_id: str, after: str, *, force: bool, dry_run: bool) -> UndoPart:
        body = BatchUndo(force, dry_run, after)
        return self._request(UndoPart, "POST", f"{batch_path(batch_id)}/undo", body)

    def show(self, batch_id: str) -> Batch:
        return self._request(Batch, "GET", batch_path(batch_id))

    def created(self, batch_id: str, after: str, limit: int) -> list[AdminCreatedUser]:
        path = f"{batch_path(batch_id)}/users"
        return self._request(BatchUsers, "GET", path, after=after, limit=min(limit, _PAGE)).users

    def list(self, *, open_only: bool, before: str, limit: int) -> list[Batch]:
        query: dict[str, Any] = {"open_only": str(open_only).lower(), "before": before}
        return self._request(BatchPage, "GET", "/v1/batches", limit=limit, **query).batches


def _chunk_users(users: Sequence[CheckedUser]) -> list[ChunkUser]:
    # Each only as a `ChunkUser`: a request has no keys of emails.
    count = len(ChunkUser.__struct_fields__)
    return [ChunkUser(*structs.astuple(user)[:count]) for user in users]
