"""Mails as owners see them: what is due, sent and failed."""

from datetime import datetime
from typing import Any

from msgspec import Struct, structs


class Mailing(Struct, frozen=True, kw_only=True):
    """A request for mails to many accounts. Times are in UTC.

    Attributes:
        mailing_id (str): `mlg_...`, unique.
        batch_id (str or None): The batch whose accounts get a mail; None for all accounts that
            nobody can sign in to.
        state (str): `sending`, `sent` (no mail is due any more) or `stopped`.
        total (int): Accounts that were to get a mail when it was requested.
        due (int): Mails that are still to be sent.
        sent (int): Mails that the relay has accepted.
        failed (int): Mails that the relay has refused, or did not accept in three days.
        seconds_left (int): How long it takes to send the mails that are due, at the rate of the
            server, with all that was requested before.
        requested_by (str): The actor: `token:jane`.
        requested_at (datetime): When it was requested.
    """

    mailing_id: str
    batch_id: str | None
    state: str
    total: int
    due: int
    sent: int
    failed: int
    seconds_left: int
    requested_by: str
    requested_at: datetime

    def to_dict(self) -> dict[str, Any]:
        return structs.asdict(self)


class Mail(Struct, frozen=True, kw_only=True):
    """A mail that is due or has failed. Times are in UTC.

    Attributes:
        mail_id (str): `eml_...`, unique.
        kind (str): `set_password_link`, `password_changed`, `email_changed`, `became_owner`,
            `factor_added`, `factor_removed`, `recovery_code_used`, `wrong_codes` or `codes_off`.
        user_id (str or None): Of the account; None for an address that somebody typed.
        email (str or None): To which it goes; None if the account does not exist any more.
        mailing_id (str or None): The mailing that it is of; None for a mail by itself.
        state (str): `due` or `failed`.
        attempts (int): How often a server has tried to send it.
        error (str or None): Why the last attempt failed: of a relay its code and its words.
        next_at (datetime): When it is tried again, if it is due.
        requested_by (str): The actor.
        requested_at (datetime): When it was requested, or created of its mailing.
    """

    mail_id: str
    kind: str
    user_id: str | None
    email: str | None
    mailing_id: str | None
    state: str
    attempts: int
    error: str | None
    next_at: datetime
    requested_by: str
    requested_at: datetime

    def to_dict(self) -> dict[str, Any]:
        return structs.asdict(self)
