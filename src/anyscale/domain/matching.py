"""Who is who: which account a user of a file means, and whether that is sure.

The external id finds the account first, and the email second. Numbers and emails are given again,
so both are evidence: what is not sure is a doubt, and nothing is done to its people until an
administrator has answered. The document `operations/who-is-who.md` has the rules in a
table.
"""

import unicodedata
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, Protocol

from msgspec import UNSET, UnsetType

from anyscale.domain.characters import has_lost_letters, lacks_most_letters
from anyscale.domain.emails import email_key_or_empty
from anyscale.domain.models.users import User
from anyscale.domain.names import full_name
from anyscale.domain.validation import CheckedUser, shown


class Conflict(NamedTuple):
    """Why no account can be chosen: the user has the number of one and the email of another."""

    accounts: tuple[User, ...]
    #: what to do
    detail: str


class Match(NamedTuple):
    """The account that a user means; None without one, and if accounts are in conflict."""

    account: User | None
    conflict: Conflict | None = None


_Text = str | UnsetType | None
_Pairs = Sequence[tuple[_Text, _Text]]

DoubtKind = Literal["other_person", "renumbered", "returned"]


class Doubt(NamedTuple):
    """Why an account may be another person's.

    Attributes:
        kind: `renumbered` if only the numbers differ, as when all people get new ones; `returned`
            if a sync has suspended the account and it is not surely the same person who is back;
            else `other_person`.
        detail: the evidence, for a message.
    """

    kind: DoubtKind
    detail: str


class _Named(Protocol):
    @property
    def name(self) -> str | UnsetType | None: ...
    @property
    def lastname(self) -> str | UnsetType | None: ...


def match(
    user: CheckedUser,
    by_external_id: User | None,
    by_email: User | None,
    *,
    is_in_file: Callable[[str], bool],
) -> Match:
    """Return the account that a user means. No two users of a file mean the same one.

    Args:
        user: of a file in which no external id and no email is there twice.
        by_external_id: the account with the external id of the user.
        by_email: the account with the email of the user.
        is_in_file: whether the file has an external id. It is called if `depends_on_file`.
    """
    if by_external_id is None:
        return _by_email(user, by_email, is_in_file)
    if by_email is None or by_email.user_id == by_external_id.user_id:
        return Match(by_external_id)
    if _is_in_wrong_row(user, by_external_id, by_email):
        return Match(None, _wrong_row(user, by_external_id, by_email))
    if not _gets_other_email(by_email, is_in_file):
        return Match(None, _two_accounts(user, by_external_id, by_email))
    return Match(by_external_id)


def depends_on_file(user: CheckedUser, by_email: User | None) -> bool:
    """Return whether a match depends on the other users of the file."""
    return bool(by_email and by_email.external_id and by_email.external_id != user.external_id)


def doubt_of(user: CheckedUser, account: User) -> Doubt | None:
    """Return why the account that a user means may be another person's; None if it is sure."""
    names = compare_names(user, account)
    is_known = not lacks_most_letters(_whole(account))
    is_whole = names == "same" and is_known
    if user.external_id and account.external_id and user.external_id != account.external_id:
        return _doubt_of_other_number(user, account, has_whole_name=is_whole)
    if account.suspended_by_sync:
        return _doubt_of_return(user, account, has_whole_name=is_whole)
    if user.external_id and user.external_id == account.external_id:
        if not has_other_email(user, account) or (is_known and names in ("same", "similar")):
            return None
        subject = f"{shown(user.external_id)} is the external_id of {_named(account)}"
        return Doubt("other_person", f"{subject}, and neither the email nor a name is the same")
    if names != "other" or not _is_whole_change(user, account):
        return None
    return Doubt("other_person", f"{_email_of(user, account)}, and no name is the same")


def compare_names(user: _Named, account: _Named) -> Literal["same", "similar", "other", "unknown"]:
    """Compare the names of a user with those of an account.

    Returns:
        `same` if the whole name is the same, also in one column; `similar` if the first or the last
        name is; `unknown` if the user has no names.
    """
    if not user.name and not user.lastname:
        return "unknown"
    if user.name and _is_same(_whole(user), _whole(account)):
        return "same"
    if user.lastname and account.lastname:
        pairs: _Pairs = [(user.name, account.name), (user.lastname, account.lastname)]
    else:
        pairs = _ends(user, account)
    is_similar = any(ours and theirs and _is_same(ours, theirs) for ours, theirs in pairs)
    return "similar" if is_similar else "other"


def has_common_name(user: _Named, account: _Named) -> bool:
    """Return whether the first or the last name says that it may be the same person."""
    return compare_names(user, account) in ("same", "similar")


