"""Correct the accounts that differ from their users."""

from collections.abc import Iterable, Iterator
from itertools import groupby

from msgspec import Struct

from anyscale.domain.models.users import Difference, UserChanges
from anyscale.errors import ConfigError, NotFound
from anyscale.transport.base import Transport

__all__ = ["Correction", "correct", "corrections"]


class Correction(Struct, frozen=True):
    """What an account needs to be as its user in the file."""

    email: str
    changes: UserChanges


def corrections(differences: Iterable[Difference]) -> Iterator[Correction]:
    """Iterate over the corrections of accounts that exist, one for each user."""
    for _, of_user in groupby(differences, lambda difference: difference.index):
        different = [one for one in of_user if one.field]
        if different:
            changes = UserChanges(**{str(one.field): one.file for one in different})  # type: ignore[arg-type]  # each value has the type of its field
            yield Correction(different[0].email, changes)


def correct(transport: Transport, correction: Correction) -> str | None:
    """Correct an account; return why the control plane refuses it, or None."""
    (account,) = transport.users.find([correction.email])
    if account is None:
        return "the account was deleted meanwhile"
    try:
        transport.users.update(account.user_id, correction.changes)
    except (ConfigError, NotFound) as error:
        return str(error)
    return None
