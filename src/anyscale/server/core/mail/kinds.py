"""What mails are about, how long they may wait, and when they are tried again."""

from collections.abc import Mapping
from typing import Final, Literal

from msgspec import Struct

from anyscale.server.core.time_units import DAY_MS, HOUR_MS, MINUTE_MS

#: what became of an attempt to send a mail
MailResult = Literal["sent", "retried", "failed"]

#: minutes until a mail is tried again for the first time, and at most
_FIRST_MINUTES = 1
_MOST_MINUTES = 180

#: A link to set a password, which an administrator has requested.
LINK: Final = "set_password_link"
#: A link to set a new password, which somebody has requested for the account.
FORGOTTEN_PASSWORD: Final = "forgotten_password"  # noqa: S105 - the name of a kind
#: The answer to such a request for an account that has no password, and signs in by SSO.
FORGOTTEN_PASSWORD_SSO: Final = "forgotten_password_sso"  # noqa: S105 - the name of a kind
#: Notices, which have no link.
PASSWORD_CHANGED: Final = "password_changed"  # noqa: S105 - the name of a kind
EMAIL_CHANGED: Final = "email_changed"
BECAME_OWNER: Final = "became_owner"
FACTOR_ADDED: Final = "factor_added"
FACTOR_REMOVED: Final = "factor_removed"
RECOVERY_CODE_USED: Final = "recovery_code_used"
#: several one-time codes were wrong after a right password
WRONG_CODES: Final = "wrong_codes"
#: a hundred of them in a row
CODES_OFF: Final = "codes_off"


class MailKind(Struct, frozen=True):
    """What all mails of one kind have in common. Its text is the template of its name."""

    #: milliseconds after its creation after which a mail is not sent any more
    lifetime: int = 3 * DAY_MS
    #: the kind of the link that a mail has: see `LinkRecord`; empty for none
    link: str = ""
    #: milliseconds after which the link expires; 0 for those of an administrator's link
    link_lifetime: int = 0
    #: whether it names the second factors of the account
    names_factors: bool = False


KINDS: Final[Mapping[str, MailKind]] = {
    LINK: MailKind(link="admin"),
    FORGOTTEN_PASSWORD: MailKind(lifetime=HOUR_MS, link="self", link_lifetime=HOUR_MS),
    FORGOTTEN_PASSWORD_SSO: MailKind(lifetime=HOUR_MS),
    PASSWORD_CHANGED: MailKind(),
    EMAIL_CHANGED: MailKind(),
    BECAME_OWNER: MailKind(),
    FACTOR_ADDED: MailKind(names_factors=True),
    FACTOR_REMOVED: MailKind(names_factors=True),
    RECOVERY_CODE_USED: MailKind(),
    WRONG_CODES: MailKind(),
    CODES_OFF: MailKind(),
}


def pause(attempts: int) -> int:
    """Return the milliseconds until a mail is tried again: 1, 2, 4 ... 180 minutes.

    Args:
        attempts: that failed so far, from 1.
    """
    # Not 2 ** attempts, which would be a long number for a mail that is tried very often.
    return min(_FIRST_MINUTES << min(attempts - 1, 8), _MOST_MINUTES) * MINUTE_MS
