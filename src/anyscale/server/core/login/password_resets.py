"""Requests of people who forgot their password, and their limits.

A request is stored, counted and looked up alike whether the email has an account or not. The sender
of mails looks the account up: see `core.mail.forgotten_passwords`. The counts are in the database,
so all servers share them; those of a network never refuse the requests of others.

Each request has a slot of some seconds to itself, in which its mail is sent if there is one. So the
time of a mail to oneself does not tell which requests before it have an account. Requests beyond
some slots share them, each at a random time: a flood delays nobody for long.
"""

import math
from typing import Literal, TypedDict

from msgspec import Struct

from anyscale.domain.emails import email_key
from anyscale.errors import NotFound, Overloaded, RequestInvalid, TooManyPasswordResets
from anyscale.server.core.ids import new_id
from anyscale.server.core.login.networks import site_of, subscriber_of
from anyscale.server.core.mail.forgotten_passwords import RESET_LIFETIME
from anyscale.server.core.mail.settings import MailSettings
from anyscale.server.core.mail.shares import slot
from anyscale.server.core.signer import Signer
from anyscale.server.core.time_units import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS
from anyscale.server.core.transactions import Transactions
from anyscale.server.store.records.password_resets import PasswordResetRecord
from anyscale.server.store.transaction import Transaction

_Column = Literal["email_hash", "subscriber", "site"]


class _Limit(Struct, frozen=True):
    """At most some requests with the same values of columns in some milliseconds."""

    columns: tuple[_Column, ...]
    most: int
    milliseconds: int


_FROM_ANYWHERE: tuple[_Column] = ("email_hash",)

_LIMITS = (
    # Of an email from one site, so that a flood of requests for it keeps its user from none.
    _Limit(("email_hash", "site"), 3, HOUR_MS),
    _Limit(("email_hash", "site"), 10, DAY_MS),
    # Of an email from anywhere: each one is a mail.
    _Limit(_FROM_ANYWHERE, 10, HOUR_MS),
    _Limit(_FROM_ANYWHERE, 30, DAY_MS),
    _Limit(("subscriber",), 20, 10 * MINUTE_MS),
    # An IPv6 site has 65,536 subscribers. Of IPv4 the subscriber is the site.
    _Limit(("site",), 60, 10 * MINUTE_MS),
    _Limit(("site",), 1_000, DAY_MS),
)

#: whether a site has requested a link for an email today
_OF_SITE = _Limit(("email_hash", "site"), 1, DAY_MS)

#: Requests that wait for the sender. It needs some milliseconds for each, so only one that does not
#: run leaves as many.
_MOST_DUE = 20_000

#: Milliseconds from a request to its slot, at least: a sender looks once a second when the next
#: one begins.
_NOTICE = 2 * SECOND_MS

#: slots that requests have to themselves at a time
_SLOTS = 8

#: requests of a day, so that the table stays small: beyond this number the oldest are not counted
_MOST_COUNTED = 20_000


class _Values(TypedDict):
    """What the limits of a request count."""

    email_hash: bytes
    subscriber: str
    site: str


class PasswordResets:
    """Takes the requests.

    Args:
        transactions: of the control plane.
        mail: of the control plane; None if it has no relay, or no passwords.
    """

    def __init__(self, transactions: Transactions, mail: MailSettings | None) -> None:
        self._transactions = transactions
        self._available = mail is not None
        #: the milliseconds that a request has to itself
        self._slot = slot(mail.per_minute) if mail else 0
        self._signer = Signer(transactions, "password_resets")

    def require_available(self) -> None:
        """Raise `NotFound` where nobody can request a link."""
        if not self._available:
            raise NotFound("links to set a new password are sent by an administrator here")

    def request(self, email: str, address: str) -> None:
        """Request a mail with a link for the account of an email, if it has one.

        Args:
            email: as it was typed.
            address: of the client.

        Raises:
            NotFound: see `require_available`.
            RequestInvalid: this is not an email.
            TooManyPasswordResets: a limit is reached.
            Overloaded: too many requests wait.
        """
        self.require_available()
        values = self._values(email, address)
        with self._transactions.read() as tx:  # a flood writes nothing
            _require_below_limits(tx, values)
        with self._transactions.write_unattended("sign-in") as tx:
            tx.password_resets.lock()
            _require_below_limits(tx, values)
            now = tx.now()
            reset_id = new_id("pwr_", now)
            due_at = self._due_at(tx, now)
            tx.password_resets.add(
                PasswordResetRecord(
                    reset_id=reset_id, email=email, created_at=now, due_at=due_at, **values
                )
            )

    def purge(self) -> None:
        """Delete the emails that were not looked up in time, and the requests of days before."""
        with self._transactions.write_unattended("clean-up") as tx:
            now = tx.now()
            tx.password_resets.forget(now - RESET_LIFETIME)
            tx.password_resets.advance(now, now + RESET_LIFETIME)
            tx.password_resets.purge(now - DAY_MS, now + MINUTE_MS, _MOST_COUNTED)

    def _due_at(self, tx: Transaction, now: int) -> int:
        """Return when the slot of a new request begins."""
        first = now + _NOTICE
        last = first + self._slot * (_SLOTS - 1)
        due_at = max(first, tx.password_resets.last_due(last) + self._slot)
        if due_at <= last:
            return due_at
        import secrets  # with `random`, whose tables most commands need not compute

        return first + secrets.randbelow(last - first)

    def _values(self, email: str, address: str) -> _Values:
        try:
            key = email_key(email)
        except ValueError:
            raise RequestInvalid("this is not an email: it has the form name@example.com") from None
        subscriber = subscriber_of(address)
        return {
            "email_hash": self._signer.signature(key.encode()),
            "subscriber": subscriber,
            # An IPv4 network of /24 may belong to any number of subscribers.
            "site": site_of(address) if ":" in subscriber else subscriber,
        }


def _require_below_limits(tx: Transaction, values: _Values) -> None:
    if tx.password_resets.count_waiting(_MOST_DUE) >= _MOST_DUE:
        raise Overloaded(
            "too many links were requested: try again in a minute", MINUTE_MS / SECOND_MS
        )
    # Those of other sites must not keep the user of an email from the first link of a day.
    now = tx.now()
    is_first = _wait(tx, _OF_SITE, values, now) <= 0
    limits = [one for one in _LIMITS if not (is_first and one.columns == _FROM_ANYWHERE)]
    wait = max(_wait(tx, limit, values, now) for limit in limits)
    if wait > 0:
        minutes = math.ceil(wait / MINUTE_MS)
        when = "in a minute" if minutes == 1 else f"in {minutes} minutes"
        raise TooManyPasswordResets(
            "too many links were requested for this email or from your network: use the newest mail"
            f" that you have, or try again {when}",
            wait / SECOND_MS,
        )


def _wait(tx: Transaction, limit: _Limit, values: _Values, now: int) -> int:
    """Return the milliseconds until a limit allows a request; at most 0 if it does now."""
    own: dict[str, object] = {column: values[column] for column in limit.columns}
    created_at = tx.password_resets.latest(own, limit.most, now + MINUTE_MS)
    return created_at + limit.milliseconds - now
