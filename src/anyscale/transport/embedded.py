"""The control plane in this process, on the user's own SQLite database."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from anyscale.domain.audit_chain import AuditEntry
from anyscale.domain.models.batches import Batch, Conflict, Created, ReservedChunk
from anyscale.domain.models.users import (
    AdminCreatedUser,
    PasswordLink,
    UpdatedUser,
    User,
    UserChanges,
)
from anyscale.domain.schemas.batches import UndoPart
from anyscale.domain.schemas.users import FoundUser, UserPage, UserQuery
from anyscale.domain.validation import CheckedUser, Policy
from anyscale.errors import FeatureUnavailable, NotFound, Overloaded, StoreUnavailable
from anyscale.server.control_plane import ControlPlane, database_exists
from anyscale.server.core.callers import Principal, local_actor
from anyscale.server.settings import Settings

__all__ = ["EmbeddedTransport"]

#: seconds that a search spends on indexing at most, also on waiting for another process that writes
_INDEXING_SECONDS = 2.0


class EmbeddedTransport:
    """Calls a control plane in this process.

    Calls that only read create nothing: without a database there are no users and no batches.
    """

    #: SQLite has one writer. The next chunk is read while it writes.
    reservations_at_once = 1
    #: While one chunk is hashed, the next one is ready, so that no core is idle between them.
    hashes_at_once = 2
    #: It repeats no call.
    retries = 0

    def __init__(
        self, settings: Settings, on_notice: Callable[[str], None] = lambda _: None
    ) -> None:
        assert isinstance(settings.database, Path)
        self._database = settings.database
        self._settings = settings
        self._caller = Principal(local_actor())
        self._opened_to_write: ControlPlane | None = None
        self._opened_to_read: ControlPlane | None = None
        self._is_noticed = False
        self.on_notice = on_notice
        self.where = str(self._database)

    @classmethod
    def from_environment(
        cls, environment: Mapping[str, str], on_notice: Callable[[str], None] = lambda _: None
    ) -> "EmbeddedTransport":
        """Create the transport that the environment describes, or raise a ConfigError."""
        return cls(Settings.from_environment(environment, served=False), on_notice)

    def _open(self, *, create: bool) -> ControlPlane:
        return ControlPlane(self._settings, create=create)

    @property
    def _writer(self) -> ControlPlane:
        """The control plane. The first use creates the database if needed, and cleans it up."""
        if self._opened_to_write is None:
            control_plane = self._open(create=True)
            try:
                control_plane.clean_up()
            except BaseException:
                control_plane.close()
                raise
            self._opened_to_write = control_plane
        return self._opened_to_write

    @property
    def _existing(self) -> ControlPlane | None:
        """The control plane, or None without a database. It creates and cleans up nothing."""
        if self._opened_to_write is not None:
            return self._opened_to_write
        if self._opened_to_read is None and database_exists(self._database):
            self._opened_to_read = self._open(create=False)
        reader = self._opened_to_read
        return None if reader is None or reader.store.is_blank else reader

    @property
    def _existing_or_notice(self) -> ControlPlane | None:
        """The existing control plane, to list from. Without one, a notice says so."""
        control_plane = self._existing
        if not control_plane and not self._is_noticed:
            self._is_noticed = True  # `verify` looks up many chunks
            self.on_notice(f"There is no control plane yet at {self.where}")
        return control_plane

    def _existing_or(self, not_found: NotFound) -> ControlPlane:
        """Return the existing control plane, to read a batch or a user in it.

        Raises:
            NotFound: `not_found`, as there is no database.
        """
        if control_plane := self._existing:
            return control_plane
        raise not_found

    def _writer_or(self, not_found: NotFound) -> ControlPlane:
        """Return `_writer` to change a batch or a user; create no database."""
        self._existing_or(not_found)
        return self._writer

    def policy(self) -> Policy:
        if not self._settings.batch_create:
            raise FeatureUnavailable
        # It raises if the database is another user's, before a run creates a folder beside it.
        database_exists(self._database)
        return self._settings.policy

    def create(
        self,
        key: str,
        users: Sequence[CheckedUser],
        if_exists: str,
        passwords: Sequence[tuple[int, str]] = (),
    ) -> Created:
        return self._writer.batches.create(key, users, if_exists, self._caller, passwords)

    def look_up(self, users: Sequence[CheckedUser], first: int) -> list[Conflict]:
        return self._existing.batches.look_up(users, first) if self._existing else []

    def find(self, key: str) -> Batch | None:
        return self._existing.batches.find(key) if self._existing else None

    def open(self, key: str, if_exists: str) -> Batch:
        return self._writer.batches.open(key, if_exists, self._caller)

    def reserve(self, batch_id: str, number: int, users: Sequence[CheckedUser]) -> ReservedChunk:
        return self._existing_or(NotFound.batch(batch_id)).batches.reserve(batch_id, number, users)

    def conflicts(self, batch_id: str) -> list[Conflict]:
        return self._existing_or(NotFound.batch(batch_id)).batches.conflicts(batch_id)

    def release(self, batch_id: str) -> None:
        batches = self._writer_or(NotFound.batch(batch_id)).batches
        while True:
            with suppress(Overloaded):  # it releases a part at a time
                return batches.release(batch_id)

    def hash(self, batch_id: str, passwords: Sequence[tuple[int, str]]) -> int:
        return self._writer.batches.hash(batch_id, passwords)

    def publish(self, batch_id: str, entries: int) -> Batch:
        return self._existing_or(NotFound.batch(batch_id)).batches.publish(
            batch_id, entries, self._caller
        )

    def drop(self, batch_id: str) -> Batch:
        return self._writer_or(NotFound.batch(batch_id)).batches.drop(batch_id, self._caller)

    def undo(self, batch_id: str, after: str, *, force: bool, dry_run: bool) -> UndoPart:
        find = self._existing_or if dry_run else self._writer_or
        batches = find(NotFound.batch(batch_id)).batches
        return batches.undo(batch_id, after, self._caller, force=force, dry_run=dry_run)

    def show(self, batch_id: str) -> Batch:
        return self._existing_or(NotFound.batch(batch_id)).batches.show(batch_id, self._caller)

    def batches(self, *, open_only: bool, before: str, limit: int) -> list[Batch]:
        if not (control_plane := self._existing_or_notice):
            return []
        return control_plane.batches.page(open_only=open_only, before=before, limit=limit)

    def created(self, batch_id: str, after: str, limit: int) -> list[AdminCreatedUser]:
        return self._existing_or(NotFound.batch(batch_id)).batches.created(batch_id, after, limit)

    def users(self, query: UserQuery, cursor: str, limit: int) -> UserPage:
        if not (control_plane := self._existing_or_notice):
            return UserPage([], None)
        if query.search and not cursor:
            control_plane.listing.check(query)
            _index_words(control_plane)
        return control_plane.listing.page(query, cursor, limit)

    def find_users(self, emails: Sequence[str]) -> list[FoundUser | None]:
        if not (control_plane := self._existing_or_notice):
            return [None for _ in emails]
        return control_plane.users.with_emails(emails)

    def users_with_email(self, email: str) -> list[User]:
        if not (control_plane := self._existing_or_notice):
            return []
        return control_plane.users.with_email(email)

    def users_with_name(self, name: str) -> list[User]:
        if not (control_plane := self._existing_or_notice):
            return []
        return control_plane.users.with_name(name)

    def update(self, user_id: str, changes: UserChanges) -> UpdatedUser:
        return self._writer_or(_no_user(user_id)).updates.update(user_id, changes, self._caller)

    def suspend(self, user_id: str) -> None:
        self._writer_or(_no_user(user_id)).lifecycle.suspend(user_id, self._caller)

    def restore(self, user_id: str) -> None:
        self._writer_or(_no_user(user_id)).lifecycle.restore(user_id, self._caller)

    def delete(self, user_id: str) -> None:
        self._writer_or(_no_user(user_id)).lifecycle.delete(user_id, self._caller)

    def set_role(self, user_id: str, role: str) -> None:
        self._writer_or(_no_user(user_id)).lifecycle.set_role(user_id, role, self._caller)

    def set_password_links(self, user_ids: Sequence[str]) -> list[PasswordLink]:
        if not user_ids and not self._existing:
            return []
        return self._writer_or(_no_user("".join(user_ids[:1]))).links.create(user_ids, self._caller)

    def without_credentials(self, batch_id: str, after: str, limit: int) -> list[User]:
        return self._existing_or(NotFound.batch(batch_id)).links.without_credentials(
            batch_id, after, limit
        )

    def audit(
        self, after: int, limit: int, *, before: int | None = None, newest_first: bool = False
    ) -> list[AuditEntry]:
        if not (control_plane := self._existing_or_notice):
            return []
        return control_plane.audit_log.list(after, limit, before=before, newest_first=newest_first)

    def cancel_retries(self) -> None:
        """Do nothing: no call is repeated here."""

    def close(self) -> None:
        for control_plane in (self._opened_to_read, self._opened_to_write):
            if control_plane:
                control_plane.close()
        self._opened_to_read = self._opened_to_write = None


def _no_user(user_id: str) -> NotFound:
    return NotFound(f"there is no user {user_id}")


def _index_words(control_plane: ControlPlane) -> None:
    """Index words for a while before a search; a server does so in the background.

    The search finds all the same if this user may only read, or while another process writes.
    """
    with suppress(StoreUnavailable):
        control_plane.search_index.fill(_INDEXING_SECONDS)
