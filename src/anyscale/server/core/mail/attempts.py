"""An attempt to send a mail: what is stored before it, and what becomes of the mail after it.

The order loses nothing: a transaction leases a mail and stores the hash of a new secret; it
commits; the mail is sent; another transaction deletes it. SMTP has no way to send a mail exactly
once, so a process that dies in between sends one more, and the link of the newest mail works.
"""

from msgspec import Struct

from anyscale.server.core.audit.entries import append_entries
from anyscale.server.core.link_secrets import new_link_secret
from anyscale.server.core.mail.kinds import KINDS, MailKind, MailResult, pause
from anyscale.server.core.mail.messages import FactorInMail, Letter
from anyscale.server.core.mail.outbox import stop_entries, stop_mailings
from anyscale.server.core.secrets import hash_of
from anyscale.server.core.time_units import DAY_MS
from anyscale.server.core.transactions import Transactions
from anyscale.server.store.records.login import LinkRecord
from anyscale.server.store.records.mail import MailRecord
from anyscale.server.store.transaction import Transaction

_TOO_OLD = "it was not sent in time: it is too old"


class Taken(Struct, frozen=True):
    """A mail that this server has leased, and its letter."""

    mail: MailRecord
    letter: Letter

    def __repr__(self) -> str:
        return f"Taken({self.mail!r})"


class Attempts:
    """Begins and ends attempts.

    Args:
        transactions: of the control plane.
        link_days: days after which a link of an administrator expires.
    """

    def __init__(self, transactions: Transactions, *, link_days: int) -> None:
        self._transactions = transactions
        self._link_days = link_days

    def begin(
        self, tx: Transaction, mail: MailRecord, now: int, free_at: int, lease: int
    ) -> Taken | None:
        """Lease a mail, and create its link; None if it is not to be sent, and was removed.

        Args:
            tx: that has locked the rate.
            mail: that is due.
            now: the time.
            free_at: when the rate allowed a mail: servers were there at about that time.
            lease: the milliseconds of the lease.
        """
        kind = KINDS[mail.kind]
        account = tx.accounts.lock([mail.user_id]).get(mail.user_id)
        if account is None or account.suspended_at is not None:
            tx.outbox.remove(mail)
            return None
        if mail.created_at + kind.lifetime <= now:
            # No server sent it in its time; or it was sent then, and a backup was restored since.
            if free_at + kind.lifetime > now or not stop(tx, mail.mailing_id):
                _fail(tx, mail, _TOO_OLD)
            return None
        leased = tx.outbox.lease(mail, now + lease)
        if leased is None:
            return None
        code, expires_at = self._new_link(tx, leased, kind, now) if kind.link else ("", 0)
        letter = Letter(
            mail_id=leased.mail_id,
            attempt=leased.attempts,
            kind=leased.kind,
            address=leased.address or account.email,
            at=now,
            code=code,
            expires_at=expires_at,
            factors=_factors(tx, mail.user_id) if kind.names_factors else (),
        )
        return Taken(leased, letter)

    def note_sent(self, taken: Taken) -> MailResult:
        """Note that the relay has accepted a mail: its link replaces the former one."""
        mail, code = taken.mail, taken.letter.code
        with self._transactions.write_unattended("mail", is_slice=True) as tx:
            if code:
                tx.accounts.lock([mail.user_id])
            # The mailing is locked before its mails, as by what stops it.
            _count(tx, mail, sent=1)
            if not tx.outbox.remove(mail) and _counts_too_many(tx, mail.mailing_id):
                _count(tx, mail, sent=-1)
            if code:
                tx.links.deliver(hash_of(code))
        return "sent"

    def note_failed(self, taken: Taken, error: str) -> MailResult:
        """Note that a mail is never sent: the former link of its account stays."""
        with self._transactions.write_unattended("mail", is_slice=True) as tx:
            _fail(tx, taken.mail, error)
            _forget_link(tx, taken)
        return "failed"

    def note_retry(self, taken: Taken, error: str, *, may_have_arrived: bool) -> MailResult:
        """Note that a mail is to be tried again, or that its time is over."""
        mail = taken.mail
        with self._transactions.write_unattended("mail", is_slice=True) as tx:
            next_at = tx.now() + pause(mail.attempts)
            is_over = next_at >= mail.created_at + KINDS[mail.kind].lifetime
            if is_over:
                _fail(tx, mail, error)
            else:
                tx.outbox.put_back(mail, next_at, error)
            if not may_have_arrived:
                _forget_link(tx, taken)
        return "failed" if is_over else "retried"

    def _new_link(
        self, tx: Transaction, mail: MailRecord, kind: MailKind, now: int
    ) -> tuple[str, int]:
        lifetime = kind.link_lifetime or self._link_days * DAY_MS
        code, expires_at = new_link_secret(), now + lifetime
        tx.links.add(
            LinkRecord(
                user_id=mail.user_id,
                hash=hash_of(code),
                created_by=mail.requested_by,
                created_at=now,
                expires_at=expires_at,
                kind=kind.link,
                mail=f"{mail.mail_id}.{mail.attempts}",
            )
        )
        return code, expires_at


def stop(tx: Transaction, mailing_id: str) -> bool:
    """Stop a mailing that is too old, as the last step; return False if there is none."""
    if stopped := stop_mailings(tx, mailing_id=mailing_id):
        append_entries(tx, stop_entries(stopped, "system"))
    return bool(stopped)


def _factors(tx: Transaction, user_id: str) -> tuple[FactorInMail, ...]:
    """Return the second factors of an account as a mail names them.

    Two changes may have become one mail: it shows what came of both. The names are left out, which
    a thief may have chosen.
    """
    found = tx.factors.list(user_id)
    return tuple(FactorInMail(one.kind, one.confirmed_at or one.created_at) for one in found)


def _forget_link(tx: Transaction, taken: Taken) -> None:
    if taken.letter.code:
        tx.links.consume(hash_of(taken.letter.code))


def _fail(tx: Transaction, mail: MailRecord, error: str) -> None:
    _count(tx, mail, failed=1)
    if not tx.outbox.set_failed(mail, error):  # it was deleted, or another server has taken it
        _count(tx, mail, failed=-1)


def _count(tx: Transaction, mail: MailRecord, *, sent: int = 0, failed: int = 0) -> None:
    if mail.mailing_id:
        tx.mailings.count(mail.mailing_id, sent=sent, failed=failed)


def _counts_too_many(tx: Transaction, mailing_id: str) -> bool:
    """Whether a locked mailing counts a mail twice: the lease has ended, and another server has it.

    Else the mail was deleted while it was sent, as a stop does, and nobody else counts it.
    """
    mailing = tx.mailings.get(mailing_id)
    due = tx.outbox.count_of(mailing_id).due
    return mailing is not None and mailing.sent + mailing.failed + due > mailing.created
