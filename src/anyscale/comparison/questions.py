"""The questions of a plan: entries of which it is not sure who they are."""

import hashlib
from typing import Any

from msgspec import json, structs

from anyscale.comparison.sync_steps import changes_of, differing_fields, name_of
from anyscale.domain.models.sync import LookAlike, Question, QuestionKind
from anyscale.domain.models.users import User
from anyscale.domain.names import full_name
from anyscale.domain.validation import CheckedUser

#: what says who somebody is
_IDENTITY = ("email", "external_id", "name", "lastname")


def question_of(
    index: int,
    user: CheckedUser,
    kind: QuestionKind,
    reason: str,
    account: User | None = None,
) -> Question:
    """Return the question whether an entry is the person of an account."""
    question = Question(
        kind=kind,
        email=user.email,
        name=name_of(user),
        reason=reason,
        change=change_id(user, account),
        number=user.external_id or None,
        index=index,
    )
    if account is None:
        return question
    changes, replaced = changes_of(differing_fields(user, account), user, account)
    return structs.replace(
        question,
        user_id=account.user_id,
        account_email=account.email,
        account_name=full_name(account.name, account.lastname),
        changes=changes,
        replaced=replaced,
    )


def question_of_pair(pair: LookAlike) -> Question:
    """Return the question whether an account to suspend and an entry to create are one person."""
    entry, leaver = pair.create, pair.suspend
    assert entry.changes
    assert leaver.expected
    return Question(
        kind="look_alike",
        email=entry.email,
        name=entry.name,
        reason=(
            f"it has no account, and {leaver.name} ({leaver.email}), who has the same name, is not "
            "in the file: is an email mistyped, cut off or new?"
        ),
        change=_digest(leaver.user_id, _identity(leaver.expected), _identity(entry.changes)),
        number=entry.changes.external_id or None,
        user_id=leaver.user_id,
        account_email=leaver.email,
        account_name=leaver.name,
        index=entry.index,
    )


def change_id(user: CheckedUser, account: User | None) -> str:
    """Return what stands for an account, its former values and the new ones."""
    if account is None:
        return _digest(None, None, _identity(user))
    return _digest(account.user_id, _identity(account), _identity(user))


def _identity(one: Any) -> list[str | None]:
    return [getattr(one, field) or None for field in _IDENTITY]


def _digest(*values: object) -> str:
    return hashlib.sha256(json.encode(values)).hexdigest()[:32]
