"""Values of a file that are damaged, such as those of the accounts with letters replaced.

What an account has already is not damage of the file: nothing gets lost.
"""

from collections.abc import Iterator

from anyscale.domain.characters import damage_of, has_lost_letters, may_lack_letters
from anyscale.domain.models.users import User
from anyscale.domain.names import full_name
from anyscale.domain.validation import CheckedUser, Fault, shown

#: the fields in which letters can be lost
TEXTS = ("name", "lastname", "title")

_MEND = "save the file as an Excel workbook or as CSV UTF-8, where no letter is lost"


def lost_letters(user: CheckedUser, account: User | None) -> Iterator[Fault]:
    """Iterate over the faults of damaged fields, but for those that the account has so already."""
    faults = list(_of_fields(user, account))
    yield from faults
    if faults or account is None or not user.name:
        return
    # The columns are swapped, or one of them has the whole name in one column.
    ours = full_name(user.name, user.lastname or None)
    for theirs in _orders(account):
        if has_lost_letters(ours, theirs):
            yield _fault("name", ours, theirs)
            return


def lacks_letters(user: CheckedUser) -> bool:
    """Return whether a name of a user without an account has signs in place of letters."""
    return any(may_lack_letters(one) for one in (user.name, user.lastname) if one)


def _of_fields(user: CheckedUser, account: User | None) -> Iterator[Fault]:
    for field in TEXTS:
        ours, theirs = getattr(user, field), getattr(account, field, None)
        if not ours or ours == theirs:
            continue
        if theirs and has_lost_letters(ours, theirs):
            yield _fault(field, ours, theirs)
        elif damage := damage_of(ours, is_name=field != "title"):
            yield Fault(field, "damaged", damage)


def _orders(account: User) -> tuple[str, str]:
    """Return the whole name of an account, also with the last name first."""
    whole = full_name(account.name, account.lastname or None)
    if account.lastname:
        return whole, f"{account.lastname} {account.name}"
    first, _, last = whole.rpartition(" ")
    return whole, f"{last} {first}".strip()


def _fault(field: str, ours: str, theirs: str) -> Fault:
    detail = f"is {shown(ours)}, which is {shown(theirs)} of the account without its letters"
    return Fault(field, "damaged", f"{detail}: {_MEND}")
