"""The calls of a control plane, as a protocol for each subject."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from anyscale.batch_run.run_calls import BatchCalls
from anyscale.comparison.comparison_calls import AccountCalls, ComparisonCalls
from anyscale.domain.audit_chain import AuditEntry
from anyscale.domain.models.applications import (
    Application,
    ApplicationChanges,
    CreatedApplication,
    NewApplication,
)
from anyscale.domain.models.audit import AuditFilter
from anyscale.domain.models.batches import Batch
from anyscale.domain.models.mail import Mail
from anyscale.domain.models.users import ExpectedUser, PasswordLink, User
from anyscale.domain.schemas.batches import UndoPart
from anyscale.domain.schemas.exports import ExportPage
from anyscale.domain.schemas.mail import MailingPage
from anyscale.domain.schemas.users import Role


class Outage(NamedTuple):
    """Calls fail, or get no response, and the client continues trying."""

    #: such as "no response from https://accounts.example.com", or "... is unavailable"
    reason: str
    #: when the call began, by `time.monotonic`
    since: float
    #: seconds after which the call ends with an error, about
    patience: float

    def describe(self, now: float) -> str:
        """Return what a line of progress says about it."""
        return f"{self.reason} for {now - self.since:.0f} s, gives up at {self.patience:.0f} s"


class Batches(BatchCalls, Protocol):
    """Batches: creating users, undoing and listing them."""

    def undo(self, batch_id: str, after: str, *, force: bool, dry_run: bool) -> UndoPart:
        """Delete accounts of a published batch for about a second, after a `user_id`.

        Args:
            batch_id: a batch that was published.
            after: the `after` of the previous call's result; empty for the first one.
            force: delete also accounts that were used since.
            dry_run: only return what would be deleted and kept.
        """

    def list(self, *, open_only: bool, before: str, limit: int) -> list[Batch]:
        """Return batches, the latest first, beginning with the batch before `before`.

        With `open_only` it returns those that are open or that are being undone.
        """


class Users(AccountCalls, Protocol):
    """Accounts."""

    def suspend(
        self,
        user_id: str,
        *,
        keep_owner: bool = False,
        by_sync: bool = False,
        expected: ExpectedUser | None = None,
        keep_links: bool = False,
    ) -> None:
        """Suspend an account: see `AccountCalls`.

        Links that the user created for others end, unless `keep_links`; so with the calls below.
        """

    def delete(self, user_id: str, *, keep_links: bool = False) -> None:
        """Delete an account and erase the data of its user."""

    def set_role(self, user_id: str, role: Role, *, keep_links: bool = False) -> None:
        """Make an account an `owner` or a `collaborator`."""

    def reset_second_factor(self, user_id: str, reason: str) -> int:
        """Remove the second factors of an account, and count them. An owner's are refused."""

    def export(self, after: str, limit: int) -> ExportPage:
        """Return a page of all accounts, without hashes; `after` is that of the previous page."""


class Links(Protocol):
    """Set-password links."""

    def create(self, user_ids: Sequence[str]) -> list[PasswordLink]:
        """Create a set-password link for each of up to 1,000 accounts.

        Without accounts, it only raises the reason why this control plane creates no links.
        """

    def without_credentials(self, batch_id: str, after: str, limit: int) -> list[User]:
        """Return accounts of a published batch that cannot sign in yet, after a `user_id`."""


class Mails(Protocol):
    """Mail: links that are sent, what is due and failed."""

    def send_links(self, user_ids: Sequence[str]) -> None:
        """Send a set-password link by mail to each of up to 1,000 accounts.

        Without accounts, it only raises the reason why this control plane sends no mail.
        """

    def send_links_to_many(self, batch_id: str) -> None:
        """Send links to all accounts of a batch that cannot sign in yet; of all, if it is empty."""

    def list_mailings(self, before: str, limit: int) -> MailingPage:
        """Return the requests for mails to many accounts, the latest first.

        `before` is the last id of the previous page, empty for the first one.
        """

    def list(self, after: str, limit: int, *, failed: bool) -> Sequence[Mail]:
        """Return the mails that are due, or those that have failed, by `mail_id`, after one."""

    def stop(self, which: str) -> Sequence[str]:
        """Stop a mailing, or those of a batch; return the ids of the mailings it stopped."""


class Audit(Protocol):
    """The audit log."""

    def list(
        self,
        after: int,
        limit: int,
        *,
        before: int | None = None,
        newest_first: bool = False,
        only: AuditFilter | None = None,
    ) -> list[AuditEntry]:
        """Return entries of the audit log by number, or the newest first.

        `after` and `before` are numbers: only entries between them are listed, and of those only
        the ones that `only` selects.
        """


class Applications(Protocol):
    """The applications that sign users in."""

    def create(self, new: NewApplication) -> CreatedApplication:
        """Create an application; its secret is in the result, this once.

        The name is unique: repeating a call whose response was lost creates no second one.
        """

    def list(self) -> list[Application]:
        """Return all applications, the oldest first."""

    def get(self, client_id: str) -> Application:
        """Return one application."""

    def update(self, client_id: str, changes: ApplicationChanges) -> Application:
        """Change fields of an application, and return it."""

    def rotate_secret(self, client_id: str, *, now: bool) -> CreatedApplication:
        """Replace the secret. The previous one works for an hour, unless `now`."""

    def delete(self, client_id: str) -> None:
        """Delete an application: all sign-ins there end."""


class Transport(ComparisonCalls, Protocol):
    """The calls of a control plane by subject.

    Each is short, and repeating it changes nothing more. They raise the errors of
    `anyscale.errors`, the same ones in this process and over HTTP.
    """

    #: Where the control plane is, as log lines show it.
    where: str

    @property
    def batches(self) -> Batches:
        """The calls of batches."""

    @property
    def users(self) -> Users:
        """The calls of accounts."""

    @property
    def links(self) -> Links:
        """The calls of set-password links."""

    @property
    def mails(self) -> Mails:
        """The calls of mail."""

    @property
    def applications(self) -> Applications:
        """The calls of applications."""

    @property
    def audit(self) -> Audit:
        """The calls of the audit log."""

    @property
    def retries(self) -> int:
        """How often a call without a response was repeated so far."""

    def close(self) -> None:
        """Release connections, threads and files."""
