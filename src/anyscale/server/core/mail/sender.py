"""Sends the mails of the outbox. A server has two senders, and several servers may send at once.

One sends the first attempts of mails to users who forgot their password, and the other one all
other mails, so that neither waits for the other. Each sends one mail after the other.
"""

import logging
import time
from collections.abc import Callable, Sequence
from typing import Final, Protocol
from urllib.parse import urlsplit

from msgspec import Struct

from anyscale.server.core.mail.attempts import Attempts, Taken
from anyscale.server.core.mail.forgotten_passwords import ForgottenPasswords
from anyscale.server.core.mail.kinds import MailResult
from anyscale.server.core.mail.mailings import MailingMails
from anyscale.server.core.mail.messages import Composer
from anyscale.server.core.mail.relay import MailRefused, MailRetry, Relay
from anyscale.server.core.mail.settings import MailSettings
from anyscale.server.core.mail.shares import (
    FOR_FORGOTTEN,
    FOR_OTHERS,
    Share,
    interval,
    slot,
)
from anyscale.server.core.time_units import SECOND_MS
from anyscale.server.core.transactions import Transactions
from anyscale.server.store.records.mail import FORGOTTEN, MANY, SINGLE
from anyscale.server.store.transaction import Transaction

#: receives the result of each attempt
OnResult = Callable[[MailResult], None]

_log = logging.getLogger("anyscale.server")

#: Milliseconds for which a server has a mail to itself. `watch` renews them while it sends.
_LEASE = 60 * SECOND_MS

_RENEW_SECONDS = 20.0

#: seconds after which a mail that the relay does not take is given up, for now
_MOST_SECONDS = 600.0

#: The same while other mails are due: a little less than the 30 seconds that they wait at most.
_MOST_SECONDS_OF_OTHERS = 28.0

#: seconds without a mail to send
_IDLE_SECONDS = 1.0

#: Seconds between two looks for mails of mailings: a look costs a fifth of a mail.
_LOOK_SECONDS = 1.0

_NO_ADDRESS = "the address cannot get mail"

#: seconds between two lines of the log about the relay
_LOG_EVERY = 60.0


class _Source(Protocol):
    """Creates mails that a sender is to send."""

    def next_at(self, tx: Transaction) -> int | None:
        """Return when there are mails to create, in milliseconds since 1970; None for never."""

    def create(self) -> bool:
        """Create those that are to be created by now; return whether there were any."""


class _Lane(Struct, frozen=True, kw_only=True):
    """What one sender sends, and how."""

    share: Share
    #: of the mails, the first ones first
    ranks: tuple[int, ...]
    source: _Source
    #: milliseconds between two mails of all servers
    interval: int
    #: seconds between two looks at the source
    look_seconds: float
    #: seconds that a mail may take while others are due
    most_seconds: float
    #: Whether the connection stays open between two mails: then the first one takes longer.
    keeps_connection: bool


def new_senders(
    transactions: Transactions,
    settings: MailSettings,
    *,
    organization: str,
    public_url: str,
    link_page: str,
    link_days: int,
) -> "Sequence[MailSender]":
    """Return the two senders of a control plane: see `MailSender` and `Composer`."""
    per_minute = settings.per_minute
    others = _Lane(
        share=FOR_OTHERS,
        ranks=(SINGLE, MANY),
        source=MailingMails(transactions, per_minute),
        interval=interval(FOR_OTHERS, per_minute),
        look_seconds=_LOOK_SECONDS,
        most_seconds=_MOST_SECONDS_OF_OTHERS,
        keeps_connection=True,
    )
    forgotten = _Lane(
        share=FOR_FORGOTTEN,
        ranks=(FORGOTTEN,),
        source=ForgottenPasswords(transactions),
        interval=interval(FOR_FORGOTTEN, per_minute),
        look_seconds=0.0,
        # Then the next request has its turn, whether this one had an account or not.
        most_seconds=slot(per_minute) / SECOND_MS,
        keeps_connection=False,
    )
    composer = Composer(settings.sender, organization, public_url, link_page)
    attempts = Attempts(transactions, link_days=link_days)
    host = urlsplit(public_url).hostname or ""
    return [
        MailSender(transactions, Relay(settings, host), composer, attempts, lane)
        for lane in (others, forgotten)
    ]


