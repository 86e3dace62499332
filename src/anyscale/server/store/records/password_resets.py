"""The record of a request of a person who forgot their password."""

from anyscale.server.store.records.record import Record


class PasswordResetRecord(Record, frozen=True):
    """A request for a mail with a link. The email may have no account."""

    reset_id: str
    #: as it was typed; None once the account was looked up
    email: str | None
    #: an HMAC of the key of the email
    email_hash: bytes
    #: the networks of the client: see `core.login.networks`
    subscriber: str
    site: str
    created_at: int
    #: when the account is looked up, whether there is one or not
    due_at: int

    def __repr__(self) -> str:
        return f"PasswordResetRecord({self.reset_id!r})"
