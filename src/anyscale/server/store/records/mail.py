"""The records of mails that are due, and of requests for many of them."""

from anyscale.server.store.records.record import Record

#: The ranks of mails: the first attempt of one to a user who forgot the password, a mail by itself,
#: and one of many, which comes after the others.
FORGOTTEN, SINGLE, MANY = RANKS = 0, 1, 2


class MailRecord(Record, frozen=True):
    """A mail that is due or has failed. It has no secret, and no text."""

    mail_id: str
    #: what it is about: see `core.mail.kinds`
    kind: str
    user_id: str
    #: empty for the email that the account has when the mail is sent
    address: str
    #: empty for a mail that was requested by itself
    mailing_id: str
    #: one of `RANKS`
    rank: int
    requested_by: str
    created_at: int
    #: When it may be sent; of one that is being sent, when another server takes it up.
    next_at: int
    #: `due` or `failed`
    state: str = "due"
    attempts: int = 0
    #: why the last attempt failed, for owners
    last_error: str | None = None

    def __repr__(self) -> str:
        return f"MailRecord({self.mail_id!r})"


class MailingRecord(Record, frozen=True):
    """Mails to many accounts. The sender creates them, some hundred at a time."""

    mailing_id: str
    #: whose accounts get a mail; empty for all accounts without credentials
    batch_id: str
    kind: str
    #: how many accounts were to get a mail when it was requested
    total: int
    requested_by: str
    created_at: int
    #: when mails of it were last created
    touched_at: int
    #: `open` while mails are still created, `created`, or `stopped`
    state: str = "open"
    #: the `user_id` of the last account that it has come to
    position: str = ""
    created: int = 0
    sent: int = 0
    #: mails that a relay refused, or that no relay took in time
    failed: int = 0


class MailCounts(Record, frozen=True):
    """How many mails of some accounts or of a mailing are due, and how many have failed."""

    due: int
    failed: int


class QueuedMails(Record, frozen=True):
    """The queue of a control plane: its mails, or the requests of forgotten passwords."""

    #: mails that are due, those that a mailing has not created yet left out; or requests
    due: int
    #: when the oldest of them was created; 0 without any
    oldest_at: int
