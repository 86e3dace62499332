"""The rows of `anyscale mail list`: mailings, then mails by themselves."""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Final, TypeVar

from msgspec import Struct

from anyscale.domain.models.mail import Mail, Mailing
from anyscale.domain.schemas.mail import MailingPage
from anyscale.domain.times import duration_in_words
from anyscale.transport.base import Transport

_PAGE = 1_000

_Item = TypeVar("_Item")


class MailRow(Struct, frozen=True, kw_only=True):
    """A mailing, or a mail that was requested by itself and is due."""

    #: of the mailing or the mail
    id: str
    kind: str
    #: the id of a batch, `all without credentials`, or an email
    to: str
    #: `sending`, `sent` or `stopped`; of a mail `due`
    state: str
    due: int
    sent: int
    failed: int
    #: until all of it is sent
    seconds_left: int | None
    #: the same in words
    time_left: str | None
    #: of a mail, why the last attempt failed
    error: str | None
    requested_by: str
    requested_at: datetime


#: the columns of the table, and the fields of the other formats
COLUMNS: Final = ("id", "to", "state", "due", "sent", "failed", "time_left", "requested_at")
DETAILS: Final = tuple(name for name in MailRow.__struct_fields__ if name != "time_left")


def mail_rows(transport: Transport, first: Sequence[Mailing]) -> Iterator[MailRow]:
    """Yield the mailings, the latest first, then the mails that are due by themselves.

    `first` is the first page of mailings: see `first_mailings`.
    """

    def mailings(after: str) -> Sequence[Mailing]:
        return transport.mails.list_mailings(after, _PAGE).mailings if after else first

    yield from map(_of_mailing, _pages(mailings, lambda one: one.mailing_id))
    mails = _mails(transport, failed=False)
    yield from (_of_mail(mail) for mail in mails if mail.mailing_id is None)


def first_mailings(transport: Transport) -> MailingPage:
    """Return the latest mailings, with the numbers of all mails that are due by themselves."""
    return transport.mails.list_mailings("", _PAGE)


def failed_mails(transport: Transport) -> Iterator[Mail]:
    """Yield the mails that have failed."""
    return _mails(transport, failed=True)


def _mails(transport: Transport, *, failed: bool) -> Iterator[Mail]:
    def page(after: str) -> Sequence[Mail]:
        return transport.mails.list(after, _PAGE, failed=failed)

    return _pages(page, lambda one: one.mail_id)


def _pages(
    read: Callable[[str], Sequence[_Item]], id_of: Callable[[_Item], str]
) -> Iterator[_Item]:
    after = ""
    while page := read(after):
        yield from page
        after = id_of(page[-1])


def _of_mailing(mailing: Mailing) -> MailRow:
    return MailRow(
        id=mailing.mailing_id,
        kind="set_password_link",
        to=mailing.batch_id or "all without credentials",
        state=mailing.state,
        due=mailing.due,
        sent=mailing.sent,
        failed=mailing.failed,
        seconds_left=mailing.seconds_left if mailing.due else None,
        time_left=duration_in_words(mailing.seconds_left) if mailing.due else None,
        error=None,
        requested_by=mailing.requested_by,
        requested_at=mailing.requested_at,
    )


def _of_mail(mail: Mail) -> MailRow:
    return MailRow(
        id=mail.mail_id,
        kind=mail.kind,
        to=mail.email or "-",
        state=mail.state,
        due=1,
        sent=0,
        failed=0,
        seconds_left=None,
        time_left=None,
        error=mail.error,
        requested_by=mail.requested_by,
        requested_at=mail.requested_at,
    )
