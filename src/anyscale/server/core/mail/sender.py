"""Sends the mails of the outbox, one after the other. Several servers may do so at once.

The order loses nothing: a transaction leases a mail and writes the hash of a new secret; it
commits; the mail is sent; another transaction deletes it. SMTP has no way to send a mail exactly
once, so a process that dies in between sends one more, and the link of the newest mail works.
"""

import logging
import time
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

from msgspec import Struct

from anyscale.server.core.audit.entries import append_entries
from anyscale.server.core.link_secrets import new_link_secret
from anyscale.server.core.mail.kinds import KINDS, MailKind, MailResult, pause
from anyscale.server.core.mail.messages import Composer, Letter
from anyscale.server.core.mail.outbox import new_mails, stop_entries, stop_mailings
from anyscale.server.core.mail.password_resets import look_up_next
from anyscale.server.core.mail.relay import MailRefused, MailRetry, Relay
from anyscale.server.core.mail.settings import MailSettings
from anyscale.server.core.secrets import hash_of
from anyscale.server.core.time_units import DAY_MS, MINUTE_MS, SECOND_MS
from anyscale.server.core.transactions import Transactions
from anyscale.server.store.records.login import LinkRecord
from anyscale.server.store.records.mail import MailingRecord, MailRecord
from anyscale.server.store.transaction import Transaction

__all__ = ["MailSender", "new_sender"]

#: receives the result of each attempt
OnResult = Callable[[MailResult], None]

_log = logging.getLogger("anyscale.server")

#: Milliseconds for which a server has a mail to itself. `watch` renews them while it sends.
_LEASE = 60 * SECOND_MS

#: seconds after which a mail that the relay does not take is given up, for now
_MOST_SECONDS = 600.0

#: seconds without a mail to send
_IDLE_SECONDS = 1.0

#: Seconds between two looks for mails that are to be created: a look costs a fifth of a mail.
_LOOK_SECONDS = 1.0

#: Mails of a mailing that are in the outbox at a time: what is sent in some minutes.
_MOST_CREATED = 500
_LEAST_CREATED = 20
_MINUTES_CREATED = 5

#: forgotten passwords that are looked up between two mails
_MOST_LOOKED_UP = 50

_NO_ADDRESS = "the address cannot get mail"
_TOO_OLD = "it was not sent in time: it is too old"

#: seconds between two lines of the log about the relay
_LOG_EVERY = 60.0


class _Taken(Struct, frozen=True):
    """A mail that this server has leased, and its letter."""

    mail: MailRecord
    letter: Letter

    def __repr__(self) -> str:
        return f"_Taken({self.mail!r})"


def new_sender(
    transactions: Transactions,
    settings: MailSettings,
    *,
    organization: str,
    public_url: str,
    link_page: str,
    link_days: int,
) -> "MailSender":
    """Return the sender of a control plane: see `MailSender` and `Composer`."""
    return MailSender(
        transactions,
        Relay(settings, urlsplit(public_url).hostname or ""),
        Composer(settings.sender, organization, public_url, link_page),
        per_minute=settings.per_minute,
        link_days=link_days,
    )


