"""Creates the mails of mailings, some hundred at a time."""

from typing import Final

from anyscale.server.core.mail.attempts import stop
from anyscale.server.core.mail.kinds import KINDS
from anyscale.server.core.mail.outbox import new_mails
from anyscale.server.core.mail.shares import FOR_OTHERS
from anyscale.server.core.transactions import Transactions
from anyscale.server.store.records.mail import MANY, MailingRecord
from anyscale.server.store.transaction import Transaction

#: Mails of a mailing that are in the outbox at a time: what is sent in some minutes.
_MOST_CREATED = 500
_LEAST_CREATED = 20
_MINUTES_CREATED = 5


class MailingMails:
    """Creates the mails of mailings.

    Args:
        transactions: of the control plane.
        per_minute: mails that all servers send in a minute.
    """

    def __init__(self, transactions: Transactions, per_minute: int) -> None:
        self._transactions = transactions
        self._most_created: Final = min(
            max(per_minute * _MINUTES_CREATED, _LEAST_CREATED), _MOST_CREATED
        )

    def next_at(self, tx: Transaction) -> int | None:
        """Return when more mails are to be created; None for not at all, as it is now."""
        return None if self._open_mailing(tx) is None else 0

    def create(self) -> bool:
        """Create the next mails of a mailing, if there is one that has few; return whether."""
        with self._transactions.read() as tx:
            if self._open_mailing(tx) is None:
                return False
        with self._transactions.write_unattended("mail", is_slice=True) as tx:
            free_at, _ = tx.outbox.lock_rate(FOR_OTHERS)  # another server may be doing this
            if mailing := self._open_mailing(tx):
                self._create_mails_of(tx, mailing.mailing_id, free_at)
        return True

    def _open_mailing(self, tx: Transaction) -> MailingRecord | None:
        """Return the mailing of which more mails are to be created by now."""
        mailing = tx.mailings.find_open()
        # Those that are tried again later do not count: they may be many, and wait for days.
        if mailing and tx.outbox.count_new(mailing.mailing_id) <= self._most_created // 2:
            return mailing
        return None

    def _create_mails_of(self, tx: Transaction, mailing_id: str, free_at: int) -> None:
        # Only now it is locked, and nobody can stop it any more.
        for mailing in tx.mailings.lock_running(mailing_id=mailing_id):
            now = tx.now()
            if max(mailing.touched_at, free_at) + KINDS[mailing.kind].lifetime <= now:
                # A backup was restored: the mails of its time were sent then.
                stop(tx, mailing_id)
                return
            found = tx.users.list_without_credentials(
                mailing.batch_id, mailing.position, self._most_created
            )
            if not found:
                tx.mailings.set_state(mailing_id, "created")
                return
            ids = [user.user_id for user in found]
            mails = new_mails(
                now, mailing.kind, ids, mailing.requested_by, mailing_id=mailing_id, rank=MANY
            )
            tx.outbox.add_many(mails)
            tx.mailings.advance(mailing_id, ids[-1], len(ids), now)
