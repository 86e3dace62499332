"""Values of a file that are those of the accounts with letters replaced: damage of the file."""

from collections.abc import Iterator

from anyscale.domain.characters import has_lost_letters, may_lack_letters
from anyscale.domain.models.users import User
from anyscale.domain.names import full_name
from anyscale.domain.validation import CheckedUser, Fault, shown

_FIELDS = ("name", "lastname", "title")

_MEND = "save the file as an Excel workbook or as CSV UTF-8, where no letter is lost"


def lost_letters(user: CheckedUser, account: User) -> Iterator[Fault]:
    """Iterate over the faults of the fields that have lost letters which the account has."""
    for field in _FIELDS:
        ours, theirs = getattr(user, field), getattr(account, field)
        if ours and theirs and has_lost_letters(ours, theirs):
            yield _fault(field, ours, theirs)
    if not user.name or bool(user.lastname) == bool(account.lastname):
        return
    # one of them has the whole name in one column
    ours, theirs = (full_name(one.name, one.lastname or None) for one in (user, account))
    if has_lost_letters(ours, theirs):
        yield _fault("name", ours, theirs)


def lacks_letters(user: CheckedUser) -> bool:
    """Return whether a name of a user without an account has signs in place of letters."""
    return any(may_lack_letters(one) for one in (user.name, user.lastname) if one)


def _fault(field: str, ours: str, theirs: str) -> Fault:
    detail = f"is {shown(ours)}, which is {shown(theirs)} of the account without its letters"
    return Fault(field, "damaged", f"{detail}: {_MEND}")
