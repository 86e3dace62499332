"""What is due, sent and failed, for owners; and stopping it."""

from collections.abc import Mapping, Sequence

from msgspec import Struct

from anyscale.domain.models.mail import Mail, Mailing
from anyscale.domain.schemas.mail import SingleMails
from anyscale.domain.times import from_milliseconds
from anyscale.errors import NotFound
from anyscale.server.core.audit.entries import append_entries
from anyscale.server.core.callers import Caller
from anyscale.server.core.mail.outbox import stop_entries, stop_mailings
from anyscale.server.core.mail.shares import others_per_minute
from anyscale.server.core.permissions import Permission
from anyscale.server.core.time_units import SECOND_MS
from anyscale.server.core.transactions import Transactions
from anyscale.server.store.records.mail import MailingRecord, MailRecord
from anyscale.server.store.transaction import Transaction

#: mailings that are looked at to find those that come before another one
_MOST_MAILINGS = 1_000


class Queued(Struct, frozen=True):
    """The queue in numbers."""

    #: mails that are due, those that a mailing has not created yet left out
    due: int
    #: requests of users who forgot their password that are not looked up yet
    reset_requests: int
    #: how long the oldest of them has waited; 0 without any
    oldest_seconds: float


class MailQueue:
    """Lists and stops mails.

    Args:
        transactions: of the control plane.
        per_minute: mails that are sent in a minute; 0 without a relay.
    """

    def __init__(self, transactions: Transactions, per_minute: int) -> None:
        self._transactions = transactions
        self._per_minute = per_minute

    def queued(self) -> Queued:
        """Return the queue in numbers."""
        with self._transactions.read() as tx:
            mails, requests, now = tx.outbox.queued(), tx.password_resets.queued(), tx.now()
        oldest_at = min((one.oldest_at for one in (mails, requests) if one.due), default=now)
        return Queued(mails.due, requests.due, max(now - oldest_at, 0) / SECOND_MS)

    def list_mailings(
        self, before: str = "", limit: int = 100, batch_id: str | None = None
    ) -> list[Mailing]:
        """Return mailings, or those of a batch, the latest first, after the last id of a page."""
        with self._transactions.read() as tx:
            due = tx.outbox.due_by_mailing()
            waiting = _waiting(tx, due)
            return [
                self._mailing(one, due, waiting)
                for one in tx.mailings.list(before, limit, batch_id)
            ]

    def count_single(self) -> SingleMails:
        """Count the mails that were requested by themselves, and the requests that wait."""
        with self._transactions.read() as tx:
            mails, requests = tx.outbox.count_of(""), tx.password_resets.queued()
        return SingleMails(mails.due, mails.failed, requests.due)

    def list_mails(
        self, *, failed: bool, after: str = "", limit: int = 100, mailing_id: str | None = None
    ) -> list[Mail]:
        """Return mails that are due, or that have failed, by `mail_id`, after one."""
        state = "failed" if failed else "due"
        with self._transactions.read() as tx:
            found = tx.outbox.list(state, after, limit, mailing_id)
            emails = _emails(tx, [mail.user_id for mail in found])
        return [_mail(record, emails.get(record.user_id)) for record in found]

    def list_of(self, user_id: str) -> list[Mail]:
        """Return the mails to an account that are due or have failed, the latest first."""
        with self._transactions.read() as tx:
            found, emails = tx.outbox.list_of(user_id), _emails(tx, [user_id])
        return [_mail(record, emails.get(user_id)) for record in found]

    def stop(self, caller: Caller, which: str) -> list[str]:
        """Stop a mailing, or those of a batch: what was not sent is not sent any more.

        A repeated call stops nothing more.

        Args:
            caller: an owner.
            which: the id of the mailing or of the batch.

        Returns:
            The ids of the mailings that were stopped.

        Raises:
            NotFound: there is no such mailing.
            NotAuthenticated, NotPermitted: the caller has lost its permission.
        """
        with self._transactions.write_for(caller, Permission.MANAGE_SIGN_IN) as (tx, _):
            if not tx.mailings.get(which) and not tx.mailings.list("", 1, which):
                raise NotFound.mailing(which)
            stopped = stop_mailings(tx, mailing_id=which, batch_id=which)
            append_entries(tx, stop_entries(stopped, caller.actor))
        return [one.mailing_id for one in stopped]

    def _mailing(
        self, record: MailingRecord, created: Mapping[str, int], waiting: Mapping[str, int]
    ) -> Mailing:
        due = _due(record, created)
        done = "stopped" if record.state == "stopped" else "sent"
        rate = others_per_minute(self._per_minute)
        minutes = waiting.get(record.mailing_id, 0) / rate if rate else 0
        return Mailing(
            mailing_id=record.mailing_id,
            batch_id=record.batch_id or None,
            state="sending" if due else done,
            total=record.total,
            due=due,
            sent=record.sent,
            failed=record.failed,
            seconds_left=round(minutes * 60),
            requested_by=record.requested_by,
            requested_at=from_milliseconds(record.created_at),
        )


def _waiting(tx: Transaction, created: Mapping[str, int]) -> dict[str, int]:
    """Return how many mails are due until each running mailing is done, by its id."""
    due, waiting = created.get("", 0), dict[str, int]()
    for one in reversed(tx.mailings.list("", _MOST_MAILINGS)):
        if own := _due(one, created):
            due += own
            waiting[one.mailing_id] = due
    return waiting


def _due(record: MailingRecord, created: Mapping[str, int]) -> int:
    """Return how many mails of a mailing are due, with those that are not created yet.

    `created` has the numbers of those that are.
    """
    # Accounts get credentials while it runs, and then no mail: the number is at most this.
    left = max(record.total - record.created, 0) if record.state == "open" else 0
    return created.get(record.mailing_id, 0) + left


def _emails(tx: Transaction, user_ids: Sequence[str]) -> dict[str, str]:
    ids = sorted({one for one in user_ids if one})
    return {user.user_id: user.email for user in tx.users.list_with_ids(ids)} if ids else {}


def _mail(record: MailRecord, email: str | None) -> Mail:
    return Mail(
        mail_id=record.mail_id,
        kind=record.kind,
        user_id=record.user_id or None,
        email=record.address or email,
        mailing_id=record.mailing_id or None,
        state=record.state,
        attempts=record.attempts,
        error=record.last_error,
        next_at=from_milliseconds(record.next_at),
        requested_by=record.requested_by,
        requested_at=from_milliseconds(record.created_at),
    )
