"""Which entries of the audit log a listing has."""

from typing import Final

from msgspec import Struct

#: the guide to the logs explains them
EVENTS: Final = (
    "access.denied",
    "account.created",
    "account.deleted",
    "account.email_changed",
    "account.restored",
    "account.role_set",
    "account.suspended",
    "account.updated",
    "application.created",
    "application.deleted",
    "application.secret_rotated",
    "application.updated",
    "audit.exported",
    "audit.forgotten",
    "authorization.created",
    "authorization.revoked",
    "batch.accounts_deleted",
    "batch.dropped",
    "batch.expired",
    "batch.published",
    "batch.undone",
    "database.copied",
    "factor.added",
    "factor.codes_off",
    "factor.removed",
    "factor.wrong_codes",
    "identity.linked",
    "links.created",
    "links.mail_requested",
    "mailing.requested",
    "mailing.stopped",
    "password.changed",
    "password.reset_requested",
    "password.set_by_link",
    "recovery_code.used",
    "recovery_codes.created",
    "second_factor_key.created",
    "server_keys.replaced",
    "session.created",
    "session.expired",
    "session.renewed",
    "session.revoked",
    "sessions.revoked",
    "signing_key.created",
    "signing_key.revoked",
    "token.created",
    "token.revoked",
    "users.exported",
)


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