def _doubt_of_other_number(user: CheckedUser, account: User, *, has_whole_name: bool) -> Doubt:
    """Two different numbers are two people, unless all people get new numbers."""
    subject = f"{_email_of(user, account)}, whose external_id is {shown(account.external_id or '')}"
    if not has_whole_name:
        return Doubt("other_person", f"{subject}, and the whole name is not the same")
    if account.suspended_at is not None:
        return Doubt("returned", f"{subject}, and whose account is suspended")
    return Doubt("renumbered", f"{subject}, and only the numbers differ")


def _doubt_of_return(user: CheckedUser, account: User, *, has_whole_name: bool) -> Doubt | None:
    differing = []
    if not has_whole_name:
        differing.append("the whole name")
    if has_other_email(user, account):
        differing.append("the email")
    if bool(user.external_id) != bool(account.external_id):
        differing.append("the number")
    if not differing:
        return None
    what = f"a sync suspended the account of {_named(account)}"
    return Doubt("returned", f"{what}, and {' and '.join(differing)} may be another person's")


def _by_email(user: CheckedUser, account: User | None, is_in_file: Callable[[str], bool]) -> Match:
    if account is None or not account.external_id or not is_in_file(account.external_id):
        return Match(account)
    # It is the account of the user with that number, who gets another email.
    if _gets_other_email(account, is_in_file):
        return Match(None)
    detail = (
        f"{shown(user.email)} is the email of {_named(account)}, an owner who has another "
        "email in this file, and no file changes the email of an owner"
    )
    return Match(None, Conflict((account,), detail))


def _gets_other_email(account: User, is_in_file: Callable[[str], bool]) -> bool:
    """Return whether another user of the file has the account, and so gives it another email."""
    if account.permission_level == "owner" or not account.external_id:
        return False
    return is_in_file(account.external_id)


def _is_in_wrong_row(user: CheckedUser, by_external_id: User, by_email: User) -> bool:
    """Return whether only the number is of the one account, and all else of the other one.

    A column of numbers that was sorted by itself gives people the numbers of their namesakes.
    """
    is_of_email = compare_names(user, by_email) == "same"
    return is_of_email and compare_names(user, by_external_id) != "same"


def _wrong_row(user: CheckedUser, by_external_id: User, by_email: User) -> Conflict:
    detail = (
        f"{shown(user.external_id or '')} is the external_id of {_named(by_external_id)}, and the "
        f"email and the whole name are those of {_named(by_email)}: is the number in the wrong "
        "row? If the file is right, correct the external_id of these accounts by `anyscale user "
        "update`"
    )
    return Conflict((by_external_id, by_email), detail)


def _two_accounts(user: CheckedUser, by_external_id: User, by_email: User) -> Conflict:
    detail = (
        f"{shown(user.external_id or '')} is the external_id of {_named(by_external_id)}, and "
        f"{shown(user.email)} is the email of {_named(by_email)}: correct one of the two, or give "
        "that account another email in the same file, by its external_id"
    )
    return Conflict((by_external_id, by_email), detail)


def _email_of(user: CheckedUser, account: User) -> str:
    return f"{shown(user.email)} is the email of {_named(account)}"


def _named(account: User) -> str:
    return f"{full_name(account.name, account.lastname)} ({account.email})"


def _whole(one: _Named) -> str:
    return full_name(one.name or "", one.lastname or None)


def _ends(user: _Named, account: _Named) -> _Pairs:
    """Return the first and the last words of names of which one has no last name of its own.

    It may be there with the first name, in one column.
    """
    ours, theirs = _whole(user).split(), _whole(account).split()
    if not user.name:
        return [(user.lastname, theirs[-1])]
    firsts = (ours[0], theirs[0])
    return [firsts, (ours[-1], theirs[-1])] if len(ours) > 1 and len(theirs) > 1 else [firsts]


def _is_whole_change(user: _Named, account: _Named) -> bool:
    """Return whether nothing of the name of an account would be left, if no name is the same.

    A file without a column for last names leaves that of the account, unless the first name has
    both.
    """
    if not user.name:
        return False
    keeps_last = user.lastname is UNSET and account.lastname
    return not keeps_last or len(_whole(user).split()) > 1


def _is_same(ours: str, theirs: str) -> bool:
    """Return whether two names are the same, or the account lost letters that the file has."""
    return folded(ours) == folded(theirs) or has_lost_letters(theirs, ours)


def folded(name: str) -> str:
    """Return the form of a name in which two spellings of it are equal."""
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


def has_other_email(user: CheckedUser, account: User) -> bool:
    """Return whether an account has another email than its user, and not only in its spelling."""
    return user.email != account.email and user.email_key != email_key_or_empty(account.email)