class MailSender:
    """Sends the mails of a lane, for one thread; `watch` and `abort` are for another one.

    Args:
        transactions: of the control plane.
        relay: that takes the mails.
        composer: of the messages.
        attempts: begin and end with the mails.
        lane: what it sends.
    """

    def __init__(
        self,
        transactions: Transactions,
        relay: Relay,
        composer: Composer,
        attempts: Attempts,
        lane: _Lane,
    ) -> None:
        self._transactions = transactions
        self._relay = relay
        self._composer = composer
        self._attempts = attempts
        self._lane: Final = lane
        #: the mail that is being sent, and since when
        self._sending: tuple[Taken, float] | None = None
        #: when to look at the source
        self._looks_at = 0.0
        #: when to renew its lease
        self._renews_at = 0.0
        self._logged = -_LOG_EVERY
        #: for metrics
        self.on_result: OnResult = lambda _: None

    @property
    def is_sending(self) -> bool:
        """Whether `watch` has something to do."""
        return self._sending is not None

    def send_next(self) -> float:
        """Send a mail if one is due and the rate allows it; return the seconds until the next."""
        now = time.monotonic()
        has_looked, has_created = now >= self._looks_at, False
        if has_looked:
            if wait := self._seconds_until_work():
                self._relay.close()
                return wait
            has_created = self._lane.source.create()
            self._looks_at = now + self._lane.look_seconds
        taken = self._take()
        if taken is None:
            self._looks_at = 0.0
            # What there was to do a moment ago, another server does.
            return _IDLE_SECONDS if has_looked and not has_created else 0.0
        if isinstance(taken, float):
            return taken
        self._send(taken)
        return 0.0

    def watch(self) -> None:
        """Renew the lease of the mail that is being sent, or give it up after a long time.

        That is a short time while others are due. It is tried again later.
        """
        if sending := self._sending:
            taken, since = sending
            seconds = time.monotonic() - since
            if seconds >= _MOST_SECONDS or (seconds >= self._lane.most_seconds and self._is_due()):
                self._relay.abort()
            elif time.monotonic() >= self._renews_at:
                self._renews_at = time.monotonic() + _RENEW_SECONDS
                with self._transactions.write_unattended("mail") as tx:
                    tx.outbox.renew(taken.mail, tx.now() + _LEASE)

    def abort(self) -> None:
        """Cut the connection to the relay: a mail that is being sent is tried again."""
        self._relay.abort()

    def close(self) -> None:
        """Close the connection to the relay."""
        self._relay.close()

    def _is_due(self) -> bool:
        return not self._seconds_until_work()

    def _seconds_until_work(self) -> float:
        """Return the seconds until the next mail is due or to be created, at most those of a pause.

        The one that is being sent does not count.
        """
        with self._transactions.read() as tx:
            now = tx.now()
            if tx.outbox.find_due(self._lane.ranks, now):
                return 0.0
            next_at = self._lane.source.next_at(tx)
        if next_at is None:
            return _IDLE_SECONDS
        return min(max(next_at - now, 0) / SECOND_MS, _IDLE_SECONDS)

    def _take(self) -> Taken | float | None:
        """Lease the next mail, or return the seconds until the next try; None if none is due."""
        lane = self._lane
        with self._transactions.write_unattended("mail", is_slice=True) as tx:
            free_at, now = tx.outbox.lock_rate(lane.share)
            # A clock that was set back must not stop the mails for long.
            if now < free_at <= now + lane.interval:
                return (free_at - now) / SECOND_MS
            mail = tx.outbox.find_due(lane.ranks, now)
            if mail is None:
                return None
            # One for each transaction, which locks one account.
            taken = self._attempts.begin(tx, mail, now, free_at, _LEASE)
            if taken:
                # By as much as a mail came too late, the next one may come earlier.
                behind = min(max(now - free_at, 0), lane.interval // 2)
                tx.outbox.set_rate(lane.share, now - behind + lane.interval)
            return taken or 0.0

    def _send(self, taken: Taken) -> None:
        """Send a mail, and note what became of it."""
        try:
            message = self._composer.compose(taken.letter)
        except ValueError:  # of the address; a fault of ours must not end mails
            self.on_result(self._attempts.note_failed(taken, _NO_ADDRESS))
            return
        self._renews_at = time.monotonic() + _RENEW_SECONDS
        self._sending = (taken, time.monotonic())
        try:
            self.on_result(self._attempt(taken, message))
            if not self._lane.keeps_connection:
                self._relay.close()
        finally:
            self._sending = None

    def _attempt(self, taken: Taken, message: bytes) -> MailResult:
        try:
            self._relay.send(message, taken.letter.address)
        except MailRefused as error:
            return self._attempts.note_failed(taken, str(error))
        except MailRetry as error:
            if error.is_of_connection:
                self._log_reason(str(error))
            return self._attempts.note_retry(
                taken, str(error), may_have_arrived=error.may_have_arrived
            )
        return self._attempts.note_sent(taken)

    def _log_reason(self, reason: str) -> None:
        # Only of the connection: what a relay says about a mail may be personal.
        if time.monotonic() - self._logged > _LOG_EVERY:
            self._logged = time.monotonic()
            _log.warning("mail: the relay does not take mails", extra={"reason": reason})
