"""The steps of a plan: what is done to one account, and what it must be when it is done."""

import hashlib
from collections.abc import Iterable
from typing import Any

from msgspec import UnsetType, json

from anyscale.comparison.differences import different_fields, gets_email, shown_change
from anyscale.domain.models.sync import StepKind, SyncStep
from anyscale.domain.models.users import ExpectedUser, User, UserChanges
from anyscale.domain.names import full_name
from anyscale.domain.validation import CheckedUser

#: what says who somebody is
_IDENTITY = ("email", "external_id", "name", "lastname")


def step_of_account(
    kind: StepKind,
    account: User,
    reason: str,
    index: int | None = None,
    changes: UserChanges | None = None,
    replaced: UserChanges | None = None,
) -> SyncStep:
    """Return a step of an account, which must still be as it is now when the step is done."""
    return SyncStep(
        kind=kind,
        email=account.email,
        name=full_name(account.name, account.lastname),
        reason=reason,
        user_id=account.user_id,
        index=index,
        changes=changes,
        replaced=replaced,
        expected=None if kind == "leave" else _expected(kind, account),
    )


def differing_fields(user: CheckedUser, account: User) -> list[str]:
    """Return the fields that a correction would change, the email first.

    No number is cleared: the next file could then give the account to the person of another one.
    """
    fields = ["email"] if gets_email(user, account) else []
    fields += different_fields(user, account)
    return [one for one in fields if one != "external_id" or user.external_id]


def changes_of(
    fields: Iterable[str], user: CheckedUser, account: User
) -> tuple[UserChanges, UserChanges]:
    """Return the new values of fields of an account, and the former ones."""
    fields = list(fields)
    changes, replaced = (
        UserChanges(**{field: getattr(one, field) for field in fields}) for one in (user, account)
    )
    return changes, replaced


def shown_changes(changes: UserChanges, replaced: UserChanges) -> str:
    """Return changes as a message shows them, the email first."""
    old, new = replaced.to_dict(), changes.to_dict()
    fields = sorted(new, key=lambda field: field != "email")
    return "; ".join(shown_change(field, old[field], new[field]) for field in fields)


def name_of(user: CheckedUser) -> str:
    """Return the whole name of a user of a file."""
    return full_name(user.name or "", user.lastname or None)


def are_different(number: str | UnsetType | None, other: str | UnsetType | None) -> bool:
    """Return whether two numbers are known, and of two people."""
    return bool(number and other) and significant(number) != significant(other)


def significant(number: str | UnsetType | None) -> str | None:
    """Return a number without the zeros at its start, which a spreadsheet drops; None for none."""
    return number.lstrip("0") if number else None


def identity_of(one: Any) -> list[str | None]:
    """Return the values of an entry or an account that say who it is."""
    return [getattr(one, field) or None for field in _IDENTITY]


def change_digest(*values: object) -> str:
    """Return what stands for a change in a question and its answer."""
    return hashlib.sha256(json.encode(values)).hexdigest()[:32]


def _expected(kind: StepKind, account: User) -> ExpectedUser:
    """Return all that a plan knows of an account: what is decided is about this."""
    fields = {field: getattr(account, field) for field in UserChanges.__struct_fields__}
    return ExpectedUser(
        **fields, permission_level=account.permission_level, suspended=kind == "restore"
    )
