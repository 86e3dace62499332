"""The bodies of the requests and responses of mail."""

from typing import Annotated

from msgspec import Meta, Struct

from anyscale.domain.models.mail import Mail, Mailing
from anyscale.domain.schemas.users import UserIds


class MailLinks(Struct, frozen=True, forbid_unknown_fields=True):
    """The accounts that get links by mail: exactly one of the three fields."""

    user_ids: UserIds | None = None
    #: all accounts of a batch that nobody can sign in to
    batch_id: Annotated[str, Meta(min_length=1, max_length=64)] | None = None
    #: all accounts that nobody can sign in to
    without_credentials: bool = False


class SingleMails(Struct, frozen=True):
    """How many of the mails that were requested by themselves are due, and have failed."""

    due: int
    failed: int
    #: requests of users who forgot their password that are not looked up yet
    reset_requests: int = 0


class MailingPage(Struct, frozen=True):
    """Mailings, the latest first; the last `mailing_id` is the `before` of the next call."""

    mailings: list[Mailing]
    single: SingleMails


class MailPage(Struct, frozen=True):
    """Mails; the last `mail_id` is the `after` of the next call."""

    mails: list[Mail]


class StoppedMailings(Struct, frozen=True):
    """The ids of the mailings that were stopped."""

    stopped: list[str]
