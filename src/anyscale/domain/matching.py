"""Whose account a user of a file has: by the external id first, and by the email second.

An email changes with a marriage, so the external id decides if both are known. But numbers are
given again, and emails too: what may be another person's account is a fault, and not a match.
"""

import unicodedata
from collections.abc import Callable, Container
from typing import NamedTuple, Protocol

from msgspec import UnsetType

from anyscale.domain.emails import email_key_or_empty
from anyscale.domain.models.users import User
from anyscale.domain.names import full_name
from anyscale.domain.validation import CheckedUser, Fault, shown

__all__ = ["Match", "depends_on_file", "folded", "has_other_email", "is_other_name", "match"]


class Match(NamedTuple):
    """The account of a user; None if the user has none, or if something is wrong."""

    account: User | None
    #: why it may be another person's account; None for a clear match
    fault: Fault | None = None


def match(
    user: CheckedUser,
    by_external_id: User | None,
    by_email: User | None,
    *,
    is_in_file: Callable[[str], bool],
    same_person: Container[str] = (),
) -> Match:
    """Return the account of a user. No two users of a file have the same one.

    Args:
        user: of a file in which no external id and no email is there twice.
        by_external_id: the account with the external id of the user.
        by_email: the account with the email of the user.
        is_in_file: whether the file has an external id. It is called if `depends_on_file`.
        same_person: external ids of which the administrator says that the account is the user's.
    """
    if by_external_id is None:
        return _by_email(user, by_email, is_in_file, same_person)
    if by_email and by_email.user_id != by_external_id.user_id:
        if not _gets_other_email(by_email, is_in_file):
            return Match(None, _two_accounts(user, by_external_id, by_email))
    elif by_email:
        return Match(by_external_id)
    return _by_external_id(user, by_external_id, same_person)


def depends_on_file(user: CheckedUser, by_email: User | None) -> bool:
    """Return whether a match depends on the other users of the file."""
    return bool(by_email and by_email.external_id and by_email.external_id != user.external_id)


class _Named(Protocol):
    @property
    def name(self) -> str | UnsetType | None: ...
    @property
    def lastname(self) -> str | UnsetType | None: ...


def is_other_name(user: _Named, account: _Named) -> bool:
    """Return whether neither the first nor the last name says that it is the same person.

    A file without names says nothing, and neither do two people without a last name.
    """
    pairs = (user.name, account.name), (user.lastname, account.lastname)
    return not any(ours and theirs and folded(ours) == folded(theirs) for ours, theirs in pairs)


def _by_external_id(user: CheckedUser, account: User, same_person: Container[str]) -> Match:
    """Match an account that has the external id and another email."""
    if user.external_id in same_person:
        return Match(account)
    if account.suspended_at is not None:
        return Match(None, _other_person(user, account, "whose account is suspended"))
    if is_other_name(user, account):
        return Match(None, _other_person(user, account, "and no name is the same"))
    return Match(account)


def _by_email(
    user: CheckedUser,
    account: User | None,
    is_in_file: Callable[[str], bool],
    same_person: Container[str],
) -> Match:
    if account is None or not account.external_id:
        return Match(account)
    if is_in_file(account.external_id):  # it is the account of that user, who gets another email
        if _gets_other_email(account, is_in_file):
            return Match(None)
        return Match(None, _two_accounts(user, account, account))
    is_renumbered = user.external_id and user.external_id not in same_person
    if is_renumbered and is_other_name(user, account):
        what = f"whose external_id is {shown(account.external_id)}, and no name is the same"
        return Match(None, _other_person(user, account, what))
    return Match(account)


def _gets_other_email(account: User, is_in_file: Callable[[str], bool]) -> bool:
    """Return whether another user of the file has the account, and so gives it another email."""
    if account.permission_level == "owner" or not account.external_id:
        return False
    return is_in_file(account.external_id)


def _two_accounts(user: CheckedUser, by_external_id: User, by_email: User) -> Fault:
    if by_external_id is by_email:
        detail = (
            f"{shown(user.email)} is the email of {_named(by_email)}, an owner who has another "
            "email in this file, and no file changes the email of an owner"
        )
        return Fault("email", "two_accounts", detail)
    detail = (
        f"{shown(user.external_id or '')} is the external_id of {_named(by_external_id)}, and "
        f"{shown(user.email)} is the email of {_named(by_email)}: correct one of the two, or give "
        "that account another email in the same file, by its external_id"
    )
    return Fault("external_id", "two_accounts", detail)


def _other_person(user: CheckedUser, account: User, what: str) -> Fault:
    has_number = user.external_id == account.external_id
    subject = shown(user.external_id or "") if has_number else shown(user.email)
    field = "external_id" if has_number else "email"
    detail = (
        f"{subject} is the {field} of {_named(account)}, {what}: if it is the same person, say "
        f"`--same-person {user.external_id}`; if not, remove it from that account first"
    )
    return Fault(field, "other_person", detail)


def _named(account: User) -> str:
    return f"{full_name(account.name, account.lastname)} ({account.email})"


def folded(name: str) -> str:
    """Return the form of a name in which two spellings of it are equal."""
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


def has_other_email(user: CheckedUser, account: User) -> bool:
    """Return whether an account has another email than its user, and not only in its spelling."""
    return user.email != account.email and user.email_key != email_key_or_empty(account.email)