class MailSender:
    """Sends mails, for one thread; `watch` and `abort` are for another one.

    Args:
        transactions: of the control plane.
        relay: that takes the mails.
        composer: of the messages.
        per_minute: mails that all servers send in a minute.
        link_days: days after which a link of an administrator expires.
    """

    def __init__(
        self,
        transactions: Transactions,
        relay: Relay,
        composer: Composer,
        *,
        per_minute: int,
        link_days: int,
    ) -> None:
        self._transactions = transactions
        self._relay = relay
        self._composer = composer
        self._interval: Final = max(MINUTE_MS // per_minute, 1)
        self._most_created: Final = min(
            max(per_minute * _MINUTES_CREATED, _LEAST_CREATED), _MOST_CREATED
        )
        self._link_days = link_days
        #: the mail that is being sent, and since when
        self._sending: tuple[MailRecord, float] | None = None
        #: when to look for mails that are to be created
        self._looks_at = 0.0
        self._logged = -_LOG_EVERY
        #: for metrics
        self.on_result: OnResult = lambda _: None

    def send_next(self) -> float:
        """Send a mail if one is due and the rate allows it; return the seconds until the next."""
        now = time.monotonic()
        has_looked = now >= self._looks_at
        if has_looked:
            if not self._has_work():
                self._relay.close()
                return _IDLE_SECONDS
            self._look_up_resets()
            self._create_mails()
            self._looks_at = now + _LOOK_SECONDS
        taken = self._take()
        if taken is None:
            self._looks_at = 0.0
            # What there was to do a moment ago, another server does.
            return _IDLE_SECONDS if has_looked else 0.0
        if isinstance(taken, float):
            return taken
        self._send(taken)
        return 0.0

    def watch(self) -> None:
        """Renew the lease of the mail that is being sent, or give it up after a long time."""
        if sending := self._sending:
            mail, since = sending
            if time.monotonic() - since > _MOST_SECONDS:
                self._relay.abort()
                return
            with self._transactions.write_unattended("mail") as tx:
                tx.outbox.renew(mail, tx.now() + _LEASE)

    def abort(self) -> None:
        """Cut the connection to the relay: a mail that is being sent is tried again."""
        self._relay.abort()

    def close(self) -> None:
        """Close the connection to the relay."""
        self._relay.close()

    def _has_work(self) -> bool:
        with self._transactions.read() as tx:
            return (
                tx.password_resets.count_due(1) > 0
                or tx.outbox.find_due(tx.now()) is not None
                or self._mailing_to_create(tx) is not None
            )

    def _look_up_resets(self) -> None:
        """Create the mails of people who forgot their password."""
        for _ in range(_MOST_LOOKED_UP):
            with self._transactions.read() as tx:
                if not tx.password_resets.count_due(1):
                    return
            with self._transactions.write_unattended("mail", is_slice=True) as tx:
                if not look_up_next(tx):
                    return

    def _mailing_to_create(self, tx: Transaction) -> MailingRecord | None:
        """Return the mailing of which more mails are to be created by now."""
        mailing = tx.mailings.find_open()
        # Those that are tried again later do not count: they may be many, and wait for days.
        if mailing and tx.outbox.count_new(mailing.mailing_id) <= self._most_created // 2:
            return mailing
        return None

    def _create_mails(self) -> None:
        """Create the next mails of a mailing, if there is one that has few."""
        with self._transactions.read() as tx:
            if self._mailing_to_create(tx) is None:
                return
        with self._transactions.write_unattended("mail", is_slice=True) as tx:
            free_at, _ = tx.outbox.lock_rate()  # another server may be doing this
            if mailing := self._mailing_to_create(tx):
                self._create_mails_of(tx, mailing.mailing_id, free_at)

    def _create_mails_of(self, tx: Transaction, mailing_id: str, free_at: int) -> None:
        # Only now it is locked, and nobody can stop it any more.
        for mailing in tx.mailings.lock_running(mailing_id=mailing_id):
            now = tx.now()
            if max(mailing.touched_at, free_at) + KINDS[mailing.kind].lifetime <= now:
                # A backup was restored: the mails of its time were sent then.
                _stop(tx, mailing_id)
                return
            found = tx.users.list_without_credentials(
                mailing.batch_id, mailing.position, self._most_created
            )
            if not found:
                tx.mailings.set_state(mailing_id, "created")
                return
            ids = [user.user_id for user in found]
            by = mailing.requested_by
            tx.outbox.add_many(new_mails(now, mailing.kind, ids, by, mailing_id=mailing_id, rank=1))
            tx.mailings.advance(mailing_id, ids[-1], len(ids), now)

    def _take(self) -> _Taken | float | None:
        """Lease the next mail, or return the seconds until the next try; None if none is due."""
        with self._transactions.write_unattended("mail", is_slice=True) as tx:
            free_at, now = tx.outbox.lock_rate()
            # A clock that was set back must not stop the mails for long.
            if now < free_at <= now + self._interval:
                return (free_at - now) / SECOND_MS
            mail = tx.outbox.find_due(now)
            if mail is None:
                return None
            # One for each transaction, which locks one account.
            taken = self._prepare(tx, mail, now, free_at)
            if taken or not mail.user_id:
                # By as much as a mail came too late, the next one may come earlier.
                behind = min(max(now - free_at, 0), self._interval // 2)
                tx.outbox.set_rate(now - behind + self._interval)
            return taken or 0.0

    def _prepare(self, tx: Transaction, mail: MailRecord, now: int, free_at: int) -> _Taken | None:
        """Lease a mail, and create its link; None if it is not to be sent, and was removed."""
        kind = KINDS[mail.kind]
        account = tx.accounts.lock([mail.user_id]).get(mail.user_id)
        if account is None or account.suspended_at is not None:
            tx.outbox.remove(mail)
            return None
        if mail.created_at + kind.lifetime <= now:
            # No server sent it in its time; or it was sent then, and a backup was restored since.
            if free_at + kind.lifetime > now or not _stop(tx, mail.mailing_id):
                _fail(tx, mail, _TOO_OLD)
            return None
        leased = tx.outbox.lease(mail, now + _LEASE)
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
        )
        return _Taken(leased, letter)

    def _new_link(
        self, tx: Transaction, mail: MailRecord, kind: MailKind, now: int
    ) -> tuple[str, int]:
        lifetime = kind.link_lifetime or self._link_days * DAY_MS
        code, expires_at = new_link_secret(), now + lifetime
        by = mail.requested_by
        tx.links.replace(LinkRecord(mail.user_id, hash_of(code), by, now, expires_at, kind.link))
        return code, expires_at

    def _send(self, taken: _Taken) -> None:
        """Send a mail, and note what became of it."""
        mail, letter = taken.mail, taken.letter
        try:
            message = self._composer.compose(letter)
        except ValueError:  # of the address; a fault of ours must not end mails
            self._note_failed(mail, _NO_ADDRESS)
            return
        self._sending = (mail, time.monotonic())
        try:
            self._relay.send(message, letter.address)
        except MailRefused as error:
            self._note_failed(mail, str(error))
        except MailRetry as error:
            self._note_retry(mail, str(error), is_lost=error.is_of_connection)
        else:
            self._note_sent(mail)
        finally:
            self._sending = None

    def _note_sent(self, mail: MailRecord) -> None:
        with self._transactions.write_unattended("mail", is_slice=True) as tx:
            # The mailing is locked before its mails, as by what stops it.
            _count(tx, mail, sent=1)
            if not tx.outbox.remove(mail) and _counts_too_many(tx, mail.mailing_id):
                _count(tx, mail, sent=-1)
        self.on_result("sent")

    def _note_failed(self, mail: MailRecord, error: str) -> None:
        with self._transactions.write_unattended("mail", is_slice=True) as tx:
            _fail(tx, mail, error)
        self.on_result("failed")

    def _note_retry(self, mail: MailRecord, error: str, *, is_lost: bool) -> None:
        if is_lost and time.monotonic() - self._logged > _LOG_EVERY:
            # Only of the connection: what a relay says about a mail may be personal.
            self._logged = time.monotonic()
            _log.warning("mail: the relay does not take mails", extra={"reason": error})
        with self._transactions.write_unattended("mail", is_slice=True) as tx:
            next_at = tx.now() + pause(mail.attempts)
            if next_at >= mail.created_at + KINDS[mail.kind].lifetime:
                _fail(tx, mail, error)
                result: MailResult = "failed"
            else:
                tx.outbox.put_back(mail, next_at, error)
                result = "retried"
        self.on_result(result)


def _stop(tx: Transaction, mailing_id: str) -> bool:
    """Stop a mailing that is too old, as the last step; return False if there is none."""
    if stopped := stop_mailings(tx, mailing_id=mailing_id):
        append_entries(tx, stop_entries(stopped, "system"))
    return bool(stopped)


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
