"""Find the accounts that had emails of a file, which may be older than a changed email."""

from collections.abc import Sequence

from anyscale.domain.validation import CheckedUser
from anyscale.transport.base import Transport
from anyscale.user.lookup import PAGE

__all__ = ["former_holders"]


def former_holders(transport: Transport, users: Sequence[CheckedUser]) -> dict[str, CheckedUser]:
    """Return the users whose emails accounts had until a short time ago, by the `user_id`."""
    found = dict[str, CheckedUser]()
    for start in range(0, len(users), PAGE):
        part = users[start : start + PAGE]
        for one in transport.batches.look_up(list(map(_email_of, part)), 0):
            if one.kind == "freed" and one.user_id:
                found[one.user_id] = part[one.position]
    return found


def _email_of(user: CheckedUser) -> CheckedUser:
    # An entry need not have a name, and its number is that of the account itself.
    return CheckedUser(name="-", email=user.email, is_sso_user=False, email_key=user.email_key)
