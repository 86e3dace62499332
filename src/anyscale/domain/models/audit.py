"""Which entries of the audit log a listing has."""

from msgspec import Struct

__all__ = ["AuditFilter"]


class AuditFilter(Struct, frozen=True):
    """Selects entries that have exactly these texts; an empty text selects all.

    An email, also a former one, stands for the account.
    """

    #: `user:usr_...`, `token:NAME`, `local:NAME`, `system` or `anonymous`
    actor: str = ""
    #: `batch.published` and the like
    event: str = ""
    #: the id of the account, batch, token, session or application
    subject: str = ""
