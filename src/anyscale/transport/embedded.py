"""The control plane in this process: the same calls, on the user's own SQLite database."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from anyscale.audit_log import AuditEntry
from anyscale.errors import FeatureUnavailable, NotFound, Overloaded, StoreUnavailable
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

if TYPE_CHECKING:
    from anyscale.server.control_plane import ControlPlane
    from anyscale.server.core.authorization import Principal
    from anyscale.server.settings import Settings

__all__ = ["EmbeddedTransport"]


class EmbeddedTransport:
    """Calls a control plane in this process.

    What only reads makes nothing: without a database there are no users and no batches.

    Args:
        settings: of the control plane.
    """

    #: SQLite has one writer. The next page is read while it writes.
    claims_at_once = 1
    #: While one page is hashed the next one is ready, so that no core waits at the end of a page.
    hashes_at_once = 2

    def __init__(self, settings: "Settings") -> None:
        assert isinstance(settings.database, Path)
        self._database = settings.database
        self._settings = settings
        self._reader: ControlPlane | None = None
        self.notice: Callable[[str], None] = lambda _: None
        self.where = str(self._database)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "EmbeddedTransport":
        """Make one as the environment says.

        Raises:
            ConfigError: a setting is wrong.
        """
        from anyscale.server.settings import Settings

        return cls(Settings.from_environment(environment, served=False))

    @cached_property
    def _caller(self) -> "Principal":
        from anyscale.server.core.authorization import Principal, local_actor

        return Principal(local_actor())

    @cached_property
    def _written(self) -> "ControlPlane":
        """The control plane, made if it does not exist."""
        from anyscale.server.control_plane import ControlPlane

        plane = ControlPlane(self._settings)
        try:
            plane.clean_up()
        except BaseException:
            plane.close()
            raise
        return plane

    @property
    def _opened(self) -> "ControlPlane | None":
        """The control plane for reading, or None as long as there is none."""
        if "_written" in self.__dict__:
            return self._written
        if self._reader is None and self._exists():
            from anyscale.server.control_plane import ControlPlane

            self._reader = ControlPlane(self._settings, create=False)
        return None if self._reader is None or self._reader.store.is_blank else self._reader

    @property
    def _told(self) -> "ControlPlane | None":
        """The same. That there is none is told: by its empty lists it looks like one of nobody."""
        if not (plane := self._opened):
            self.notice(f"There is no control plane yet at {self.where}")
        return plane

    def _plane_with(self, batch_id: str) -> "ControlPlane":
        """The control plane for reading, of which a batch is asked."""
        if plane := self._opened:
            return plane
        raise NotFound(f"there is no batch {batch_id}")

    def _plane_of(self, user_id: str = "") -> "ControlPlane":
        """The control plane for changing an account; for one that there is not, none is made."""
        if self._opened:
            return self._written
        raise NotFound(f"there is no user {user_id}")

    def _exists(self) -> bool:
        try:
            self._database.stat()
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError as error:  # what cannot be looked at may well hold users
            raise StoreUnavailable(f"{self.where}: {error.strerror}") from error
        return True

    def policy(self) -> Policy:
        if not self._settings.batch_create:
            raise FeatureUnavailable
        return self._settings.policy

    def create(
        self,
        key: str,
        users: Sequence[CheckedUser],
        if_exists: str,
        passwords: Sequence[tuple[int, str]] = (),
    ) -> Created:
        return self._written.batches.create(key, users, if_exists, self._caller, passwords)

    def look_up(self, users: Sequence[CheckedUser], first: int) -> list[Conflict]:
        return self._opened.batches.look_up(users, first) if self._opened else []

    def find(self, key: str) -> Batch | None:
        return self._opened.batches.find(key) if self._opened else None

    def open(self, key: str, if_exists: str) -> Batch:
        return self._written.batches.open(key, if_exists, self._caller)

    def claim(self, batch_id: str, number: int, users: Sequence[CheckedUser]) -> ReservedChunk:
        return self._written.batches.claim(batch_id, number, users)

    def conflicts(self, batch_id: str) -> list[Conflict]:
        return self._plane_with(batch_id).batches.conflicts(batch_id)

    def release(self, batch_id: str) -> None:
        self._plane_with(batch_id)
        while True:
            with suppress(Overloaded):  # it took long, and has to be asked again
                return self._written.batches.release(batch_id)

    def hash(self, batch_id: str, passwords: Sequence[tuple[int, str]]) -> int:
        return self._written.batches.hash(batch_id, passwords)

    def publish(self, batch_id: str, entries: int) -> Batch:
        return self._written.batches.publish(batch_id, entries, self._caller)

    def drop(self, batch_id: str) -> Batch:
        self._plane_with(batch_id)  # a batch that does not exist makes no database
        return self._written.batches.drop(batch_id, self._caller)

    def show(self, batch_id: str) -> Batch:
        return self._plane_with(batch_id).batches.show(batch_id)

    def batches(self, *, open_only: bool, before: str, limit: int) -> list[Batch]:
        if not (plane := self._told):
            return []
        return plane.batches.page(open_only=open_only, before=before, limit=limit)

    def created(self, batch_id: str, after: str, limit: int) -> list[AdminCreatedUser]:
        return self._plane_with(batch_id).batches.created(batch_id, after, limit)

    def users(
        self, *, email: str, name: str, suspended: bool = False, after: str, limit: int
    ) -> list[User]:
        if not (plane := self._told):
            return []
        return plane.users.page(
            email=email, name=name, suspended=suspended, after=after, limit=limit
        )

    def users_with_email(self, email: str) -> list[User]:
        return plane.users.with_email(email) if (plane := self._told) else []

    def users_with_name(self, name: str) -> list[User]:
        return plane.users.with_name(name) if (plane := self._told) else []

    def suspend(self, user_id: str) -> None:
        self._plane_of(user_id).accounts.suspend(user_id, self._caller)

    def restore(self, user_id: str) -> None:
        self._plane_of(user_id).accounts.restore(user_id, self._caller)

    def delete(self, user_id: str) -> None:
        self._plane_of(user_id).accounts.delete(user_id, self._caller)

    def set_role(self, user_id: str, role: str) -> None:
        self._plane_of(user_id).accounts.set_role(user_id, role, self._caller)

    def set_password_links(self, user_ids: Sequence[str]) -> list[PasswordLink]:
        if not user_ids and not self._opened:
            return []
        return self._plane_of(*user_ids[:1]).links.create(user_ids, self._caller)

    def without_credentials(self, batch_id: str, after: str, limit: int) -> list[User]:
        return self._plane_with(batch_id).links.without_credentials(batch_id, after, limit)

    def audit(self, after: int, limit: int) -> list[AuditEntry]:
        return plane.trail.page(after, limit) if (plane := self._told) else []

    def hurry(self) -> None:
        """No call waits to be repeated here."""

    def close(self) -> None:
        for plane in (self._reader, self.__dict__.pop("_written", None)):
            if plane:
                plane.close()
        self._reader = None
