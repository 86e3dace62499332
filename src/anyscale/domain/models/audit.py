"""Which entries of the audit log a listing has."""

from msgspec import Struct

__all__ = ["AuditFilter"]


class AuditFilter(Struct, frozen=True):
    """Selects the entries that meet all of these conditions; an empty one selects all.

    An email, also a former one, stands for the account.
    """

    #: exactly `user:usr_...`, `token:NAME`, `local:NAME`, `system` or `anonymous`
    actor: str = ""
    #: exactly `batch.published` and the like
    event: str = ""
    #: exactly the id of the account, batch, token, session or application
    subject: str = ""
    #: `usr_...`: what happened to this account, and what its user did
    account: str = ""
    #: only those after the last entry from before this time; milliseconds since 1970, UTC
    since: int | None = None
    #: only those up to the last entry from before this time; milliseconds since 1970, UTC
    until: int | None = None
