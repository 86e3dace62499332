"""The calls of a control plane in this process, for one caller.

The classes are those of `transport.base`, by subject, which this module does not import: the server
imports nothing of the client.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Literal

from anyscale.domain.audit_chain import AuditEntry
from anyscale.domain.models.applications import (
    Application,
    ApplicationChanges,
    CreatedApplication,
    NewApplication,
)
from anyscale.domain.models.audit import AuditFilter
from anyscale.domain.models.batches import Batch, Conflict, Created, ReservedChunk
from anyscale.domain.models.mail import Mail
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
from anyscale.domain.schemas.batches import UndoPart
from anyscale.domain.schemas.exports import ExportPage
from anyscale.domain.schemas.mail import MailingPage
from anyscale.domain.schemas.users import Role, UserPage
from anyscale.domain.user_query import UserQuery
from anyscale.domain.validation import CheckedUser
from anyscale.errors import Overloaded
from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.callers import Caller

#: What a call needs the control plane for. Without a database only `create` creates one, and the
#: others see an empty one. A user is told so by `list` and `search`. Words are indexed before
#: `search`.
Need = Literal["read", "list", "search", "change", "create"]


class _Calls:
    """The calls of one caller, to the control plane that `opened` returns."""

    def __init__(self, opened: Callable[[Need], ControlPlane], caller: Caller) -> None:
        self._opened = opened
        self._caller = caller


class Batches(_Calls):
    """Batches: see `transport.base.Batches`."""

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
        return self._opened("create").batches.create(
            self._caller, key, users, if_exists, passwords, mail_links=mail_links, label=label
        )

    def look_up(self, users: Sequence[CheckedUser], first: int) -> list[Conflict]:
        return self._opened("read").batches.look_up(users, first)

    def find(self, key: str) -> Batch | None:
        return self._opened("read").batches.find(key)

    def open(self, key: str, if_exists: str, label: str | None = None) -> Batch:
        return self._opened("create").batches.open(self._caller, key, if_exists, label)

    def reserve(self, batch_id: str, number: int, users: Sequence[CheckedUser]) -> ReservedChunk:
        # To read: `open` has opened it to write, or a dry run compares a published batch.
        return self._opened("read").batches.reserve(self._caller, batch_id, number, users)

    def conflicts(self, batch_id: str) -> list[Conflict]:
        return self._opened("read").batches.conflicts(batch_id)

    def release(self, batch_id: str) -> None:
        while True:
            with suppress(Overloaded):  # it releases a part at a time
                return self._opened("change").batches.release(self._caller, batch_id)

    def hash(self, batch_id: str, passwords: Sequence[tuple[int, str]]) -> int:
        return self._opened("change").batches.hash(self._caller, batch_id, passwords)

    def publish(self, batch_id: str, entries: int, *, mail_links: bool = False) -> Batch:
        batches = self._opened("read").batches
        return batches.publish(self._caller, batch_id, entries, mail_links=mail_links)

    def drop(self, batch_id: str) -> Batch:
        return self._opened("change").batches.drop(self._caller, batch_id)

    def undo(self, batch_id: str, after: str, *, force: bool, dry_run: bool) -> UndoPart:
        batches = self._opened("read" if dry_run else "change").batches
        return batches.undo(self._caller, batch_id, after, force=force, dry_run=dry_run)

    def show(self, batch_id: str) -> Batch:
        return self._opened("read").batches.show(self._caller, batch_id)

    def created(self, batch_id: str, after: str, limit: int) -> list[AdminCreatedUser]:
        return self._opened("read").batches.created(batch_id, after, limit)

    def list(self, *, open_only: bool, before: str, limit: int) -> list[Batch]:
        batches = self._opened("list").batches
        return batches.page(open_only=open_only, before=before, limit=limit)


class Users(_Calls):
    """Accounts: see `transport.base.Users`."""

    def find(
        self, emails: Sequence[str], external_ids: Sequence[str] = ()
    ) -> Sequence[User | None]:
        return self._opened("list").users.find(emails, external_ids)

    def update(
        self,
        user_id: str,
        changes: UserChanges,
        expected: ExpectedUser | None = None,
        *,
        reuse_email: bool = False,
    ) -> UpdatedUser:
        updates = self._opened("change").updates
        return updates.update(
            self._caller,
            user_id,
            changes,
            expected,
            reuse_email=reuse_email,
        )

    def change_emails(self, changes: Sequence[EmailChange]) -> None:
        self._opened("change").updates.change_emails(self._caller, changes)

    def answer_questions(self, answers: Sequence[GivenAnswer], *, dry_run: bool) -> list[bool]:
        syncs = self._opened("read" if dry_run else "change").syncs
        return syncs.answer(self._caller, answers, dry_run=dry_run)

    def suspend(
        self,
        user_id: str,
        *,
        keep_owner: bool = False,
        by_sync: bool = False,
        expected: ExpectedUser | None = None,
        keep_links: bool = False,
    ) -> None:
        self._opened("change").lifecycle.suspend(
            self._caller,
            user_id,
            keep_owner=keep_owner,
            by_sync=by_sync,
            expected=expected,
            keep_links=keep_links,
        )

    def restore(
        self,
        user_id: str,
        *,
        keep_owner: bool = False,
        by_sync: bool = False,
        expected: ExpectedUser | None = None,
    ) -> None:
        self._opened("change").lifecycle.restore(
            self._caller, user_id, keep_owner=keep_owner, by_sync=by_sync, expected=expected
        )

    def delete(self, user_id: str, *, keep_links: bool = False) -> None:
        self._opened("change").lifecycle.delete(self._caller, user_id, keep_links=keep_links)

    def set_role(self, user_id: str, role: Role, *, keep_links: bool = False) -> None:
        lifecycle = self._opened("change").lifecycle
        lifecycle.set_role(self._caller, user_id, role, keep_links=keep_links)

    def reset_second_factor(self, user_id: str, reason: str) -> int:
        removal = self._opened("change").factor_removal
        return removal.remove_all(self._caller, user_id, reason)

    def list(self, query: UserQuery, cursor: str, limit: int) -> UserPage:
        is_new_search = bool(query.search) and not cursor
        if is_new_search:
            self._opened("read").listing.check(query)
        return self._opened("search" if is_new_search else "list").listing.page(
            query, cursor, limit
        )

    def export(self, after: str, limit: int) -> ExportPage:
        return self._opened("list").users.export(after, limit)


class Links(_Calls):
    """Set-password links: see `transport.base.Links`."""

    def create(self, user_ids: Sequence[str]) -> list[PasswordLink]:
        return self._opened("change").links.create(self._caller, user_ids)

    def without_credentials(self, batch_id: str, after: str, limit: int) -> list[User]:
        return self._opened("read").links.without_credentials(batch_id, after, limit)


class Mails(_Calls):
    """Mail: see `transport.base.Mails`."""

    def send_links(self, user_ids: Sequence[str]) -> None:
        self._with_relay("change" if user_ids else "read").links.mail(self._caller, user_ids)

    def send_links_to_many(self, batch_id: str) -> None:
        self._with_relay("change").links.mail_many(self._caller, batch_id)

    def list_mailings(self, before: str, limit: int) -> MailingPage:
        queue = self._with_relay("list").mail_queue
        return MailingPage(queue.list_mailings(before, limit), queue.count_single())

    def list(self, after: str, limit: int, *, failed: bool) -> Sequence[Mail]:
        queue = self._with_relay("list").mail_queue
        return queue.list_mails(failed=failed, after=after, limit=limit)

    def stop(self, which: str) -> Sequence[str]:
        return self._with_relay("change").mail_queue.stop(which, self._caller)

    def _with_relay(self, need: Need) -> ControlPlane:
        """Refuse mail where no server could send it, before a database is created."""
        self._opened("read").outbox.require_relay()
        return self._opened(need)


class Applications(_Calls):
    """Applications: see `transport.base.Applications`."""

    def create(self, new: NewApplication) -> CreatedApplication:
        return self._opened("create").applications.create(self._caller, new)

    def list(self) -> list[Application]:
        return self._opened("list").applications.list()

    def get(self, client_id: str) -> Application:
        return self._opened("read").applications.get(client_id)

    def update(self, client_id: str, changes: ApplicationChanges) -> Application:
        return self._opened("change").applications.update(self._caller, client_id, changes)

    def rotate_secret(self, client_id: str, *, now: bool) -> CreatedApplication:
        return self._opened("change").applications.rotate_secret(self._caller, client_id, now=now)

    def delete(self, client_id: str) -> None:
        self._opened("change").applications.delete(self._caller, client_id)


class Audit(_Calls):
    """The audit log: see `transport.base.Audit`."""

    def list(
        self,
        after: int,
        limit: int,
        *,
        before: int | None = None,
        newest_first: bool = False,
        only: AuditFilter | None = None,
    ) -> list[AuditEntry]:
        return self._opened("list").audit_log.list(
            after, limit, before=before, newest_first=newest_first, only=only
        )
