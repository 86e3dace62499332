"""Correct the accounts that differ from their users."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from msgspec import Struct, convert

from anyscale.domain.models.users import Difference, UpdatedUser, UserChanges
from anyscale.domain.validation import shown
from anyscale.errors import AccountEdited, BatchUnfinished, ConfigError, NotFound
from anyscale.transport.base import Transport
from anyscale.user.comparison.id_hashes import IdHashes

__all__ = ["Confirmed", "Correction", "correct"]


class Correction(Struct, frozen=True):
    """What an account needs to be as its user in the file."""

    user_id: str
    email: str
    changes: UserChanges
    #: the values that the changes replace
    replaced: UserChanges


class Confirmed:
    """The differences that may be corrected, in 8 bytes each: nothing else is overwritten."""

    def __init__(self) -> None:
        self._hashes = IdHashes()
        self._last_index = -1
        #: how many accounts they concern
        self.accounts: int = 0

    def add(self, difference: Difference) -> None:
        """Add a difference, in the order of the file and before `corrections`."""
        if not difference.field:
            return
        self._hashes.add(_key(difference))
        self.accounts += difference.index != self._last_index
        self._last_index = difference.index

    def corrections(self, differences: Iterable[Difference]) -> Iterator[Correction]:
        """Iterate over the corrections of accounts that exist, one for each user.

        Raises:
            BatchUnfinished: a difference was not added: somebody has edited the account since.
        """
        self._hashes.sort()
        for _, of_user in groupby(differences, lambda difference: difference.index):
            different = [one for one in of_user if one.field]
            if any(_key(one) not in self._hashes for one in different):
                raise _has_changed(different[0].email)
            if different:
                yield _correction(different)


def correct(transport: Transport, correction: Correction) -> UpdatedUser | str:
    """Correct an account and return it, or why the control plane refuses it.

    Raises:
        BatchUnfinished: somebody has edited the account since it was compared.
    """
    try:
        return transport.users.update(correction.user_id, correction.changes, correction.replaced)
    except AccountEdited:
        raise _has_changed(correction.email) from None
    except NotFound:
        return "the account has been deleted"
    except ConfigError as error:
        return str(error)


def _correction(different: Sequence[Difference]) -> Correction:
    user_id, email = different[0].user_id, different[0].email
    assert user_id is not None
    changes = convert({one.field: one.file for one in different}, UserChanges)
    replaced = convert({one.field: one.account for one in different}, UserChanges)
    return Correction(user_id, email, changes, replaced)


def _key(difference: Difference) -> str:
    # With the id: the account may be deleted, and created again with the same email.
    return repr((difference.user_id, difference.field, difference.file, difference.account))


def _has_changed(email: str) -> BatchUnfinished:
    return BatchUnfinished(
        f"the accounts have changed: that of {shown(email)} has other differences than those "
        "that were confirmed"
    )
