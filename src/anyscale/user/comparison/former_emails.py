"""Find the accounts that had emails of a file, which may be older than a changed email."""

from collections.abc import Sequence

from anyscale.domain.validation import CheckedUser
from anyscale.transport.base import Transport
from anyscale.user.lookup import PAGE

__all__ = ["former_holders"]


def former_holders(transport: Transport, users: Sequence[CheckedUser]) -> set[str]:
    """Return the ids of the accounts that had the emails of users until a short time ago."""
    found = set[str]()
    for start in range(0, len(users), PAGE):
        emails = [_email_of(user) for user in users[start : start + PAGE]]
        conflicts = transport.batches.look_up(emails, 0)
        found |= {one.user_id for one in conflicts if one.kind == "freed" and one.user_id}
    return found


def _email_of(user: CheckedUser) -> CheckedUser:
    # An entry need not have a name, and its number is that of the account itself.
    return CheckedUser(name="-", email=user.email, is_sso_user=False, email_key=user.email_key)
