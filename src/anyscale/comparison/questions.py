"""The questions of a plan: entries of which it is not sure who they are."""

from collections.abc import Sequence

from msgspec import structs

from anyscale.comparison.look_alikes import Namesakes
from anyscale.comparison.sync_steps import (
    change_digest,
    changes_of,
    differing_fields,
    identity_of,
    name_of,
)
from anyscale.domain.models.sync import Question, QuestionKind, SyncStep
from anyscale.domain.models.users import User
from anyscale.domain.names import full_name
from anyscale.domain.validation import CheckedUser


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


def question_of_look_alike(entry: SyncStep, namesakes: Sequence[Namesakes]) -> Question:
    """Return the question whether an entry to create is one of the accounts to suspend.

    It is about all of them, and names one: an answer leaves none of them unasked.
    """
    assert entry.changes
    leaver = namesakes[0].accounts[0]
    count = sum(len(group.accounts) for group in namesakes)
    who = f"{leaver.name} ({leaver.email}), who has the same name, is"
    if count > 1:
        who = f"{count:,} people of the same name, such as {leaver.name} ({leaver.email}), are"
    question = Question(
        kind="look_alike",
        email=entry.email,
        name=entry.name,
        reason=(
            f"it has no account, and {who} not in the file: is an email mistyped, cut off or new?"
        ),
        change=change_digest([group.digest for group in namesakes], identity_of(entry.changes)),
        number=entry.changes.external_id or None,
        index=entry.index,
    )
    if count > 1:  # the email of one of them answers for no other one
        return question
    return structs.replace(
        question,
        user_id=leaver.user_id,
        account_email=leaver.email,
        account_name=leaver.name,
    )


def change_id(user: CheckedUser, account: User | None) -> str:
    """Return what stands for an account, its former values and the new ones."""
    if account is None:
        return change_digest(None, None, identity_of(user))
    return change_digest(account.user_id, identity_of(account), identity_of(user))
