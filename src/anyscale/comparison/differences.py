"""What differs between the entry of a user and the account: field by field, without passwords."""

import unicodedata
from collections.abc import Callable, Iterator, Sequence
from itertools import repeat
from operator import attrgetter, is_not

from msgspec import UNSET

from anyscale.domain.matching import has_other_email
from anyscale.domain.models.users import User, UserChanges
from anyscale.domain.validation import CheckedUser, shown

#: what an administrator enters about a user, except the email and the password
_FIELDS = tuple(field for field in UserChanges.__struct_fields__ if field != "email")


def values_to_compare(
    users: Sequence[CheckedUser],
) -> Callable[[CheckedUser | User], object]:
    """Return a function that gives the values of the fields that any of the users has.

    Nearly all users are equal to their accounts, so equal values save the calls of `gets_email` and
    `different_fields`.
    """
    known = [field for field in _FIELDS if _is_set(field, users)]
    if "external_id" in known:
        known.append("email")
    return attrgetter(*(known or _FIELDS))


def _is_set(field: str, users: Sequence[CheckedUser]) -> bool:
    # If no user has the field, this reads all of them: `map` is faster than a generator.
    return any(map(is_not, map(attrgetter(field), users), repeat(UNSET)))


def gets_email(user: CheckedUser, account: User) -> bool:
    """Return whether an account, found by its external id, gets another email."""
    return bool(user.external_id) and has_other_email(user, account)


def different_fields(user: CheckedUser, account: User) -> Iterator[str]:
    """Iterate over the fields but the email that a user has, and the account has otherwise."""
    for field in _FIELDS:
        ours, theirs = getattr(user, field), getattr(account, field)
        if ours is not UNSET and ours != theirs and not _is_same_text(ours, theirs):
            yield field


def shown_value(value: str | bool | None) -> str:
    """Return the value of a field as messages show it: `'Jane'`, `true` or `empty`."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return shown(value) if value else "empty"


def shown_change(field: str, old: str | bool | None, new: str | bool | None) -> str:
    """Return the old and the new value of a field as messages show them."""
    return f"{field}: {shown_value(old)} -> {shown_value(new)}"


def _is_same_text(ours: str | bool | None, theirs: str | bool | None) -> bool:
    """Return whether two texts are the same in NFC. An empty one equals None, as in CSV."""
    if isinstance(ours, bool) or isinstance(theirs, bool):
        return False
    return unicodedata.normalize("NFC", ours or "") == unicodedata.normalize("NFC", theirs or "")
