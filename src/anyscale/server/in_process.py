"""The calls of a control plane in this process, for one caller.

`transport.embedded` makes them on a database that it opens when a call needs it. The classes are
those of `transport.base`, by subject, which this module does not import: the server imports nothing
of the client.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final, Protocol

from anyscale.domain.audit_chain import AuditEntry
from anyscale.domain.models.applications import (
    Application,
    ApplicationChanges,
    CreatedApplication,
    NewApplication,
)
from anyscale.domain.models.audit import AuditFilter
from anyscale.domain.models.batches import Batch, Conflict, Created, ReservedChunk
from anyscale.domain.models.users import (
    AdminCreatedUser,
    PasswordLink,
    UpdatedUser,
    User,
    UserChanges,
)
from anyscale.domain.schemas.batches import UndoPart
from anyscale.domain.schemas.users import Role, UserPage
from anyscale.domain.user_query import UserQuery
from anyscale.domain.validation import CheckedUser
from anyscale.errors import NotFound, Overloaded
from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.batches.service import BatchService
from anyscale.server.core.callers import Caller

__all__ = ["Applications", "Audit", "Batches", "Links", "Opened", "Opening", "Users"]


class Opening(Protocol):
    """The control plane of the calls. It may be opened by the first call that needs it."""

    @property
    def to_read(self) -> ControlPlane | None:
        """The control plane; None without a database, which has no users and no batches."""

    @property
    def to_list(self) -> ControlPlane | None:
        """The same. Without a database the user gets a notice, since a list is empty."""

    @property
    def to_write(self) -> ControlPlane:
        """The control plane, whose database is created if needed."""


class Opened:
    """A control plane that is open."""

    def __init__(self, control_plane: ControlPlane) -> None:
        self.to_read: Final = control_plane
        self.to_list: Final = control_plane
        self.to_write: Final = control_plane


class Batches:
    """Batches: see `transport.base.Batches`."""

    def __init__(self, opening: Opening, caller: Caller) -> None:
        self._opening = opening
        self._caller = caller

    def create(
        self,
        key: str,
        users: Sequence[CheckedUser],
        if_exists: str,
        passwords: Sequence[tuple[int, str]] = (),
    ) -> Created:
        return self._opening.to_write.batches.create(key, users, if_exists, self._caller, passwords)

    def look_up(self, users: Sequence[CheckedUser], first: int) -> list[Conflict]:
        return self._opening.to_read.batches.look_up(users, first) if self._opening.to_read else []

    def find(self, key: str) -> Batch | None:
        return self._opening.to_read.batches.find(key) if self._opening.to_read else None

    def open(self, key: str, if_exists: str) -> Batch:
        return self._opening.to_write.batches.open(key, if_exists, self._caller)

    def reserve(self, batch_id: str, number: int, users: Sequence[CheckedUser]) -> ReservedChunk:
        return self._existing(batch_id).reserve(batch_id, number, users, self._caller)

    def conflicts(self, batch_id: str) -> list[Conflict]:
        return self._existing(batch_id).conflicts(batch_id)

    def release(self, batch_id: str) -> None:
        batches = self._writable(batch_id)
        while True:
            with suppress(Overloaded):  # it releases a part at a time
                return batches.release(batch_id, self._caller)

    def hash(self, batch_id: str, passwords: Sequence[tuple[int, str]]) -> int:
        return self._opening.to_write.batches.hash(batch_id, passwords, self._caller)

    def publish(self, batch_id: str, entries: int) -> Batch:
        return self._existing(batch_id).publish(batch_id, entries, self._caller)

    def drop(self, batch_id: str) -> Batch:
        return self._writable(batch_id).drop(batch_id, self._caller)

    def undo(self, batch_id: str, after: str, *, force: bool, dry_run: bool) -> UndoPart:
        batches = self._existing(batch_id) if dry_run else self._writable(batch_id)
        return batches.undo(batch_id, after, self._caller, force=force, dry_run=dry_run)

    def show(self, batch_id: str) -> Batch:
        return self._existing(batch_id).show(batch_id, self._caller)

    def created(self, batch_id: str, after: str, limit: int) -> list[AdminCreatedUser]:
        return self._existing(batch_id).created(batch_id, after, limit)

    def list(self, *, open_only: bool, before: str, limit: int) -> list[Batch]:
        if not (control_plane := self._opening.to_list):
            return []
        return control_plane.batches.page(open_only=open_only, before=before, limit=limit)

    def _existing(self, batch_id: str) -> BatchService:
        return _existing(self._opening, NotFound.batch(batch_id)).batches

    def _writable(self, batch_id: str) -> BatchService:
        return _writable(self._opening, NotFound.batch(batch_id)).batches


class Users:
    """Accounts: see `transport.base.Users`.

    `before_search` is called before the first page of a search.
    """

    def __init__(
        self,
        opening: Opening,
        caller: Caller,
        before_search: Callable[[ControlPlane], None] = lambda _: None,
    ) -> None:
        self._opening = opening
        self._caller = caller
        self._before_search = before_search

    def find(self, emails: Sequence[str]) -> Sequence[User | None]:
        if not (control_plane := self._opening.to_list):
            return [None for _ in emails]
        return control_plane.users.with_emails(emails)

    def update(
        self, user_id: str, changes: UserChanges, expected: UserChanges | None = None
    ) -> UpdatedUser:
        return self._writable(user_id).updates.update(user_id, changes, self._caller, expected)

    def suspend(self, user_id: str, *, keep_owner: bool = False) -> None:
        lifecycle = self._writable(user_id).lifecycle
        lifecycle.suspend(user_id, self._caller, keep_owner=keep_owner)

    def restore(self, user_id: str, *, keep_owner: bool = False) -> None:
        lifecycle = self._writable(user_id).lifecycle
        lifecycle.restore(user_id, self._caller, keep_owner=keep_owner)

    def delete(self, user_id: str) -> None:
        self._writable(user_id).lifecycle.delete(user_id, self._caller)

    def set_role(self, user_id: str, role: Role) -> None:
        self._writable(user_id).lifecycle.set_role(user_id, role, self._caller)

    def list(self, query: UserQuery, cursor: str, limit: int) -> UserPage:
        if not (control_plane := self._opening.to_list):
            return UserPage([], None)
        if query.search and not cursor:
            control_plane.listing.check(query)
            self._before_search(control_plane)
        return control_plane.listing.page(query, cursor, limit)

    def _writable(self, user_id: str) -> ControlPlane:
        return _writable(self._opening, _no_user(user_id))


class Links:
    """Set-password links: see `transport.base.Links`."""

    def __init__(self, opening: Opening, caller: Caller) -> None:
        self._opening = opening
        self._caller = caller

    def create(self, user_ids: Sequence[str]) -> list[PasswordLink]:
        if not user_ids and not self._opening.to_read:
            return []
        return _writable(self._opening, _no_user("".join(user_ids[:1]))).links.create(
            user_ids, self._caller
        )

    def without_credentials(self, batch_id: str, after: str, limit: int) -> list[User]:
        return _existing(self._opening, NotFound.batch(batch_id)).links.without_credentials(
            batch_id, after, limit
        )


class Applications:
    """Applications: see `transport.base.Applications`."""

    def __init__(self, opening: Opening, caller: Caller) -> None:
        self._opening = opening
        self._caller = caller

    def create(self, new: NewApplication) -> CreatedApplication:
        return self._opening.to_write.applications.create(new, self._caller)

    def list(self) -> list[Application]:
        control_plane = self._opening.to_list
        return control_plane.applications.list() if control_plane else []

    def get(self, client_id: str) -> Application:
        return _existing(self._opening, _no_application(client_id)).applications.get(client_id)

    def update(self, client_id: str, changes: ApplicationChanges) -> Application:
        applications = _writable(self._opening, _no_application(client_id)).applications
        return applications.update(client_id, changes, self._caller)

    def rotate_secret(self, client_id: str, *, now: bool) -> CreatedApplication:
        applications = _writable(self._opening, _no_application(client_id)).applications
        return applications.rotate_secret(client_id, self._caller, now=now)

    def delete(self, client_id: str) -> None:
        applications = _writable(self._opening, _no_application(client_id)).applications
        applications.delete(client_id, self._caller)


class Audit:
    """The audit log: see `transport.base.Audit`."""

    def __init__(self, opening: Opening) -> None:
        self._opening = opening

    def list(
        self,
        after: int,
        limit: int,
        *,
        before: int | None = None,
        newest_first: bool = False,
        only: AuditFilter | None = None,
    ) -> list[AuditEntry]:
        if not (control_plane := self._opening.to_list):
            return []
        return control_plane.audit_log.list(
            after, limit, before=before, newest_first=newest_first, only=only
        )


def _existing(opening: Opening, not_found: NotFound) -> ControlPlane:
    """Return the control plane, to read a batch or a user in it.

    Raises:
        NotFound: `not_found`, as there is no database.
    """
    if control_plane := opening.to_read:
        return control_plane
    raise not_found


def _writable(opening: Opening, not_found: NotFound) -> ControlPlane:
    """Return the control plane, to change a batch or a user; create no database.

    Raises:
        NotFound: `not_found`, as there is no database.
    """
    _existing(opening, not_found)
    return opening.to_write


def _no_user(user_id: str) -> NotFound:
    return NotFound(f"there is no user {user_id}")


def _no_application(client_id: str) -> NotFound:
    return NotFound(f"there is no application {client_id}")
